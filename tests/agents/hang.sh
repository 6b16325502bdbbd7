#!/bin/sh
# agent PIDFILE ACTION: hangs, with children in its group, one of them in the background.
sleep 1000 &
echo "$$" >"$1.new" && mv "$1.new" "$1"
echo "hanging"
sleep 1000
