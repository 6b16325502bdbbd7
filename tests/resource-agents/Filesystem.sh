#!/bin/sh
# Filesystem in a mount namespace of its own: tmpfs, bind, ext4 in an image; busy, foreign, covered, odd names.
# shellcheck disable=SC2317 # functions are called by way of is, isnt, within and trap
set -u
if [ "${RA_OWN_MOUNTS:-}" != yes ]; then
    RA_OWN_MOUNTS=yes
    export RA_OWN_MOUNTS
    exec unshare -m --propagation private sh "$0"
fi
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

started=''
clean_more() {
    for id in $started; do
        kill -KILL "$id" 2>/dev/null
    done
    # This namespace goes with this script, and every mount in it; the folder is emptied before that.
    awk -v at="$work/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r place; do
        umount "$(printf '%b' "$place")" 2>/dev/null
    done
}

bad Filesystem
bad Filesystem tmpfs
bad Filesystem tmpfs relative
bad Filesystem tmpfs /
bad Filesystem tmpfs ///
bad Filesystem -t /mnt
bad Filesystem tmpfs /mnt 'a b'
bad Filesystem tmpfs /mnt tmpfs 'size=1m, noexec'
bad Filesystem relative /mnt bind
bad Filesystem tmpfs /mnt tmpfs ro more
TERM_WAIT=x bad Filesystem tmpfs /mnt tmpfs

m=$work/mnt
mkdir "$m"
export TERM_WAIT=2 KILL_WAIT=10
mounted() { grep -q " $1 " /proc/self/mountinfo; }
# holder COMMAND...: a process in the background; its id becomes the last of started.
holder() {
    "$@" </dev/null >/dev/null 2>&1 &
    held_by=$!
    started="$started $held_by"
}

life Filesystem tmpfs "$m" tmpfs size=1m
life Filesystem scratch "$m/" tmpfs
call Filesystem tmpfs "$m" tmpfs size=1m,noexec start
is "the options reach the mount" sh -c "grep ' $m ' /proc/self/mountinfo | grep -q noexec"
call Filesystem tmpfs "$m" tmpfs stop
isnt "it is unmounted" mounted "$m"

mkdir "$work/source" "$work/source/inner" "$work/other"
: >"$work/source/inner/file"
life Filesystem "$work/source" "$m" bind
life Filesystem "$work/source/inner" "$m" - bind,ro
call Filesystem "$work/source" "$m" bind start
is "bind: the content is there" test -e "$m/inner/file"
call Filesystem "$work/source/inner" "$m" bind status
gives "bind: another directory of the same disk is another mount" 3 'not running'
call Filesystem "$work/source/inner" "$m" bind start
gives "bind: and in the way" 1 '' 'already is the mount point'
# A bind mount lies on the disk of the whole machine; only who is inside may be ended.
holder sh -c "cd '$work/source' && exec sleep 1000"
outside=$held_by
within 5 sh -c "readlink /proc/$outside/cwd | grep -q source"
holder sh -c "cd '$m/inner' && exec sleep 1000"
within 5 sh -c "readlink /proc/$held_by/cwd | grep -q mnt"
call Filesystem "$work/source" "$m" bind stop
gives "bind: stop of a busy one" 0 '' "$held_by (sleep)"
is "bind: who was inside is ended" within 5 gone "$held_by"
isnt "bind: who uses the source is not" gone "$outside"
touch "$work/onefile" "$work/target"
life Filesystem "$work/onefile" "$work/target" bind

odd="$work/a b	c\\d#e"
mkdir "$odd" "$odd-source"
life Filesystem tmpfs "$odd" tmpfs
life Filesystem "$odd-source" "$odd" bind
ln -s "$m" "$work/link"
life Filesystem tmpfs "$work/link" tmpfs

# Somebody else's.
mount -t tmpfs foreign "$m"
call Filesystem mine "$m" tmpfs status
gives "something else is mounted there" 3 'not running): foreign is mounted'
call Filesystem mine "$m" tmpfs start
gives "start refuses" 1 '' 'already is the mount point of foreign'
call Filesystem mine "$m" tmpfs stop
gives "stop leaves it" 0 '' 'it stays'
is "it is still there" mounted "$m"
umount "$m"
call Filesystem mine "$m" tmpfs start
mount -t tmpfs foreign "$m"
call Filesystem mine "$m" tmpfs status
gives "ours is covered by another" 4 '^unknown$' 'mounted over it'
call Filesystem mine "$m" tmpfs stop
gives "stop cannot then" 1 '' 'unmount that first'
umount "$m"
mkdir "$m/below"
mount -t tmpfs deeper "$m/below"
holder sh -c "cd '$m' && exec sleep 1000"
within 5 sh -c "readlink /proc/$held_by/cwd | grep -q mnt"
call Filesystem mine "$m" tmpfs stop
gives "another one is mounted below" 1 '' "below it: $m/below"
isnt "nobody was ended for that" gone "$held_by"
umount "$m/below"
call Filesystem mine "$m" tmpfs stop
gives "then it goes" 0

# Every way of being busy.
busy() {
    call Filesystem busy "$m" tmpfs start
    cp "$(command -v sleep)" "$m/prog"
    : >"$m/file"
    what=$1
    shift
    holder "$@"
    within 5 sh -c "ls -l /proc/$held_by/cwd /proc/$held_by/root /proc/$held_by/exe /proc/$held_by/fd | grep -q '$m'" ||
        within 1 grep -q "$m/socket" /proc/net/unix || fail "busy by $what" "the process does not hold it"
    call Filesystem busy "$m" tmpfs stop
    gives "busy by $what" 0 '' "in use by .*$held_by ("
    is "busy by $what: the process is ended" within 5 gone "$held_by"
    isnt "busy by $what: it is unmounted" mounted "$m"
}
busy "a working directory" sh -c "cd '$m' && exec sleep 1000"
busy "an open file" sh -c "exec sleep 1000 3<'$m/file'"
busy "a deleted file" sh -c "exec 3<'$m/file'; rm '$m/file'; exec sleep 1000"
busy "a running program" "$m/prog" 1000
if command -v python3 >/dev/null 2>&1; then
    busy "a bound socket" python3 -c "
import socket, time
s = socket.socket(socket.AF_UNIX); s.bind('$m/socket'); time.sleep(1000)"
else
    skip "busy by a bound socket" "python3 is not installed"
fi
busy "one that ignores TERM" sh -c "trap '' TERM; cd '$m'; while :; do sleep 0.1; done"
is "it took a KILL, and that was said" grep -q 'they get KILL' "$work/err"

# The agent's own ancestors are spared: this shell stands in the way, and stop says so.
call Filesystem busy "$m" tmpfs start
here=$PWD
cd "$m" || exit 1
call Filesystem busy "$m" tmpfs stop
cd "$here" || exit 1
gives "in use by the caller itself" 1 '' 'cannot unmount'
is "it is still mounted, not hidden" mounted "$m"
# A process with mounts of its own that only looks the same: same path, other file system.
holder unshare -m sh -c "mount --make-rprivate / && umount '$m' && cd '$m' && exec sleep 1000"
within 5 sh -c "readlink /proc/$held_by/cwd | grep -q mnt"
container=$held_by
holder sh -c "cd '$m' && exec sleep 1000"
inner=$held_by
within 5 sh -c "readlink /proc/$inner/cwd | grep -q mnt"
call Filesystem busy "$m" tmpfs stop
gives "busy, with a container beside" 0 '' "$inner (sleep)"
isnt "the container's process is spared" gone "$container"

call Filesystem tmpfs "$work/nowhere" tmpfs start
gives "the directory does not exist" 1 '' 'does not exist'
call Filesystem /dev/no-such-disk "$m" ext4 start
gives "the device does not exist" 1 '' 'is not here'
call Filesystem /dev/no-such-disk "$m" ext4 stop
gives "stop without the device" 0
call Filesystem UUID=00000000-1111-2222-3333-444444444444 "$m" ext4 start
gives "no such UUID" 1 '' 'is not here'
call Filesystem "$work/source" "$m" start
gives "a directory without bind" 1 '' 'is a directory'
call Filesystem tmpfs "$m" nosuchfs start
gives "no such type" 1 '' 'cannot mount'

image=$work/image
if ! command -v mkfs.ext4 >/dev/null 2>&1 || ! dd if=/dev/zero of="$image" bs=1M count=8 2>/dev/null ||
    ! mkfs.ext4 -q -F -L ra-test "$image" || ! mount -o loop "$image" "$m" 2>/dev/null; then
    skip "ext4 in an image" "no mkfs.ext4 or no loop device here"
    exit 0
fi
umount "$m"
life Filesystem "$image" "$m" ext4
life Filesystem "$image" "$m"
life Filesystem "$image" "$m" auto ro
loop=$(losetup -f --show "$image") || exit 1
life Filesystem "$loop" "$m" ext4 noatime
ln -s "$loop" "$work/disk"
life Filesystem "$work/disk" "$m" ext4
uuid=$(blkid -o value -s UUID "$loop")
if [ -n "$(findfs "UUID=$uuid" 2>/dev/null)" ]; then
    life Filesystem "UUID=$uuid" "$m" ext4
    life Filesystem LABEL=ra-test "$m"
else
    skip "UUID= and LABEL=" "findfs does not see loop devices here"
fi
mount -t tmpfs foreign "$m"
call Filesystem UUID=00000000-1111-2222-3333-444444444444 "$m" ext4 status
gives "something is mounted, and the device cannot be found to compare" 4 '^unknown$' 'cannot be found to compare'
umount "$m"
# A file system with an error that only a person may repair: fsck -p refuses, and so does start.
for request in 'clri <2>' 'set_super_value state 0'; do
    debugfs -w -R "$request" "$loop" >/dev/null 2>&1
done
call Filesystem "$loop" "$m" ext4 start
gives "a broken file system" 1 '' 'fsck.ext4'
isnt "is not mounted" mounted "$m"
losetup -d "$loop"
exit 0
