#!/bin/sh
# agent PIDFILE ACTION: start leaves a daemon in the agent's process group, with its output redirected.
sleep 1000 >/dev/null 2>&1 &
echo "$!" >"$1"
