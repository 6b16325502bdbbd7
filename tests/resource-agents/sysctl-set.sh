#!/bin/sh
# sysctl-set in a network namespace: setting, remembering, putting back.
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

bad sysctl-set net.ipv4.ip_forward
bad sysctl-set =1
bad sysctl-set net.ipv4.ip_forward=
bad sysctl-set ../etc/passwd=x
bad sysctl-set /etc/passwd=x
bad sysctl-set net..ipv4=1
bad sysctl-set 'net.ipv4.ip forward=1'

pair
get() { ip netns exec "$one" cat "/proc/sys/$1"; }
put() { ip netns exec "$one" sh -c "echo '$2' >/proc/sys/$1"; }

put net/ipv4/ip_forward 0
put net/ipv4/ip_local_port_range '32768 60999'
life sysctl-set net.ipv4.ip_forward=1
life sysctl-set net/ipv4/ip_forward=1 'net.ipv4.ip_local_port_range=20000 30000'
same "the former values are back" "0 32768 60999" "$(get net/ipv4/ip_forward) $(get net/ipv4/ip_local_port_range | tr '\t' ' ')"

ip -n "$one" link add link v0 name v0.5 type vlan id 5 2>/dev/null || ip -n "$one" link set v0 name v0.5
old=$(get net/ipv4/conf/v0.5/rp_filter)
for spelling in net/ipv4/conf/v0.5/rp_filter net.ipv4.conf.v0/5.rp_filter; do
    call sysctl-set "$spelling=2" start
    gives "a name with a dot as $spelling" 0
    same "its value" 2 "$(get net/ipv4/conf/v0.5/rp_filter)"
    call sysctl-set "$spelling=2" stop
    same "its former value" "$old" "$(get net/ipv4/conf/v0.5/rp_filter)"
done

set -- net.ipv4.ip_forward=1 'net.ipv4.ip_local_port_range=20000 30000'
call sysctl-set "$@" start
put net/ipv4/ip_local_port_range '25000 35000'
call sysctl-set "$@" status
gives "changed by somebody else" 3 "not running): net.ipv4.ip_local_port_range is '25000 35000'"
call sysctl-set "$@" stop
gives "stop after that" 0 '' 'somebody else'
same "their value stays, ours goes" "0 25000 35000" "$(get net/ipv4/ip_forward) $(get net/ipv4/ip_local_port_range | tr '\t' ' ')"
call sysctl-set "$@" start
put net/ipv4/ip_forward 0
call sysctl-set "$@" start
gives "a second start sets it again" 0
same "it is set" 1 "$(get net/ipv4/ip_forward)"
call sysctl-set "$@" stop
same "and the value before the first start comes back" 0 "$(get net/ipv4/ip_forward)"

call sysctl-set net.ipv4.ip_forward=1 net.no.such=1 start
gives "an unknown key" 1 '' 'no readable setting net.no.such'
same "nothing was set" 0 "$(get net/ipv4/ip_forward)"
call sysctl-set net.ipv4.ip_forward=1 net.ipv4.ip_local_port_range=nonsense start
gives "a value the kernel refuses" 1 '' 'does not take net.ipv4.ip_local_port_range'
same "the one set before is back" 0 "$(get net/ipv4/ip_forward)"
call sysctl-set net.ipv4.ip_forward=1 net.ipv4.ip_local_port_range=nonsense status
gives "and it is stopped" 3
: >"$work/file"
HA_RSCTMP=$work/file/x call sysctl-set net.ipv4.ip_forward=1 start
gives "without a state folder" 1 '' 'could not be put back'
same "nothing is set" 0 "$(get net/ipv4/ip_forward)"
exit 0
