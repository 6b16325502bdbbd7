#!/bin/sh
# Service: daemons that stay, die, fork, ignore TERM, lose their parent; pid files that are stale, reused, damaged.
# shellcheck disable=SC2317 # functions are called by way of is, isnt, within and trap
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

bystander=''
clean_more() {
    for file in "$HA_RSCTMP"/Service-*.pid; do
        [ -e "$file" ] || continue
        name=${file##*/Service-}
        STOP_TIMEOUT=0 "$agents/Service" "${name%.pid}" x stop 2>/dev/null
    done
    [ -z "$bystander" ] || kill -KILL "$bystander" 2>/dev/null
}

bad Service
bad Service name
bad Service 'a b' /bin/true
bad Service ../x /bin/true
bad Service '' /bin/true
bad Service x ''
bad Service x ./relative
STOP_TIMEOUT=long bad Service x /bin/true

pid_of() { cut -d ' ' -f 1 "$HA_RSCTMP/Service-$1.pid"; }
all_gone() { for one_pid in $1; do gone "$one_pid" || return 1; done; }
# script NAME: an executable from stdin; prints its path.
script() {
    { echo '#!/bin/sh'; cat; } >"$work/$1"
    chmod +x "$work/$1"
    echo "$work/$1"
}
export STOP_TIMEOUT=5

life Service sleeper sleep 1000
call Service sleeper sleep 1000 start
pid=$(pid_of sleeper)
call Service sleeper sleep 1000 start
same "a second start leaves the first running" "$pid" "$(pid_of sleeper)"
same "it has a session of its own" "$pid" "$(sed 's/.*) //' "/proc/$pid/stat" | cut -d ' ' -f 4)"
same "its input is empty" /dev/null "$(readlink "/proc/$pid/fd/0")"
isnt "it does not hold the lock" test -e "/proc/$pid/fd/9"
call Service sleeper sleep 1000 stop
is "the process is gone after stop" gone "$pid"
isnt "and the pid file" test -e "$HA_RSCTMP/Service-sleeper.pid"

# The agent is called with a pipe, as hbd does: the pipe must end with the agent, not with the daemon.
timeout 30 "$agents/Service" piped sleep 1000 start 2>&1 | cat >"$work/piped"
call Service piped sleep 1000 status
gives "start does not keep the caller's pipe" 0 '^running$'
call Service piped sleep 1000 stop

args=$(script args <<'IN'
for word in "$@"; do echo "<$word>"; done
exec sleep 1000
IN
)
call Service args "$args" 'two words' '' '*' start
gives "arguments with blanks" 0
same "reach the command as they are" '<two words> <> <*>' "$(paste -s -d ' ' "$HA_RSCTMP/Service-args.log")"
call Service args "$args" stop
gives "stop needs only the name" 0

dies=$(script dies <<'IN'
echo "first line"
echo "cannot bind to port 80" >&2
exit 7
IN
)
call Service dies "$dies" start
gives "a command that dies at once" 1 '' 'exit code 7'
gives "its last words are shown" 1 '' '| cannot bind to port 80'
call Service dies "$dies" status
gives "and it is stopped" 3
call Service nothing /no/such/command start
gives "a command that is not there" 1 '' 'is not there'
call Service nothing /no/such/command stop
gives "stop of it" 0

away=$(script away <<IN
sleep 1000 &
echo \$! >'$work/away.pid'
IN
)
call Service away "$away" start
gives "a command that goes to the background" 1 '' 'foreground option'
is "what it left is ended" within 5 gone "$(cat "$work/away.pid")"

late=$(script late <<IN
while [ ! -e '$work/now' ]; do sleep 0.05; done
exit 3
IN
)
call Service late "$late" start
gives "a command that dies later" 0
pid=$(pid_of late)
: >"$work/now"
within 10 gone "$pid"
call Service late "$late" status
gives "is dead with its pid file" 1 "not running): process $pid is gone"
rm -f "$work/now"
call Service late "$late" start
gives "and can be started again" 0
isnt "as another process" test "$(pid_of late)" = "$pid"
call Service late "$late" stop
gives "and stopped" 0

stubborn=$(script stubborn <<IN
trap '' TERM
echo up
while :; do sleep 0.1; done
IN
)
STOP_TIMEOUT=1
call Service stubborn "$stubborn" start
pid=$(pid_of stubborn)
within 5 grep -q up "$HA_RSCTMP/Service-stubborn.log"
call Service stubborn "$stubborn" stop
gives "one that ignores TERM" 0
is "is gone" gone "$pid"
STOP_TIMEOUT=5

call Service frozen sleep 1000 start
pid=$(pid_of frozen)
kill -STOP "$pid"
call Service frozen sleep 1000 status
gives "a stopped process still is there" 0 '^running$'
call Service frozen sleep 1000 stop
gives "a stopped process ends by TERM too" 0
is "it is gone" gone "$pid"

# A family: children in the group, in a group and in a session of their own.
family=$(script family <<IN
sleep 1000 & echo \$! >>'$work/members'
setsid sleep 1000 & echo \$! >>'$work/members'
setsid sh -c 'sleep 1000 & echo \$! >>$work/members; exec sleep 1000' & echo \$! >>'$work/members'
wait
IN
)
call Service family "$family" start
is "a family of five" within 10 sh -c "[ \$(wc -l <'$work/members') -eq 4 ]"
parent=$(pid_of family)
children=$(paste -s -d ' ' "$work/members")
call Service family "$family" stop
gives "stop of the family" 0
is "all of them are gone" all_gone "$parent $children"
rm -f "$work/members"
call Service family "$family" start
within 10 sh -c "[ \$(wc -l <'$work/members') -eq 4 ]"
children=$(paste -s -d ' ' "$work/members")
kill -KILL "$(pid_of family)"
within 5 gone "$(pid_of family)"
call Service family "$family" status
gives "the parent was killed" 1 'not running'
call Service family sleep 1000 start
gives "start clears the orphans away" 0 '' 'others of it are left'
is "they are gone" all_gone "$children"
call Service family sleep 1000 stop

# The pid now belongs to somebody else: same number, other start time.
call Service reused sleep 1000 start
real=$(pid_of reused)
sleep 1000 &
bystander=$!
sed -i "s/^$real /$bystander /" "$HA_RSCTMP/Service-reused.pid"
call Service reused sleep 1000 status
gives "a reused pid is not ours" 1 "not running): process $bystander is gone"
call Service reused sleep 1000 stop
gives "stop with a reused pid" 0
isnt "does not kill the other one" gone "$bystander"
is "and finds its own by the token" within 5 gone "$real"
call Service reused sleep 1000 start
read -r real birth _ token <"$HA_RSCTMP/Service-reused.pid"
echo "$real $birth an-older-boot $token" >"$HA_RSCTMP/Service-reused.pid"
call Service reused sleep 1000 status
gives "a pid file of another boot is stale" 1
call Service reused sleep 1000 stop
gives "stop of it" 0
isnt "touches nothing" gone "$real"
kill "$real"

for content in '' 'nonsense' '1 2 3 4' '-5 1 x y' '99999999999 1 x y'; do
    echo "$content" >"$HA_RSCTMP/Service-torn.pid"
    call Service torn sleep 1000 status
    gives "damaged pid file '$content': status" 1 'damaged'
    call Service torn sleep 1000 stop
    gives "damaged pid file '$content': stop" 0 '' 'damaged'
done
echo nonsense >"$HA_RSCTMP/Service-torn.pid"
call Service torn sleep 1000 start
gives "damaged pid file: start" 0
call Service torn sleep 1000 stop

# A name with blanks and parentheses in /proc/PID/stat.
cp "$(command -v sleep)" "$work/a ) (b"
call Service odd "$work/a ) (b" 1000 start
gives "a program with an odd name" 0
call Service odd x status
gives "its status" 0 '^running$'
call Service odd x stop
gives "its stop" 0

call Service talker sleep 1000 start
head -c 1100000 /dev/zero | tr '\0' x >>"$HA_RSCTMP/Service-talker.log"
call Service talker sleep 1000 status
is "status cuts a log that is too long" test "$(wc -c <"$HA_RSCTMP/Service-talker.log")" -lt 100000
is "and keeps its end" test "$(wc -c <"$HA_RSCTMP/Service-talker.log.old")" -eq 65536
call Service talker sleep 1000 stop

: >"$work/file"
HA_RSCTMP=$work/file/x call Service nowhere sleep 1000 start
gives "without a state folder" 1 '' 'could never be stopped'
exit 0
