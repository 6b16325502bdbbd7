# shellcheck shell=sh
# What the tests of the resource agents share. Each test reads it with `.`, makes its own folder and namespaces, and
# leaves nothing behind.

agents=$(cd ../../resource-agents && pwd)
work=$(mktemp -d /tmp/ra-test.XXXXXX)
HA_RSCTMP=$work/state
export HA_RSCTMP
netns=''
inside=''

# clean_more may be defined by the test.
clean_more() { :; }

# shellcheck disable=SC2317 # called by trap
clean_up() {
    clean_more
    for space in $netns; do
        ip netns del "$space" 2>/dev/null
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

ok() {
    printf 'ok %s\n' "$1"
}

# fail NAME WHY
fail() {
    printf 'FAIL %s: %s\n' "$1" "$(printf '%s' "$2" | tr '\n' ' ')"
}

skip() {
    printf 'skip %s: %s\n' "$1" "$2"
}

# call AGENT ARG...: runs it in bounded time (in the namespace $inside, if set); sets code, out, err.
call() {
    called=$1
    shift
    # shellcheck disable=SC2086 # inside is a list of words
    timeout -k 5 60 $inside "$agents/$called" "$@" >"$work/out" 2>"$work/err" </dev/null
    code=$?
    out=$(cat "$work/out")
    err=$(cat "$work/err")
}

# gives NAME CODE [OUT-PATTERN [ERR-PATTERN]]: judges the last call; the patterns are basic regular expressions.
gives() {
    if [ "$code" -ne "$2" ]; then
        fail "$1" "exit code $code, not $2; stdout '$out', stderr '$err'"
    elif [ -n "${3:-}" ] && ! printf '%s\n' "$out" | grep -q "$3"; then
        fail "$1" "stdout is '$out', not like '$3'; stderr '$err'"
    elif [ -n "${4:-}" ] && ! printf '%s\n' "$err" | grep -q "$4"; then
        fail "$1" "stderr is '$err', not like '$4'"
    else
        ok "$1"
    fi
}

# is NAME COMMAND...: COMMAND succeeds.
is() {
    what=$1
    shift
    if "$@" >"$work/is" 2>&1; then
        ok "$what"
    else
        fail "$what" "'$*' failed: $(cat "$work/is")"
    fi
}

# isnt NAME COMMAND...: COMMAND fails.
isnt() {
    what=$1
    shift
    if "$@" >"$work/is" 2>&1; then
        fail "$what" "'$*' succeeded: $(cat "$work/is")"
    else
        ok "$what"
    fi
}

# same NAME WANT HAVE
same() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        fail "$1" "have '$3', want '$2'"
    fi
}

# within SECONDS COMMAND...: calls COMMAND until it succeeds; 1 when it never did.
within() {
    left=$(($1 * 20))
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.05
    done
}

# gone PID: no such process, or only a zombie that its parent has not looked at yet.
gone() {
    { state=$(sed 's/.*) //' "/proc/$1/stat"); } 2>/dev/null || return 0
    case $state in
        '' | Z* | X*) return 0 ;;
    esac
    return 1
}

# life AGENT ARG...: the life every resource has: stopped, started twice, stopped twice.
life() {
    called_as="$1"
    call "$@" status
    gives "$called_as: status before the start" 3 'not running'
    call "$@" stop
    gives "$called_as: stop before the start" 0
    call "$@" start
    gives "$called_as: start" 0
    call "$@" status
    gives "$called_as: status after the start" 0 '^running$'
    call "$@" monitor
    gives "$called_as: monitor is status" 0 '^running$'
    call "$@" start
    gives "$called_as: second start" 0
    call "$@" stop
    gives "$called_as: stop" 0
    call "$@" status
    gives "$called_as: status after the stop" 3 'not running'
    call "$@" stop
    gives "$called_as: second stop" 0
}

# bad AGENT ARG...: these arguments are refused with 2 by every action, and nothing is left in the state folder.
bad() {
    for action in start stop status; do
        call "$@" "$action"
        if [ "$code" -ne 2 ] || [ -z "$err" ]; then
            fail "bad arguments: $* $action" "exit code $code, not 2; stderr '$err'"
            return
        fi
    done
    ok "bad arguments: $*"
}

# pair: two namespaces joined by a cable, $one (interface v0) and $two (interface v1); $inside becomes the first.
pair() {
    one=ra-$$-1
    two=ra-$$-2
    netns="$one $two"
    ip netns add "$one" && ip netns add "$two" || exit 1
    ip -n "$one" link add v0 type veth peer name v1 netns "$two" || exit 1
    for place in "$one v0" "$two v1"; do
        # A new address is usable at once, so that no test waits for a duplicate check.
        ip netns exec "${place% *}" sh -c "echo 0 >/proc/sys/net/ipv6/conf/${place#* }/accept_dad"
        ip -n "${place% *}" link set lo up
        ip -n "${place% *}" link set "${place#* }" up
    done
    inside="ip netns exec $one"
}
