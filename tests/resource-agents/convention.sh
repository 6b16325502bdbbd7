#!/bin/sh
# What all agents have in common: usage, meta-data, unknown actions, and the shared checks of addresses.
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

# What an agent is for must not be started, where this machine happens to have it.
DIRECTOR=$work/none
LDIRECTORD=$work/none
export DIRECTOR LDIRECTORD

for agent in "$agents"/*; do
    name=${agent##*/}
    case $name in
        hb-functions) continue ;;
    esac
    is "$name: may be executed" test -x "$agent"
    call "$name" usage
    gives "$name: usage" 0 "^usage: $name .*start|stop|status|monitor"
    call "$name" help
    gives "$name: help" 0 "arguments:"
    call "$name" meta-data
    gives "$name: meta-data" 0 "<resource-agent name=\"$name\""
    if command -v python3 >/dev/null 2>&1; then
        is "$name: meta-data is XML" python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$work/out"
    fi
    call "$name"
    gives "$name: no action" 2 '' "usage: $name"
    call "$name" whatever dance
    gives "$name: unknown action" 3 '' "unknown action 'dance'"
    call "$name" start
    case $name in
        director | ldirectord | conntrackd) gives "$name: no arguments are no mistake" 1 ;;
        *) gives "$name: no arguments" 2 ;;
    esac
    call "$name" "two
lines" start
    gives "$name: a line break in an argument" 2 '' 'line break'
done

# shellcheck source-path=SCRIPTDIR source=../../resource-agents/hb-functions
. "$agents/hb-functions"

for word in 1.2.3.4 0.0.0.0 255.255.255.255; do
    is "$word is IPv4" hb_is_ipv4 "$word"
done
for word in '' 1.2.3 1.2.3.4.5 1.2.3.256 01.2.3.4 1..2.3 .1.2.3 1.2.3. a.b.c.d 1.2.3.4/24; do
    isnt "'$word' is no IPv4" hb_is_ipv4 "$word"
done
for word in :: ::1 1:: fe80::1 2001:db8:0:0:0:0:0:1 1:2:3:4:5:6:7:: ABCD::ef; do
    is "$word is IPv6" hb_is_ipv6 "$word"
done
for word in '' : ::: 1:2 1::2::3 1:2:3:4:5:6:7:8:9 1:2:3:4:5:6:7 ::1:2:3:4:5:6:7:8 12345:: g:: fe80::1%eth0 1: :1:2:3:4:5:6:7; do
    isnt "'$word' is no IPv6" hb_is_ipv6 "$word"
done
same "netmask 255.255.255.0" 24 "$(hb_netmask_bits 255.255.255.0)"
same "netmask 255.255.240.0" 20 "$(hb_netmask_bits 255.255.240.0)"
for word in 255.0.255.0 255.255.255.1 0.0.0.255 300.0.0.0; do
    isnt "$word is no netmask" hb_netmask_bits "$word"
done
is "eth0.100@x is an interface" hb_is_interface eth0.100@x
for word in '' . .. -x a/b a:b 'a b' sixteenletters00; do
    isnt "'$word' is no interface" hb_is_interface "$word"
done
isnt "two keys differ" test "$(hb_key a b)" = "$(hb_key 'a b')"

# The library is also found when the agent is reached by a symbolic link in its own folder, and the lock holds.
mkdir -p "$HA_RSCTMP"
lock=$HA_RSCTMP/MailTo-$(hb_key root x).lock
flock "$lock" sleep 60 &
holder=$!
within 5 sh -c "! flock -n '$lock' true"
HB_LOCK_WAIT=1 call MailTo root x start
gives "a start while another one holds the lock" 1 '' 'another start or stop'
# flock runs its command as a child, which holds the lock too.
read -r child _ <"/proc/$holder/task/$holder/children"
kill "$child"
wait "$holder" 2>/dev/null
exit 0
