//! The configuration is read again.

use lab::hbd::Settings;
use lab::hbd::config::address;
use lab::pair::{BOUND, GROUP, Pair, VIP, ip};
use lab::scenario::{check, scenario, served, serves, until, valid_for};
use lab::{Result, agent, audit::Audit};
use nix::sys::signal::Signal;

use super::WHILE;

const SECOND: &str = "10.77.1.2";

fn pair() -> Result<Pair> {
    Pair::with(|s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &agent::service("web", "")]))
}

/// Gives both nodes this configuration.
fn reload(pair: &Pair, settings: &Settings) -> Result<()> {
    for node in ["a", "b"] {
        settings.install(&pair.world, node)?;
        pair.order(node, &["reload"])?;
    }
    Ok(())
}

/// How many events of a node say that the configuration was read again.
fn times_read(pair: &Pair, node: &str) -> Result<usize> {
    let told = pair.order(node, &["--json", "events", "-n", "1000"])?.stdout;
    Ok(told
        .lines()
        .filter(|line| line.contains("\"kind\":\"config\"") && line.contains("read again"))
        .count())
}

#[test]
fn an_unchanged_file_touches_nothing() {
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let epoch = pair.joined("a", "a")?.groups[0].epoch;
        let probe = pair.probe("probe")?;
        let done = agent::calls(&pair.world).len();
        reload(pair, &pair.settings)?;
        let before = times_read(pair, "a")?;
        pair.signal("a", Signal::SIGHUP)?;
        until("the signal reloads too", || Ok(times_read(pair, "a")? > before))?;
        pair.stays_with("a", WHILE)?;
        let now = pair.joined("b", "a")?.groups[0].epoch;
        check(now == epoch, || format!("the epoch was {epoch} and is {now}"))?;
        check(agent::calls(&pair.world).len() == done, || "an agent was called".to_owned())?;
        let seen = probe.finish()?;
        check(seen.lost == seen.late, || format!("packets were lost: {seen:?}"))
    });
}

#[test]
fn what_is_added_appears_and_what_is_removed_goes() {
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        serves(pair, "web", "a")?;
        let probe = pair.probe("probe")?;
        let done = agent::calls(&pair.world).len();
        let mut more = pair.settings.clone();
        more.groups[0].resources.insert(1, address(SECOND, 16, "eth0"));
        reload(pair, &more)?;
        let both = Audit::new(&pair.world, &[ip(VIP), ip(SECOND)]).group(GROUP);
        both.await_owner("a", BOUND)?;
        served(pair, SECOND)?;
        let leased = valid_for(pair, "a", SECOND)?;
        check(leased.is_some_and(|s| s <= 2), || format!("it is leased as the others are: {leased:?}"))?;
        // It moves with its group.
        pair.order("a", &["move", GROUP])?;
        both.await_owner("b", BOUND)?;
        pair.order("a", &["move", GROUP, "--to", "a"])?;
        both.await_owner("a", BOUND)?;
        let moved = agent::deeds(&pair.world, done);
        let order = ["a stop web", "b start web", "b stop web", "a start web"];
        check(moved == order, || format!("the service was to be touched by the two moves only: {moved:?}"))?;

        let done = agent::calls(&pair.world).len();
        reload(pair, &pair.settings)?;
        Audit::new(&pair.world, &[ip(SECOND)]).await_nobody(BOUND)?;
        pair.owned_by("a")?;
        // A whole group may come and go.
        let db = agent::service("db", "");
        reload(pair, &pair.settings.clone().group("new", Some("a"), &[&db]))?;
        serves(pair, "db", "a")?;
        reload(pair, &pair.settings)?;
        until("the group that is gone from the file is stopped", || {
            Ok(agent::runners(&pair.world, "db")?.is_empty())
        })?;
        for node in ["a", "b"] {
            pair.wait(node, "and forgotten", |s| s.groups.len() == 1)?;
        }
        pair.stays_with("a", WHILE)?;
        let deeds = agent::deeds(&pair.world, done);
        check(deeds.iter().all(|deed| !deed.contains("web")), || format!("web was touched: {deeds:?}"))?;
        let seen = probe.finish()?;
        check(seen.changes.len() == 2, || format!("to b and back, no more: {:?}", seen.changes))
    });
}

#[test]
fn a_bad_file_changes_nothing_and_the_reason_is_said() {
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let mut bad = pair.settings.clone();
        bad.groups[0].resources = vec![address("10.77.1.300", 16, "eth0")];
        bad.install(&pair.world, "a")?;
        let refused = pair.hbctl("a", &["reload"])?;
        check(refused.code == 1 && refused.stderr.contains("10.77.1.300"), || format!("{refused:?}"))?;
        // Who this node is cannot change while it runs.
        let other = Settings { cluster: "other".to_owned(), ..pair.settings.clone() };
        other.install(&pair.world, "a")?;
        let refused = pair.hbctl("a", &["reload"])?;
        check(refused.code == 1 && refused.stderr.contains("restart"), || format!("{refused:?}"))?;
        pair.world.write_file("a", "/etc/hbd/authkeys", &pair.settings.authkeys, 0o644)?;
        pair.settings.install(&pair.world, "b")?;
        pair.world.must("a", &["chmod", "644", "/etc/hbd/authkeys"])?;
        let refused = pair.hbctl("a", &["reload"])?;
        check(refused.code == 1 && refused.stderr.contains("authkeys"), || format!("{refused:?}"))?;
        pair.stays_with("a", WHILE)?;
        for node in ["a", "b"] {
            let status = pair.joined(node, "a")?;
            check(status.degraded.is_empty(), || format!("nothing was to change: {status}"))?;
        }
        Ok(())
    });
}

#[test]
fn new_times_are_taken_over_under_way() {
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let received = |node: &str| {
            let raw = pair.status(node).map(|s| s.raw);
            raw.and_then(|raw| raw["nodes"][0]["links"][0]["received"].as_u64()).unwrap_or(0)
        };
        let slower = Settings {
            keepalive: "300ms".into(),
            deadtime: "4s".into(),
            initdead: "8s".into(),
            ..pair.settings.clone()
        };
        reload(pair, &slower)?;
        pair.stays_with("a", WHILE)?;
        let before = received("b");
        until("heartbeats go on", || Ok(received("b") > before + 3))?;
        // The lease follows deadtime.
        until("a longer lease", || Ok(valid_for(pair, "a", VIP)?.is_some_and(|s| s > 2 && s <= 5)))?;
        reload(pair, &pair.settings)?;
        until("a shorter lease", || Ok(valid_for(pair, "a", VIP)?.is_some_and(|s| s <= 2)))?;
        pair.stays_with("a", WHILE)?;
        let told = pair.order("b", &["--json", "events", "-n", "1000"])?.stdout;
        check(!told.contains("\"to\":\"dead\""), || format!("b gave a up:\n{told}"))?;
        // And the shorter deadtime is in force.
        pair.world.power_off("a")?;
        pair.owned_by("b").map(drop)
    });
}

#[test]
fn configurations_that_differ_are_said_and_move_nothing() {
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let mut more = pair.settings.clone();
        more.groups[0].resources.insert(1, address(SECOND, 16, "eth0"));
        more.install(&pair.world, "a")?;
        pair.order("a", &["reload"])?;
        for node in ["a", "b"] {
            pair.wait(node, "it says that they differ", |s| {
                s.degraded.iter().any(|d| d.contains("differs"))
            })?;
        }
        pair.stays_with("a", WHILE)?;
        more.install(&pair.world, "b")?;
        pair.order("b", &["reload"])?;
        for node in ["a", "b"] {
            pair.wait(node, "they are the same again", |s| s.degraded.is_empty())?;
        }
        pair.stays_with("a", WHILE / 2)
    });
}
