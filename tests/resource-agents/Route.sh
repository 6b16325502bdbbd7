#!/bin/sh
# Route: exactly the route asked for, its own replaced, those of others never.
# shellcheck disable=SC2317 # functions are called by way of is, isnt, within and trap
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

bad Route 10.9.0.0/16
bad Route 10.9.0.1/16 via 192.0.2.1
bad Route 10.9.0.0/33 via 192.0.2.1
bad Route 10.9.0.0/16 via
bad Route 10.9.0.0/16 via fd00::1
bad Route 10.9.0.0/16 through 192.0.2.1
bad Route 10.9.0.0/16 table 5
bad Route 10.9.0.0/16 dev v0 table no-such-table
bad Route 10.9.0.0/16 dev v0 metric -1
bad Route 10.9.0.0/16 dev v0 dev v1
bad Route 10.9.0.0/16 via 10.0.0.1 onlink
bad Route nonsense dev v0

pair
ip -n "$one" addr add 192.0.2.1/24 dev v0
ip -n "$one" addr add fd77::1/64 dev v0
before=$(ip -n "$one" -d route; ip -n "$one" -d -6 route)
shows() { ip -n "$one" "-$1" route show table "${3:-main}" | grep -q "^$2"; }

life Route 10.9.0.0/16 via 192.0.2.254
life Route 10.9.0.0/16 dev v0
life Route 10.9.1.1 via 192.0.2.254 dev v0 metric 30 src 192.0.2.1
life Route default via 192.0.2.254
life Route 0.0.0.0/0 via 192.0.2.254 metric 7
life Route 10.9.0.0/16 via 192.0.2.254 table 177
life Route 10.9.0.0/16 via 198.51.100.1 dev v0 onlink
life Route fd99::/32 via fd77::fe
life Route fd99:0:0::1/32 via fd77:0::fe dev v0 metric 5
life Route ::/0 via fd77::fe table 178
same "nothing is left" "$before" "$(ip -n "$one" -d route; ip -n "$one" -d -6 route)"

call Route 10.9.0.0/16 via 192.0.2.254 start
is "the route is there" shows 4 '10.9.0.0/16 via 192.0.2.254 dev v0'
call Route 10.9.0.0/16 via 192.0.2.253 status
gives "another gateway is another route" 3 'another route'
call Route 10.9.0.0/16 via 192.0.2.253 start
gives "our own is replaced" 0
is "by the new one" shows 4 '10.9.0.0/16 via 192.0.2.253'
call Route 10.9.0.0/16 via 192.0.2.254 stop
gives "stop of the old one" 0
is "does not remove the new one" shows 4 '10.9.0.0/16 via 192.0.2.253'
call Route 10.9.0.0/16 via 192.0.2.253 stop
isnt "stop of the new one does" shows 4 10.9.0.0/16

ip -n "$one" route add 10.9.0.0/16 via 192.0.2.254
call Route 10.9.0.0/16 via 192.0.2.254 status
gives "the same route by somebody else is not ours" 3
call Route 10.9.0.0/16 via 192.0.2.254 start
gives "and in the way" 1 '' 'somebody else'
call Route 10.9.0.0/16 via 192.0.2.254 stop
is "and stays after a stop" shows 4 '10.9.0.0/16 via 192.0.2.254'
call Route 10.9.0.0/16 via 192.0.2.254 metric 9 start
gives "beside it with another metric" 0
call Route 10.9.0.0/16 via 192.0.2.254 metric 9 stop
is "stop takes only that one" shows 4 '10.9.0.0/16 via 192.0.2.254 dev v0 $'

call Route 10.10.0.0/16 via 203.0.113.1 start
gives "a gateway out of reach" 1 '' 'cannot add'
call Route 10.10.0.0/16 dev nosuch start
gives "no such interface" 1 '' 'cannot add'
call Route 10.10.0.0/16 dev nosuch stop
gives "stop without the interface" 0
exit 0
