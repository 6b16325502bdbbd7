#!/bin/sh
# agent PIDFILE ACTION: ends at TERM at once, but leaves a child in its group that ignores it.
(
    trap '' TERM
    echo "$$" >"$1.new" && mv "$1.new" "$1"
    while :; do sleep 1000; done
) &
wait
