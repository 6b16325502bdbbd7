#!/bin/sh
# MailTo with mailers that work, fail, hang and are missing; all of them stand-ins on PATH.
# shellcheck disable=SC2317 # functions are called by way of is, isnt, within and trap
set -u
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

bad MailTo ''
bad MailTo -oops
bad MailTo 'a b@example.com'
bad MailTo a@example.com,,b@example.com
bad MailTo 'a@example.com;reboot'
bad MailTo a@example.com subject more
MAILTO_TIMEOUT=soon bad MailTo a@example.com

# mailer NAME: a program of that name, alone in its folder; the body on stdin.
mailer() {
    rm -rf "${work:?}/bin"
    mkdir -p "$work/bin"
    { echo '#!/bin/sh'; cat; } >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
recording() {
    printf '%s\n' "{ echo \"\$0\"; for word in \"\$@\"; do echo \"<\$word>\"; done; cat; echo end; } >>'$work/mail'"
}
# A mailer of this machine must not be found: PATH is ours, and the agent adds the usual folders behind it.
others=0
for mailer in mail mailx sendmail; do
    # One at a time: dash looks for the first only. The agent looks where a login of root does.
    if (PATH=$PATH:/usr/sbin:/sbin command -v "$mailer") >/dev/null 2>&1; then
        others=1
    fi
done
PATH=$work/bin:$PATH
export PATH
got() { grep -q "$1" "$work/mail"; }
ends() { [ "$(grep -c '^end$' "$work/mail" 2>/dev/null)" = "$1" ]; }

recording | mailer mail
life MailTo admin@example.com,root 'LVS pair'
is "one mail on start and one on stop" within 10 ends 2
is "subject with the event and the host" got "<LVS pair: takeover on $(uname -n)>"
is "the first address" got '<admin@example.com>'
is "the second address" got '<root>'
is "the text names the host" got "$(uname -n) has taken over the resource group at "
is "the mail on stop" got "<LVS pair: stop on $(uname -n)>"

rm -f "$work/mail"
HBD_GROUP=www call MailTo root start
is "with the group" within 10 ends 1
is "in the subject, which has a default" got "<Cluster: takeover of www on $(uname -n)>"
call MailTo root stop
is "a start and a stop are two mails" within 10 ends 2

echo 'exit 1' | mailer mail
life MailTo root 'failing mailer'

# It hangs, and ignores TERM.
mailer mail <<HANG
trap '' TERM
echo \$\$ >>'$work/hanging'
while :; do sleep 0.1; done
HANG
MAILTO_TIMEOUT=1
export MAILTO_TIMEOUT
call MailTo root hang start
gives "start with a mailer that hangs" 0
is "the mailer was called" within 10 test -s "$work/hanging"
# The caller's pipe is not held either: this reads it to its end.
MAILTO_TIMEOUT=60 timeout 30 "$agents/MailTo" root hang stop 2>&1 9>/dev/null | cat >"$work/piped"
same "stop with a mailer that hangs ends, and says nothing" '' "$(cat "$work/piped")"
is "both mailers were called" within 10 sh -c "[ \$(wc -l <'$work/hanging') -eq 2 ]"
first=$(head -n 1 "$work/hanging")
second=$(tail -n 1 "$work/hanging")
is "the one with the short time was ended" within 20 gone "$first"
isnt "the one with the long time was not" gone "$second"
kill -KILL "$second"
unset MAILTO_TIMEOUT

if [ "$others" = 1 ]; then
    skip "sendmail, mailx, no mailer" "this machine has a mailer of its own"
else
    rm -f "$work/mail"
    recording | mailer mailx
    call MailTo root 'by mailx' start
    is "mailx is used" within 10 ends 1
    is "by its name" got '/mailx$'
    rm -f "$work/mail"
    recording | mailer sendmail
    call MailTo a@example.com,root 'by sendmail' start
    is "sendmail is used" within 10 ends 1
    is "with the addresses" got '<root>'
    is "and a subject" got '^Subject: by sendmail: takeover on '
    is "and a recipient" got '^To: a@example.com,root$'
    rm -rf "${work:?}/bin"
    call MailTo root 'no mailer' start
    gives "no mailer" 0 '' 'none of mail, mailx, sendmail'
    same "that is one line" 1 "$(printf '%s\n' "$err" | wc -l)"
    call MailTo root 'no mailer' stop
    gives "no mailer, stop" 0
fi

: >"$work/file"
HA_RSCTMP=$work/file/x call MailTo root start
gives "without a state folder" 0 '' 'cannot write'
exit 0
