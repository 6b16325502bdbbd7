#!/bin/sh
# agent PIDFILE ACTION: writes for ever, to both outputs, without ever ending a line on stderr.
echo "$$" >"$1.new" && mv "$1.new" "$1"
tr '\0' 'x' </dev/zero >&2 &
yes
