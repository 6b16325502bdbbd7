#!/bin/sh
# The agents for a pair of directors, ldirectord, ipvs-sync and conntrackd, with stand-ins for the programs which
# keep their state in files and write down how they were called. (No IPVS in the kernel is needed.)
# shellcheck disable=SC2317 # functions are called by way of is, isnt, within and trap
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

mkdir "$work/bin" "$work/fake"
stand_in() {
    {
        cat <<HEAD
#!/bin/sh
cd '$work/fake' || exit 99
printf '%s\\n' "\$*" >>calls
HEAD
        cat
    } >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
fresh() { rm -f "$work/fake/"*; }

# --- ldirectord ---
bad ldirectord -d
bad ldirectord 'a b'
bad ldirectord a b
LDIRECTORD_WAIT=x bad ldirectord
LDIRECTORD=$work/bin/ldirectord
export LDIRECTORD LDIRECTORD_WAIT=5
call ldirectord status
gives "ldirectord: not installed, status" 3 'not installed'
call ldirectord start
gives "ldirectord: not installed, start" 1 '' 'package ldirectord'
call ldirectord stop
gives "ldirectord: not installed, stop" 0

stand_in ldirectord <<'IN'
for action; do :; done
[ ! -e hang ] || sleep 1000
case $action in
    start)
        [ ! -e broken ] || { echo "Error [1] reading file: line 3: unknown command"; exit 1; }
        # As the real one, it leaves a process with our output open.
        sleep 30 & echo $! >>left
        : >up ;;
    stop) [ -e stubborn ] || rm -f up ;;
    status)
        if [ -e up ]; then echo "ldirectord is running with pid: 1"; exit 0; fi
        if [ -e dead ]; then echo "ldirectord stale pid file"; exit 1; fi
        echo "ldirectord is stopped"; exit 3 ;;
esac
IN
: >"$work/lvs.cf"
life ldirectord "$work/lvs.cf"
is "ldirectord: the configuration is passed on" grep -qx "$work/lvs.cf start" "$work/fake/calls"
same "ldirectord: started once in two starts" 1 "$(grep -c ' start$' "$work/fake/calls")"
same "ldirectord: stopped once in three stops" 1 "$(grep -c ' stop$' "$work/fake/calls")"
life ldirectord
is "ldirectord: without configuration" grep -qx start "$work/fake/calls"
while read -r id; do kill "$id" 2>/dev/null; done <"$work/fake/left"
call ldirectord "$work/none.cf" start
gives "ldirectord: no such configuration" 1 '' 'is not there'
: >"$work/fake/broken"
call ldirectord start
gives "ldirectord: start fails" 1 '' 'ended with 1: Error .1. reading file'
: >"$work/fake/dead"
call ldirectord status
gives "ldirectord: dead" 1 'not running'
: >"$work/fake/up"
: >"$work/fake/stubborn"
LDIRECTORD_WAIT=1 call ldirectord stop
gives "ldirectord: stop without effect" 1 '' 'still runs'
: >"$work/fake/hang"
LDIRECTORD_WAIT=1 call ldirectord status
gives "ldirectord: status hangs" 4 '^unknown$' 'ended with 124'

# --- ipvs-sync ---
fresh
bad ipvs-sync
bad ipvs-sync eth1 256
bad ipvs-sync eth1 x
bad ipvs-sync eth1 1 2
bad ipvs-sync a/b
PATH=$work/bin:$PATH
export PATH
stand_in ipvsadm <<'IN'
[ ! -e broken ] || { echo "Can't initialize ipvs: Protocol not available" >&2; exit 255; }
case $1 in
    -L) cat master backup 2>/dev/null; exit 0 ;;
    --start-daemon)
        [ ! -e "$2" ] || { echo "Daemon has already run" >&2; exit 255; }
        [ ! -e "no-$2" ] || { echo "No such device" >&2; exit 255; }
        echo "$2 sync daemon (mcast=$4, syncid=$6)" >"$2" ;;
    --stop-daemon)
        [ -e "$2" ] || { echo "No daemon is running" >&2; exit 255; }
        rm "$2" ;;
esac
IN
changes() { grep -v '^-L' "$work/fake/calls" | paste -s -d ','; }
life ipvs-sync eth1 7
same "ipvs-sync: backup first, then one start and one stop" \
    "--start-daemon backup --mcast-interface eth1 --syncid 7,--start-daemon master --mcast-interface eth1 --syncid 7,--stop-daemon backup,--stop-daemon master,--start-daemon backup --mcast-interface eth1 --syncid 7" \
    "$(changes)"
fresh
life ipvs-sync eth1
is "ipvs-sync: without an id it is 0" grep -q -- '--syncid 0' "$work/fake/calls"
call ipvs-sync eth1 5 start
call ipvs-sync eth1 6 status
gives "ipvs-sync: another id is another daemon" 3 'not running'
call ipvs-sync eth2 5 start
gives "ipvs-sync: start replaces one on another interface" 0
is "ipvs-sync: by the new one" grep -q 'mcast=eth2, syncid=5' "$work/fake/master"
: >"$work/fake/no-backup"
call ipvs-sync eth2 5 stop
gives "ipvs-sync: no backup possible" 0 '' 'will not survive'
: >"$work/fake/no-master"
call ipvs-sync eth2 5 start
gives "ipvs-sync: no master possible" 1 '' 'No such device'
: >"$work/fake/broken"
export IP_VS_PROC="$work/fake/broken"
call ipvs-sync eth1 status
gives "ipvs-sync: ipvsadm fails with IPVS there, status" 4 '^unknown$' 'ipvsadm: '
call ipvs-sync eth1 stop
gives "ipvs-sync: ipvsadm fails with IPVS there, stop" 1 '' 'does not answer'
export IP_VS_PROC="$work/none"
call ipvs-sync eth1 status
gives "ipvs-sync: no IPVS, status" 3 'not loaded'
call ipvs-sync eth1 start
gives "ipvs-sync: no IPVS, start" 1 '' 'modprobe'
call ipvs-sync eth1 stop
gives "ipvs-sync: no IPVS, stop" 0

# --- conntrackd ---
fresh
bad conntrackd relative.conf
bad conntrackd /a /b
stand_in conntrackd <<'IN'
for option; do :; done
[ ! -e down ] || { echo "can't connect: is conntrackd running?" >&2; exit 1; }
[ ! -e "fails$option" ] || { echo "request failed" >&2; exit 1; }
IN
orders() { sed 's/.* //' "$work/fake/calls" | grep -v '^-s$' | paste -s -d ' '; }
life conntrackd
same "conntrackd: the orders of one takeover and one return" "-c -f -R -B -t -n" "$(orders)"
fresh
life conntrackd /etc/conntrackd/other.conf
is "conntrackd: with a configuration" grep -qx -- '-C /etc/conntrackd/other.conf -B' "$work/fake/calls"
fresh
: >"$work/fake/fails-R"
call conntrackd start
gives "conntrackd: a failed step" 1 '' '(-R): request failed'
call conntrackd status
gives "conntrackd: then it is not primary" 3
rm "$work/fake/fails-R"
call conntrackd start
: >"$work/fake/down"
call conntrackd status
gives "conntrackd: the daemon died" 1 'not running'
call conntrackd start
gives "conntrackd: start without daemon" 1 '' 'start it on both nodes'
call conntrackd stop
gives "conntrackd: stop without daemon" 0 '' 'does not answer'
call conntrackd status
gives "conntrackd: it is stopped then" 3
rm "$work/fake/down"
call conntrackd start
: >"$work/fake/fails-n"
call conntrackd stop
gives "conntrackd: a failed request is no failed stop" 0 '' '(-n): request failed'
exit 0
