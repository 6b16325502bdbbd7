#!/bin/sh
# An honest agent of Heartbeat's class: agent NAME start|stop|status; its state is a file in HA_RSCTMP.
state="$HA_RSCTMP/$1"
case "$2" in
start) : >"$state" && echo "started $1" ;;
stop) rm -f "$state" && echo "stopped $1" ;;
status) if [ -e "$state" ]; then echo "$1 is running"; else echo "$1 is not running"; fi ;;
*) exit 2 ;;
esac
