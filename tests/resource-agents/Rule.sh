#!/bin/sh
# Rule: exactly the rule asked for; those of others are never touched.
# shellcheck disable=SC2317 # functions are called by way of is, isnt, within and trap
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

bad Rule
bad Rule table 100
bad Rule from 192.0.2.1
bad Rule from 192.0.2.1 table
bad Rule from 192.0.2.1 table no-such-table
bad Rule from 192.0.2.1 table 100 priority 0
bad Rule from 192.0.2.1 table 100 priority 32766
bad Rule from 192.0.2.1 to fd00::1 table 100
bad Rule from 192.0.2.1 inet6 table 100
bad Rule from 192.0.2.0/33 table 100
bad Rule from nonsense table 100
bad Rule from 192.0.2.1 from 192.0.2.2 table 100
bad Rule fwmark -1 table 100
bad Rule fwmark 0x1/zz table 100
bad Rule iif a/b table 100
bad Rule over 192.0.2.1 table 100

pair
all() { ip -n "$one" rule; ip -n "$one" -6 rule; }
before=$(all)
has() { all | grep -q "$1"; }

life Rule from 192.0.2.1 table 100
life Rule from 192.0.2.0/24 to 10.0.0.0/8 table 100 priority 500
life Rule to 10.9.0.1/32 table main priority 501
life Rule iif v0 table 101
life Rule oif v0 from 192.0.2.1 table 102
life Rule iif nosuch0 table 101
life Rule fwmark 0x10 table 103
life Rule fwmark 16/255 table 103
life Rule from fd77::1 table 100
life Rule from fd77:0:0::/48 to fd88::/16 table 4000000000 priority 7
life Rule fwmark 7 inet6 table 100
same "nothing is left" "$before" "$(all)"

call Rule from 192.0.2.1 table 100 start
is "the rule is there, and marked" has '^32000:.from 192.0.2.1 lookup 100 proto 104'
for other in "from 192.0.2.0/24 table 100" "from 192.0.2.1 to 10.0.0.1 table 100" "from 192.0.2.1 table 101" \
    "from 192.0.2.1 table 100 priority 31999" "from 192.0.2.1 iif v0 table 100" "from 192.0.2.1 fwmark 1 table 100" \
    "to 192.0.2.1 table 100"; do
    # shellcheck disable=SC2086 # words
    call Rule $other status
    gives "$other is another one" 3
    # shellcheck disable=SC2086
    call Rule $other stop
    gives "... and its stop is none of this one's" 0
done
is "it is still there" has '^32000:.from 192.0.2.1 lookup 100 proto 104'
ip -n "$one" rule del pref 32000
call Rule from 192.0.2.1 table 100 status
gives "when somebody removes it, status says so" 3 'not running'
call Rule from 192.0.2.1 table 100 start
gives "... and a start brings it back" 0
call Rule from 192.0.2.1 table 100 stop
gives "... and a stop takes it away" 0
isnt "... really" has '^32000:'

ip -n "$one" rule add from 192.0.2.1 table 100 pref 32000
call Rule from 192.0.2.1 table 100 status
gives "the same rule by somebody else is not ours" 3 'somebody else'
call Rule from 192.0.2.1 table 100 start
gives "and in the way" 1 '' 'somebody else'
call Rule from 192.0.2.1 table 100 stop
is "and stays after a stop" has '^32000:.from 192.0.2.1 lookup 100$'
call Rule from 192.0.2.1 table 100 priority 31000 start
gives "beside it with another priority" 0
call Rule from 192.0.2.1 table 100 priority 31000 stop
isnt "stop takes that one" has '^31000:'
is "... and only that one" has '^32000:'
exit 0
