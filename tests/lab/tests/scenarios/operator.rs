//! What operators do in daily life: standby, online, move, takeover, failback, maintenance; from either node.

use lab::hbd::config::address;
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario, served, serves};
use lab::{LabError, Result, agent};
use serde_json::Value;

use super::WHILE;

/// A command with `--json`, wanted to succeed: what it printed.
fn json(pair: &Pair, node: &str, words: &[&str]) -> Result<Value> {
    let output = pair.order(node, &[&["--json"], words].concat())?;
    let value: Value = serde_json::from_str(&output.stdout)
        .map_err(|e| LabError(format!("no JSON from {words:?}: {e}: {}", output.stdout)))?;
    check(value["done"] == true, || format!("{words:?} says {value}"))?;
    Ok(value)
}

fn is_standby(pair: &Pair, node: &str) -> Result<()> {
    pair.wait(node, "I am on standby", |s| s.standby)?;
    let peer = lab::pair::other(node);
    let seen = format!("{node} is on standby");
    pair.wait(peer, &seen, |s| s.peer(node).is_some_and(|p| p.standby)).map(drop)
}

#[test]
fn standby_survives_a_restart_and_ends_with_online() {
    scenario(Pair::running, |pair| {
        let probe = pair.probe("probe")?;
        pair.owned_by("a")?;
        json(pair, "a", &["standby"])?;
        // The command has waited: no further waiting here.
        pair.audit().expect_owner("b")?;
        is_standby(pair, "a")?;
        json(pair, "a", &["standby"])?;
        pair.leave("a")?;
        pair.start("a")?;
        is_standby(pair, "a")?;
        pair.crash("a")?;
        pair.start("a")?;
        is_standby(pair, "a")?;
        pair.stays_with("b", WHILE)?;
        let refused = pair.hbctl("b", &["move", GROUP, "--to", "a"])?;
        check(refused.code == 1 && refused.stderr.contains("standby"), || format!("{refused:?}"))?;
        // Online, from the other node; without auto_failback nothing moves.
        json(pair, "b", &["online", "a"])?;
        pair.wait("a", "I am online", |s| !s.standby)?;
        pair.stays_with("b", WHILE)?;
        json(pair, "b", &["failback"])?;
        pair.audit().expect_owner("a")?;
        served(pair, VIP)?;
        let seen = probe.finish()?;
        check(seen.changes.len() == 2, || format!("to b and back, no more: {:?}", seen.changes))
    });
}

#[test]
fn standby_by_remote_order() {
    scenario(Pair::running, |pair| {
        json(pair, "b", &["standby", "a"])?;
        pair.audit().expect_owner("b")?;
        is_standby(pair, "a")?;
        // The last node does not go, unless it is forced to.
        let refused = pair.hbctl("a", &["standby", "b"])?;
        check(refused.code == 1 && !refused.stderr.is_empty(), || format!("{refused:?}"))?;
        let refused = pair.hbctl("b", &["standby"])?;
        check(refused.code == 1 && refused.stderr.contains("--force"), || format!("{refused:?}"))?;
        pair.stays_with("b", WHILE)?;
        json(pair, "b", &["standby", "--force"])?;
        pair.audit().await_nobody(lab::pair::BOUND)?;
        is_standby(pair, "b")?;
        json(pair, "a", &["online"])?;
        pair.owned_by("a")?;
        json(pair, "a", &["online", "b"])?;
        pair.stays_with("a", WHILE)
    });
}

#[test]
fn auto_failback_brings_a_group_home_after_standby() {
    let make = || {
        Pair::with(|mut settings| {
            settings.auto_failback = "true".to_owned();
            settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        json(pair, "a", &["standby"])?;
        pair.audit().expect_owner("b")?;
        pair.stays_with("b", WHILE)?;
        json(pair, "a", &["online"])?;
        pair.owned_by("a")?;
        // But what an operator moved stays where it was moved to.
        json(pair, "a", &["move", GROUP])?;
        pair.audit().expect_owner("b")?;
        pair.stays_with("b", WHILE)?;
        json(pair, "b", &["failback", GROUP])?;
        pair.audit().expect_owner("a").map(drop)
    });
}

#[test]
fn move_takeover_and_failback_on_either_node() {
    let vip = address(VIP, 16, "eth0");
    let make = || {
        Pair::with(|s| {
            let web = agent::service("web", "");
            s.group(GROUP, Some("a"), &[&vip, &web]).group("other", Some("b"), &[&agent::service("db", "")])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        serves(pair, "db", "b")?;
        let steps: [(&str, &[&str], &str); 9] = [
            ("a", &["move", GROUP], "b"),
            ("a", &["move", GROUP, "--to", "a"], "a"),
            ("b", &["takeover", GROUP], "b"),
            ("b", &["takeover", GROUP], "b"),
            ("a", &["takeover"], "a"),
            ("b", &["move", GROUP, "--to", "b"], "b"),
            ("b", &["failback", GROUP], "a"),
            ("a", &["failback"], "a"),
            ("b", &["--timeout", "10s", "move", GROUP, "--to", "b"], "b"),
        ];
        for (on, words, owner) in steps {
            json(pair, on, words)?;
            pair.audit().expect_owner(owner)?;
            serves(pair, "web", owner)?;
        }
        serves(pair, "db", "b")?;
        // Not waiting: it is begun when the command ends, and comes to its end all the same.
        json(pair, "b", &["--no-wait", "move", GROUP, "--to", "a"])?;
        pair.owned_by("a")?;
        serves(pair, "web", "a")
    });
}

#[test]
fn maintenance_freezes_the_cluster() {
    let make = || {
        Pair::with(|s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &agent::service("web", "")]))
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        json(pair, "b", &["maintenance", "on"])?;
        for node in ["a", "b"] {
            pair.wait(node, "maintenance is on", |s| s.maintenance)?;
        }
        let refused = pair.hbctl("a", &["move", GROUP])?;
        check(refused.code == 1 && refused.stderr.contains("maintenance"), || format!("{refused:?}"))?;
        let done = agent::calls(&pair.world).len();
        // Even the end of hbd moves nothing now: what runs goes on running.
        pair.crash("a")?;
        pair.wait("b", "a is dead", |s| s.sees("a", "dead"))?;
        let outside = lab::audit::Audit::new(&pair.world, &[lab::pair::ip(VIP)]);
        lab::scenario::throughout("maintenance is on", WHILE, || outside.expect_owner("a").map(drop))?;
        pair.start_again("a")?;
        pair.joined("a", "a")?;
        pair.wait("a", "maintenance is still on", |s| s.maintenance)?;
        json(pair, "a", &["maintenance", "off"])?;
        pair.wait("b", "maintenance is off", |s| !s.maintenance)?;
        pair.stays_with("a", WHILE)?;
        let deeds = agent::deeds(&pair.world, done);
        check(deeds.is_empty(), || format!("the service was touched: {deeds:?}"))?;
        json(pair, "a", &["move", GROUP])?;
        pair.audit().expect_owner("b").map(drop)
    });
}
