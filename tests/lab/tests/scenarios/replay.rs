//! Recorded heartbeats, authentic and unchanged, are sent again later.

use lab::hbd::Status;
use lab::hbd::config::address;
use lab::net::space::lab_program;
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario, served, throughout};
use lab::{LabError, Result};

use super::WHILE;

const RECORD: &str = "/var/recorded";

/// All packets a node has rejected.
fn rejected(status: &Status) -> u64 {
    let counts = status.raw["rejected"].as_object();
    counts.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
}

/// Runs the lab's own program on the machine c.
fn lab(pair: &Pair, words: &[&str]) -> Result<String> {
    let program = lab_program()?.display().to_string();
    pair.world.must("c", &[&[program.as_str()], words].concat())
}

fn replayed(pair: &Pair) -> Result<()> {
    let sent =
        lab(pair, &["replay", "--rounds", "5", RECORD, "10.78.0.255:694", "10.77.0.1:694", "10.77.0.2:694"])?;
    pair.world.timeline.note(format!("{} recorded packets were sent again", sent.trim()));
    let some = sent.trim().parse::<u32>().is_ok_and(|sent| sent > 20);
    check(some, || format!("so few were sent: {sent}"))
}

#[test]
fn the_dead_are_not_raised_and_the_living_not_disturbed() {
    let make = || Pair::beside(&["c"], |s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")]));
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        lab(pair, &["record", "--from", "10.78.0.1", "--count", "10", RECORD])?;
        // Of this very life, in which they have been heard already.
        let before = rejected(&pair.joined("b", "a")?);
        replayed(pair)?;
        pair.wait("b", "the replayed are counted", |s| rejected(s) > before)?;
        pair.stays_with("a", WHILE / 2)?;

        // Their sender is dead; they say that it is up and owns.
        pair.world.power_off("a")?;
        pair.owned_by("b")?;
        let before = rejected(&pair.wait("b", "a is dead", |s| s.sees("a", "dead"))?);
        replayed(pair)?;
        pair.wait("b", "the replayed are counted", |s| rejected(s) > before)?;
        throughout("the dead stay dead", WHILE / 2, || {
            let status = pair.status("b").ok_or_else(|| LabError::new("b gives no status"))?;
            check(status.sees("a", "dead") && status.has(GROUP, "started", Some("b")), || format!("{status}"))
        })?;

        // The hearer is another one now, and knows the sender only from its disk.
        pair.crash("b")?;
        pair.start_again("b")?;
        pair.wait("b", "it listens", |_| true)?;
        replayed(pair)?;
        pair.wait("b", "a was never heard", |s| s.sees("a", "dead") && s.has(GROUP, "started", Some("b")))?;
        replayed(pair)?;
        pair.owned_by("b")?;
        served(pair, VIP)?;

        // And when the sender really comes back, it is believed.
        pair.boot("a")?;
        pair.joined("b", "b")?;
        replayed(pair)?;
        pair.stays_with("b", WHILE)
    });
}
