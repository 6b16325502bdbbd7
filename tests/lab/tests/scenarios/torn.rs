//! The files on disk are torn, emptied, deleted: hbd starts all the same, and epochs go on above what the peer knows.

use lab::pair::{GROUP, Pair};
use lab::scenario::{check, scenario};
use lab::{LabError, Result};

const STATE: &str = "/var/lib/hbd/state.json";

/// The epoch both nodes name, with `owner` as the owner.
fn epoch(pair: &Pair, owner: &str) -> Result<u64> {
    pair.owned_by(owner)?;
    let status = pair.joined("b", owner)?;
    status.group(GROUP).map(|g| g.epoch).ok_or_else(|| LabError::new("no group"))
}

/// Length of a file on a.
fn length(pair: &Pair, path: &str) -> Result<u64> {
    let text = pair.world.must("a", &["stat", "-c", "%s", path])?;
    text.trim().parse().map_err(|e| LabError(format!("stat said {text}: {e}")))
}

/// The node a dies, `damage` is done to its disk, and it comes back: standing by, and able to own under a higher epoch.
fn comes_back(pair: &Pair, what: &str, damage: &str) -> Result<()> {
    let before = epoch(pair, "a")?;
    pair.crash("a")?;
    pair.world.timeline.note(format!("a's disk: {what}"));
    pair.world.must("a", &["sh", "-c", damage])?;
    let taken = epoch_at_b(pair)?;
    check(taken > before, || format!("{what}: b took over with epoch {taken}, and it was {before}"))?;
    pair.start_again("a")?;
    pair.joined("a", "b")?;
    let found = epoch(pair, "b")?;
    check(found == taken, || format!("{what}: the epoch was {taken} and is {found}"))?;
    pair.order("b", &["move", GROUP, "--to", "a"])?;
    let now = epoch(pair, "a")?;
    check(now > taken, || format!("{what}: epoch {now} after {taken}"))
}

/// b has taken over alone.
fn epoch_at_b(pair: &Pair) -> Result<u64> {
    pair.owned_by("b")?;
    let status =
        pair.wait("b", "b took over", |s| s.sees("a", "dead") && s.has(GROUP, "started", Some("b")))?;
    status.group(GROUP).map(|g| g.epoch).ok_or_else(|| LabError::new("no group"))
}

#[test]
fn torn_state_files() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let whole = length(pair, STATE)?;
        for cut in [0, 1, whole / 2, whole - 1] {
            let both = format!("truncate -s {cut} {STATE} && truncate -s {cut} {STATE}.old");
            comes_back(pair, &format!("both files torn after {cut} of {whole} bytes"), &both)?;
        }
        comes_back(pair, "the newer file torn", &format!("truncate -s {} {STATE}", whole / 3))
    });
}

#[test]
fn damaged_and_missing_files() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        comes_back(pair, "everything deleted", "rm -rf /var/lib/hbd/*")?;
        comes_back(
            pair,
            "a byte changed",
            &format!("printf X | dd of={STATE} bs=1 seek=20 conv=notrunc 2>&1"),
        )?;
        comes_back(pair, "the events torn", "for f in /var/lib/hbd/*event*; do printf '{\"tor' >>$f; done")?;
        comes_back(
            pair,
            "garbage in place of both",
            &format!("head -c 9999 /dev/urandom | tee {STATE} >{STATE}.old"),
        )
    });
}

#[test]
fn the_owners_disk_is_lost_under_it() {
    scenario(Pair::running, |pair| {
        let before = epoch(pair, "a")?;
        pair.crash("a")?;
        pair.world.must("a", &["rm", "-rf", "/var/lib/hbd"])?;
        pair.start_again("a")?;
        // It may keep what it has or give way to b; there is one owner, and its epoch is not an older one.
        let whole = |s: &lab::hbd::Status| s.sees("b", "up") && s.groups[0].state == "started";
        pair.wait("a", "the pair is whole", whole)?;
        let status =
            pair.wait("b", "the group is started", |s| s.sees("a", "up") && s.groups[0].state == "started")?;
        let owner = status.groups[0].owner.clone().unwrap_or_default();
        let now = epoch(pair, &owner)?;
        check(now >= before, || format!("the epoch was {before} and is {now}"))?;
        pair.stays_with(&owner, super::WHILE)
    });
}
