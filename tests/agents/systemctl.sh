#!/bin/sh
# A systemctl for tests: a unit's state is a file in a folder, whose name the test puts in the place of @UNITS@.
units="@UNITS@"
action=
for word in "$@"; do
    case "$word" in
    start | stop | show) [ -n "$action" ] || action=$word ;;
    esac
done
unit=$word
echo "$*" >>"$units/calls"
if [ "$action" = show ]; then
    state=inactive/dead load=loaded
    [ ! -e "$units/$unit" ] || state=$(cat "$units/$unit")
    case "$unit" in
    missing*) load=not-found ;;
    esac
    echo "Result=exit-code"
    echo "LoadState=$load"
    echo "ActiveState=${state%/*}"
    echo "SubState=${state#*/}"
    exit 0
fi
case "$unit" in
missing*)
    echo "Failed to $action $unit: Unit $unit not found." >&2
    exit 5
    ;;
broken*)
    echo "Job for $unit failed because the control process exited with error code." >&2
    exit 1
    ;;
hanging*) sleep 1000 ;;
esac
case "$action" in
start) echo active/running >"$units/$unit" ;;
stop) echo inactive/dead >"$units/$unit" ;;
esac
