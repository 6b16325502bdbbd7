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
    while [ "$1" != -- ]; do shift; done
    shift
    for unit in "$@"; do
        case "$unit" in
        bad*)
            echo "Failed to get properties: Unit name $unit is neither a valid invocation ID nor unit name." >&2
            exit 1
            ;;
        esac
    done
    first=yes
    for unit in "$@"; do
        [ "$first" = yes ] || echo
        first=no
        state=inactive/dead load=loaded
        [ ! -e "$units/$unit" ] || state=$(cat "$units/$unit")
        case "$unit" in
        missing*) load=not-found ;;
        hanging*) [ ! -e "$units/hang" ] || sleep 1000 ;;
        esac
        echo "Result=exit-code"
        echo "LoadState=$load"
        echo "ActiveState=${state%/*}"
        echo "SubState=${state#*/}"
    done
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
