#!/bin/sh
# agent SIGNAL ACTION: dies by it.
kill -s "$1" "$$"
sleep 1000
