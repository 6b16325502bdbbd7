#!/bin/sh
# agent BYTES ACTION: writes that much, in lines of a hundred.
yes "$(printf '%099d' 7)" | head -c "$1"
echo "the last word" >&2
