#!/bin/sh
# agent PIDFILE COUNTFILE ACTION: start leaves a daemon that goes on writing to the agent's output.
(
    n=0
    while :; do
        n=$((n + 1))
        printf 'line %d %01000d\n' "$n" 0 || exit 1
        echo "$n" >"$2.new" && mv "$2.new" "$2"
        [ "$n" -lt 200 ] || sleep 1
    done
) &
echo "$!" >"$1"
