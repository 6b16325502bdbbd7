#!/bin/sh
# Writes what is no text, and fails.
printf '\377\376\033[31m\000 ja\303\244 \001\n'
printf 'no end \200'
exit 1
