#!/bin/sh
# Ends with the code it is given: as first argument, or as an OCF parameter, or in its own name (exit-3).
case "$0" in
*exit-*) code=${0##*exit-} ;;
*) code=${OCF_RESKEY_code:-$1} ;;
esac
echo "something on stdout"
echo "ending with $code" >&2
exit "$code"
