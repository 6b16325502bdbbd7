#!/bin/sh
# agent PIDFILE ACTION: hangs and ignores TERM, and so do its children.
trap '' TERM
sleep 1000 &
echo "$$" >"$1.new" && mv "$1.new" "$1"
while :; do sleep 1000; done
