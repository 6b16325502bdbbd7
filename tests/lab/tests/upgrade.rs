//! Upgrade without an outage: an older version of hbd, this one beside it, and this one alone.
//!
//! `HBD_OLD_BIN_DIR` is where the older programs are; `scripts/old` builds them from this repository's history. hbctl is always
//! the new one: it must understand an older daemon, too.

use std::path::PathBuf;
use std::time::Duration;

use lab::hbd::config::address;
use lab::hbd::daemon::program;
use lab::pair::{GROUP, Pair, VIP, other};
use lab::scenario::{check, scenario, serves};
use lab::{Result, agent};

/// Long enough for a false failover at a deadtime of two seconds.
const WHILE: Duration = Duration::from_secs(4);

/// The older hbd; `None`, and said, if there is none here.
fn old() -> Option<PathBuf> {
    let folder = std::env::var_os("HBD_OLD_BIN_DIR").map(PathBuf::from);
    match folder {
        Some(folder) => Some(folder.join("hbd").canonicalize().expect("HBD_OLD_BIN_DIR has an hbd in it")),
        None => {
            eprintln!("SKIPPED: HBD_OLD_BIN_DIR is not set; see scripts/old");
            None
        }
    }
}

/// Both nodes with the older version: an address, a service that is looked at, and one after it.
fn make() -> Result<Pair> {
    let pair = Pair::with(|mut settings| {
        settings.deadtime = "2s".to_owned();
        let web = agent::service("web", ", monitor = \"200ms\"");
        settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &web, &agent::service("log", "")])
    })?;
    for node in ["a", "b"] {
        pair.settings.install(&pair.world, node)?;
    }
    Ok(pair)
}

fn start_old(pair: &Pair, old: &std::path::Path) -> Result<()> {
    for node in ["a", "b"] {
        pair.start_program(node, old)?;
    }
    for node in ["a", "b"] {
        pair.joined(node, "a")?;
    }
    pair.owned_by("a").map(drop)
}

/// As `systemctl restart` does it.
fn restart(pair: &Pair, node: &str, program: &std::path::Path) -> Result<()> {
    pair.crash(node)?;
    pair.start_program(node, program)?;
    pair.joined(node, "a")?;
    pair.joined(other(node), "a").map(drop)
}

/// The two agree on their configuration, and neither complains of anything.
fn agree(pair: &Pair) -> Result<()> {
    for node in ["a", "b"] {
        pair.wait(node, "nothing is degraded", |s| s.degraded.is_empty())?;
    }
    let said = pair.order("b", &["diff"])?.stdout;
    check(said.contains("same"), || said.clone())
}

#[test]
fn one_node_after_the_other_is_upgraded_and_no_packet_is_lost() {
    let Some(old) = old() else { return };
    let new = program("hbd").expect("the new hbd");
    scenario(make, |pair| {
        start_old(pair, &old)?;
        serves(pair, "log", "a")?;
        let done = agent::calls(&pair.world).len();
        let probe = pair.probe("probe")?;
        restart(pair, "b", &new)?;
        agree(pair)?;
        restart(pair, "a", &new)?;
        agree(pair)?;
        pair.stays_with("a", WHILE)?;
        // And back: a newer version's state is no trouble to an older one.
        restart(pair, "a", &old)?;
        restart(pair, "b", &old)?;
        agree(pair)?;
        let seen = probe.finish()?;
        check(seen.lost == seen.late, || format!("packets were lost: {seen:?}"))?;
        check(seen.changes.is_empty(), || format!("someone else answered: {:?}", seen.changes))?;
        let deeds = agent::deeds(&pair.world, done);
        check(deeds.is_empty(), || format!("a running service was touched: {deeds:?}"))?;
        for node in ["a", "b"] {
            let told = pair.order(node, &["--json", "events", "-n", "1000"])?.stdout;
            check(!told.contains("\"to\":\"dead\""), || format!("{node} gave its peer up:\n{told}"))?;
        }
        Ok(())
    });
}

/// A pair in which one node, each in turn, is of the newer version; `body` gets the program of a, too.
fn mixed(body: impl Fn(&Pair, &std::path::Path) -> Result<()>) {
    let Some(old) = old() else { return };
    let new = program("hbd").expect("the new hbd");
    for (newer, of_a) in [("a", &new), ("b", &old)] {
        scenario(make, |pair| {
            start_old(pair, &old)?;
            restart(pair, newer, &new)?;
            body(pair, of_a)
        });
    }
}

#[test]
fn an_older_and_a_newer_one_are_a_pair_like_any_other() {
    mixed(|pair, of_a| {
        // Orders, from either, about either.
        pair.order("a", &["move", GROUP, "--to", "b"])?;
        pair.owned_by("b")?;
        pair.order("a", &["takeover", GROUP])?;
        pair.owned_by("a")?;
        pair.order("b", &["standby", "a"])?;
        pair.owned_by("b")?;
        pair.order("b", &["online", "a"])?;
        pair.order("b", &["maintenance", "on"])?;
        pair.wait("a", "it is frozen too", |s| s.maintenance)?;
        pair.order("a", &["maintenance", "off"])?;
        pair.wait("b", "it thaws too", |s| !s.maintenance)?;
        // A service that fails too often, a stop by systemd, a power failure.
        for _ in 0..2 {
            pair.world.must("b", &["rm", "-f", "/run/rec/web"])?;
            lab::scenario::until("it is dealt with", || {
                Ok(agent::runs(&pair.world, "b", "web")? || agent::runs(&pair.world, "a", "web")?)
            })?;
        }
        pair.owned_by("a")?;
        pair.order("a", &["cleanup"])?;
        pair.order("b", &["cleanup"])?;
        pair.leave("a")?;
        pair.owned_by("b")?;
        pair.start_program("a", of_a)?;
        pair.joined("b", "b")?;
        pair.joined("a", "b")?;
        pair.world.power_off("b")?;
        pair.owned_by("a")?;
        serves(pair, "log", "a")
    });
}

#[test]
fn an_older_one_hears_that_a_stop_failed_on_a_newer_one_and_the_other_way_round() {
    mixed(|pair, _| {
        agent::wish(&pair.world, "a", "web", "stop", "exit 1")?;
        let refused = pair.hbctl("a", &["move", GROUP])?;
        check(refused.code == 1, || refused.stdout.clone())?;
        pair.wait("b", "it is blocked there", |s| s.has(GROUP, "blocked", Some("a")))?;
        agent::behave(&pair.world, "a")?;
        pair.order("b", &["cleanup", GROUP])?;
        pair.order("a", &["cleanup", GROUP])?;
        pair.owned_by("a").map(drop)
    });
}
