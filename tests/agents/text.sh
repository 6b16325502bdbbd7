#!/bin/sh
# agent TEXT CODE ACTION: prints the text and ends with the code.
printf '%s\n' "$1"
exit "$2"
