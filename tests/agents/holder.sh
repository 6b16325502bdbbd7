#!/bin/sh
# agent PIDFILE ACTION: leaves a process that holds the agent's output open.
sleep 1000 &
echo "$!" >"$1"
echo "left a holder"
exit "${2:-0}"
