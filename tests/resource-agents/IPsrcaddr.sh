#!/bin/sh
# IPsrcaddr: sources of the network's and the default routes, and the former routes exactly back.
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

bad IPsrcaddr 10.0.0.300
bad IPsrcaddr 10.0.0.1/24
bad IPsrcaddr 10.0.0.1 x
bad IPsrcaddr ''

pair
ip -n "$one" addr add 10.77.0.1/16 dev v0
ip -n "$one" addr add fd77::1/64 dev v0
ip -n "$one" route add default via 10.77.0.254 metric 50 proto static
ip -n "$one" route add default via 10.77.0.253 dev v0 onlink metric 60 mtu 1400
ip -n "$one" route add 10.9.0.0/16 via 10.77.0.254
ip -n "$one" -6 route add default via fd77::fe dev v0 metric 70

table() { ip -n "$one" -d -o "-$1" route; }
source_to() { ip -n "$one" -o route get "$1" | sed -n 's/.* src \([^ ]*\).*/\1/p'; }

call IPsrcaddr 10.77.1.1 start
gives "an address that is not here" 1 '' 'not on this machine'
ip -n "$one" addr add 10.77.1.1/16 dev v0
ip -n "$one" addr add fd77::a/64 dev v0 nodad
before4=$(table 4)
before6=$(table 6)

life IPsrcaddr 10.77.1.1
same "the IPv4 routes are exactly the former ones" "$before4" "$(table 4)"
life IPsrcaddr fd77::a
same "the IPv6 routes are exactly the former ones" "$before6" "$(table 6)"

call IPsrcaddr 10.77.1.1 start
gives "start" 0
same "source to the network" 10.77.1.1 "$(source_to 10.77.0.9)"
same "source to the world" 10.77.1.1 "$(source_to 192.0.2.1)"
same "other routes are left alone" 10.77.0.1 "$(source_to 10.9.0.1)"
same "three routes were changed" 3 "$(table 4 | grep -c 'src 10.77.1.1')"
is "what the route had besides is kept" sh -c "ip -n $one route | grep '10.77.0.253' | grep onlink | grep 'mtu 1400' | grep -q 'src 10.77.1.1'"
call IPsrcaddr fd77::a start
gives "IPv6: start" 0
same "IPv6: source to the network" fd77::a "$(source_to fd77::9)"
same "IPv6: source to the world" fd77::a "$(source_to 2001:db8::1)"
call IPsrcaddr fd77::a stop
gives "IPv6: stop" 0

# Somebody takes one of the routes away from us.
ip -n "$one" route replace default via 10.77.0.252 metric 50
call IPsrcaddr 10.77.1.1 status
gives "a route lost its source" 3 'not running): 1 of its routes'
call IPsrcaddr 10.77.1.1 stop
gives "stop leaves the route of somebody else" 0 '' 'somebody else'
is "it is still there" sh -c "ip -n $one route | grep -q 'via 10.77.0.252 dev v0 metric 50'"
ip -n "$one" route replace default via 10.77.0.254 metric 50 proto static
same "apart from it all is back" "$before4" "$(table 4)"

# The kernel removes IPv4 routes with the address that is their source.
call IPsrcaddr 10.77.1.1 start
ip -n "$one" addr del 10.77.1.1/16 dev v0
same "the default routes are gone with the address" 0 "$(table 4 | grep -c default)"
call IPsrcaddr 10.77.1.1 status
gives "status after the loss of the address" 1 'not running'
call IPsrcaddr 10.77.1.1 stop
gives "stop after the loss of the address" 0
same "and the former routes are back" "$(echo "$before4" | sort)" "$(table 4 | sort)"

ip -n "$one" addr add 10.77.1.1/16 dev v0
call IPsrcaddr 10.77.1.1 start
ip -n "$one" addr del 10.77.1.1/16 dev v0
ip -n "$one" addr add 10.77.1.1/16 dev v0
call IPsrcaddr 10.77.1.1 start
gives "start after the loss and return of the address" 0
same "all three have the source again" 3 "$(table 4 | grep -c 'src 10.77.1.1')"
call IPsrcaddr 10.77.1.1 stop
gives "stop after that" 0
same "and the former routes are back again" "$(echo "$before4" | sort)" "$(table 4 | sort)"

ip -n "$one" addr add 10.66.0.1/32 dev lo
call IPsrcaddr 10.66.0.1 start
gives "an address of no network" 1 '' 'no network'
exit 0
