#!/bin/sh
# agent FILE ACTION: hangs, and ends in order at TERM, as its child in the background does: both write it down.
trap 'echo leader >>"$1"; wait; exit 0' TERM
(
    trap 'echo child >>"$1"; exit 0' TERM
    echo up >>"$1"
    while :; do sleep 0.1; done
) &
wait
