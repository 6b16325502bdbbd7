#!/bin/sh
# IPaddr between two namespaces: adding, announcing, finding interface and prefix, leaving the addresses of others alone.
# shellcheck disable=SC2317 # functions are called by way of is, isnt, within and trap
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

for argument in 300.1.1.1 10.0.0.1/33 10.0.0.1/0 10.0.0.1/24/a/b/c fd00::1/129 fd00::1/64/v0:1 10.0.0.1/255.0.255.0 \
    10.0.0.1/24/:x 10.0.0.1/24/v0: 224.0.0.1 ff02::1 0.0.0.0 :: 10.0.0.1/24/v0/word 10.0.0.1/24/v0:aLabelMuchTooLong ''; do
    bad IPaddr "$argument"
done
bad IPaddr 10.0.0.1 24

pair
ip -n "$one" addr add 10.77.0.1/16 dev v0
ip -n "$one" addr add fd77::1/64 dev v0
ip -n "$two" addr add 10.77.0.2/16 dev v1
ip -n "$two" addr add fd77::2/64 dev v1
mac=$(ip -n "$one" -o link show v0 | sed 's/.*ether \([^ ]*\).*/\1/')

has() { ip -n "$one" -o addr show dev "${2:-v0}" | grep -q " $1"; }
learnt() { ip -n "$two" neigh show "$1" dev v1 | grep -q "$mac"; }
before=$(ip -n "$one" -o addr)

life IPaddr 10.77.1.1/16/v0
life IPaddr2 10.77.1.1/255.255.0.0/v0:vip
life IPv6addr fd77::a/64/v0
same "after three lives the addresses are the former ones" "$before" "$(ip -n "$one" -o addr)"

# The peer has a wrong neighbour entry, as after a takeover.
ip -n "$two" neigh replace 10.77.1.2 lladdr 02:00:00:00:00:99 dev v1 nud stale
call IPaddr 10.77.1.2 start
gives "interface and prefix from the route" 0
is "it has the prefix and broadcast of the network" has "inet 10.77.1.2/16 brd 10.77.255.255"
is "the neighbour learns the new place (ARP)" within 10 learnt 10.77.1.2
call IPaddr 10.77.1.2 stop
gives "stop without interface" 0
isnt "and it is gone" has 10.77.1.2/

ip netns exec "$one" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/v0/accept_dad'
ip -n "$two" neigh replace fd77::b lladdr 02:00:00:00:00:99 dev v1 nud stale
call IPaddr fd77:0:0::b start
gives "IPv6: interface and prefix from the route" 0
is "IPv6: usable at once" sh -c "ip -n $one -6 -o addr show to fd77::b/128 | grep -v tentative | grep -q fd77::b/64"
is "IPv6: no duplicate check ahead" sh -c "ip -n $one -6 -o addr show to fd77::b/128 | grep -q nodad"
is "IPv6: the neighbour learns the new place (NA)" within 10 learnt fd77::b
same "IPv6: the kernel's settings are back" "1 0" \
    "$(ip netns exec "$one" sh -c 'cd /proc/sys/net/ipv6/conf/v0; paste -d " " accept_dad ndisc_notify')"
call IPaddr FD77::B status
gives "IPv6: another spelling is the same address" 0 '^running$'
call IPaddr fd77::b stop
gives "IPv6: stop" 0

call IPaddr 10.77.1.3/16/v0:web/10.77.255.254 start
gives "label and broadcast" 0
is "label and broadcast are there" has 'inet 10.77.1.3/16 brd 10.77.255.254 scope global secondary v0:web'
call IPaddr 10.77.1.3/24/v0 status
gives "the same address with another prefix is not ours" 3 'not running.*v0/16'
call IPaddr 10.77.1.3/24/v0 start
gives "and in the way of a start" 1 '' 'another prefix'
call IPaddr 10.77.1.3/24/v0 stop
gives "and stop says so" 0 '' 'stays on this machine'
is "and leaves it" has 10.77.1.3/16
call IPaddr 10.77.1.3/16/v0 stop
gives "stop does not need the label" 0
call IPaddr 10.77.1.4/16/10.77.255.253 start
gives "Heartbeat's ADDRESS/PREFIX/BROADCAST" 0
is "its broadcast is there" has 'inet 10.77.1.4/16 brd 10.77.255.253'
call IPaddr 10.77.1.4 stop
gives "stop of it" 0

# A real server behind LVS has the address on lo; the director has it on the wire too.
ip -n "$one" addr add 10.77.1.5/32 dev lo
call IPaddr 10.77.1.5/16 status
gives "the address on lo is another one" 3
call IPaddr 10.77.1.5/16 start
gives "start beside the one on lo" 0
call IPaddr 10.77.1.5/16 stop
gives "stop beside the one on lo" 0
is "lo keeps it" has 10.77.1.5/32 lo

# The first address of a network would take the others along.
ip -n "$one" addr add 10.88.0.1/24 dev v0
ip -n "$one" addr add 10.88.0.2/24 dev v0
call IPaddr 10.88.0.1/24/v0 stop
gives "stop of the first address of a network" 0
isnt "the first is gone" has 10.88.0.1/24
is "the second is still there" has 10.88.0.2/24
same "promote_secondaries is back" 0 "$(ip netns exec "$one" cat /proc/sys/net/ipv4/conf/v0/promote_secondaries)"

call IPaddr 10.99.0.1 start
gives "no route, no interface" 1 '' 'name prefix and interface'
call IPaddr 10.99.0.1/24/nosuch start
gives "no such interface" 1 '' 'no interface nosuch'
call IPaddr 10.99.0.1/24/nosuch stop
gives "stop without the interface" 0
ip -n "$one" link set v0 down
call IPaddr 10.99.0.1/24/v0 start
gives "the interface is down" 1 '' 'is down'
exit 0
