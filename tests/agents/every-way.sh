#!/bin/sh
# An OCF agent that fails in every way there is. OCF_RESKEY_way: exit-N, signal-NAME, hang, deaf (hangs and ignores TERM),
# flood (writes without end, then exit-0), fork (leaves a daemon that holds the output open, then exit-0).
# OCF_RESKEY_pid: a file for the process that it leaves behind.
way=${OCF_RESKEY_way:-}
case $way in
exit-*)
    echo "ending with ${way#exit-}" >&2
    exit "${way#exit-}"
    ;;
signal-*) kill -"${way#signal-}" $$ ;;
hang) sleep 1000 ;;
deaf)
    trap '' TERM
    while :; do sleep 1000; done
    ;;
flood) head -c 4194304 /dev/zero | tr '\0' 'x' ;;
fork)
    setsid sleep 1000 &
    echo "$!" >"${OCF_RESKEY_pid:?}"
    ;;
esac
