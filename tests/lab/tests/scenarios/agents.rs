//! Agents that fail, hang, fork; and that nobody else is delayed by them.

use lab::hbd::Status;
use lab::hbd::config::address;
use lab::pair::{BOUND, GROUP, Pair, VIP};
use lab::scenario::{check, scenario, serves, throughout, until};
use lab::{Result, agent};

use super::WHILE;

/// One group: an address, then the services `web` and `db`.
fn three() -> Result<Pair> {
    let short = ", start_timeout = \"2s\", stop_timeout = \"2s\"";
    Pair::with(|s| {
        let (web, db) = (agent::service("web", short), agent::service("db", short));
        s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &web, &db])
    })
}

/// Both daemons run and see each other; what becomes of the groups is for the scenario.
fn start_both(pair: &Pair) -> Result<()> {
    for node in ["a", "b"] {
        pair.start(node)?;
    }
    for node in ["a", "b"] {
        pair.wait(node, "the peer is up", |s| s.sees(lab::pair::other(node), "up"))?;
    }
    Ok(())
}

fn failed(status: &Status) -> bool {
    status.has(GROUP, "failed", None)
}

#[test]
fn a_failed_start_is_rolled_back_and_the_peer_gets_its_turn() {
    scenario(three, |pair| {
        // Of two streams only what comes at different times has an order.
        let wish = "echo 'looking for the disk'; sleep 0.3; echo 'no disk' >&2; exit 1";
        agent::wish(&pair.world, "a", "db", "start", wish)?;
        start_both(pair)?;
        pair.owned_by("b")?;
        serves(pair, "web", "b")?;
        serves(pair, "db", "b")?;
        let deeds = agent::deeds(&pair.world, 0);
        let order = ["a start web", "a start db", "a stop db", "a stop web", "b start web", "b start db"];
        check(deeds == order, || format!("start in order, stop in reverse: {deeds:?}"))?;
        pair.wait("a", "it says what failed", |s| {
            s.degraded.iter().any(|d| d.contains("rec::db") && d.contains("no disk") && d.contains("cleanup"))
        })?;
        pair.wait("b", "it says that it failed on a", |s| {
            s.degraded.iter().any(|d| d.contains("failed on a"))
        })?;
        let said = pair.order("a", &["status", "--json"])?.stdout;
        let kept = "looking for the disk\\nno disk";
        check(said.contains("last_output") && said.contains(kept), || format!("its output is kept: {said}"))?;
        let why = pair.order("a", &["why", GROUP])?.stdout;
        check(why.contains("wrote when it failed") && why.contains("| looking for the disk"), || {
            why.clone()
        })?;
        // It is not tried there again, until somebody says that it is mended.
        let refused = pair.hbctl("b", &["move", GROUP, "--to", "a"])?;
        check(refused.code == 1 && refused.stderr.contains("cleanup"), || format!("{refused:?}"))?;
        pair.stays_with("b", WHILE / 2)?;
        agent::behave(&pair.world, "a")?;
        pair.order("b", &["cleanup", GROUP])?;
        pair.order("b", &["move", GROUP, "--to", "a"])?;
        pair.audit().expect_owner("a")?;
        serves(pair, "db", "a")
    });
}

#[test]
fn a_group_that_fails_on_both_nodes_rests_and_says_so() {
    scenario(three, |pair| {
        for node in ["a", "b"] {
            agent::wish(&pair.world, node, "db", "start", "exit 1")?;
        }
        start_both(pair)?;
        for node in ["a", "b"] {
            pair.wait(node, "the group has failed", failed)?;
        }
        until("nothing of it runs", || Ok(agent::runners(&pair.world, "web")?.is_empty()))?;
        pair.audit().await_nobody(BOUND)?;
        let done = agent::calls(&pair.world).len();
        throughout("it rests", WHILE, || {
            let deeds = agent::deeds(&pair.world, done);
            check(deeds.is_empty(), || format!("it was tried again: {deeds:?}"))
        })?;
        for node in ["a", "b"] {
            pair.wait(node, "it says so still", |s| {
                failed(s) && s.degraded.iter().any(|d| d.contains("cleanup"))
            })?;
            agent::behave(&pair.world, node)?;
        }
        pair.order("b", &["cleanup"])?;
        pair.owned_by("a")?;
        serves(pair, "db", "a")
    });
}

#[test]
fn a_hanging_start_is_killed_and_delays_nobody_else() {
    let make = || {
        Pair::with(|s| {
            let slow = agent::service("slow", ", start_timeout = \"3s\"");
            s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")]).group("slow", Some("a"), &[&slow])
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        agent::wish(&pair.world, "b", "slow", "start", "echo $$ >/run/hanging; sleep 1000")?;
        pair.order("a", &["--no-wait", "move", "slow", "--to", "b"])?;
        let hangs = |s: &Status| s.has("slow", "starting", Some("b"));
        pair.wait("b", "slow hangs in its start", hangs)?;
        // Meanwhile everything else works, on the very node where it hangs.
        pair.order("a", &["move", GROUP, "--to", "b"])?;
        let look = pair.audit().expect_owner("b")?;
        let still = look.statuses.values().all(hangs);
        check(still, || format!("the move of {GROUP} was to be over before the start timed out:\n{look}"))?;
        // Killed at its timeout, with all it started; the group goes back to where it can run.
        pair.wait("a", "slow is back on a", |s| s.has("slow", "started", Some("a")))?;
        serves(pair, "slow", "a")?;
        let gone = pair.world.exec("b", &["sh", "-c", "kill -0 $(cat /run/hanging)"])?;
        check(!gone.ok(), || "the hanging agent still runs".to_owned())?;
        pair.wait("b", "it says so", |s| {
            s.degraded.iter().any(|d| d.contains("slow") && d.contains("timed out"))
        })?;
        for node in ["a", "b"] {
            let told = pair.order(node, &["--json", "events", "-n", "1000"])?.stdout;
            check(!told.contains("\"to\":\"dead\""), || format!("heartbeats did not go on:\n{told}"))?;
        }
        pair.audit().expect_owner("b").map(drop)
    });
}

#[test]
fn a_daemon_an_agent_started_lives_and_is_stopped_with_the_group() {
    scenario(three, |pair| {
        for node in ["a", "b"] {
            // As careless agents do: the daemon keeps the agent's own output open.
            agent::wish(&pair.world, node, "web", "start", "setsid sleep 1000 & echo $! >/run/webd.pid")?;
            agent::wish(&pair.world, node, "web", "stop", "kill $(cat /run/webd.pid); rm -f /run/webd.pid")?;
        }
        let lives =
            |node: &str| Ok(pair.world.exec(node, &["sh", "-c", "kill -0 $(cat /run/webd.pid)"])?.ok());
        pair.start_both()?;
        pair.owned_by("a")?;
        check(lives("a")?, || "its daemon was to live".to_owned())?;
        pair.order("a", &["move", GROUP])?;
        pair.audit().expect_owner("b")?;
        check(lives("b")?, || "its daemon was to live on b".to_owned())?;
        check(!lives("a")?, || "its daemon was to be stopped on a".to_owned())?;
        // It does not hang on hbd: that may be restarted.
        pair.crash("b")?;
        pair.start_again("b")?;
        pair.joined("b", "b")?;
        check(lives("b")?, || "its daemon died with hbd".to_owned())
    });
}

#[test]
fn after_a_failed_stop_nothing_starts_elsewhere() {
    scenario(three, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        agent::wish(&pair.world, "a", "web", "stop", "echo 'busy' >&2; exit 1")?;
        let refused = pair.hbctl("a", &["move", GROUP])?;
        check(refused.code == 1 && !refused.stderr.is_empty(), || format!("{refused:?}"))?;
        let done = agent::calls(&pair.world).len();
        for node in ["a", "b"] {
            pair.wait(node, "blocked", |s| s.has(GROUP, "blocked", Some("a")))?;
        }
        pair.wait("a", "it says why", |s| {
            s.degraded.iter().any(|d| d.contains("blocked") && d.contains("busy"))
        })?;
        let idle = || {
            let deeds = agent::deeds(&pair.world, done);
            check(deeds.is_empty(), || format!("something was done: {deeds:?}"))
        };
        throughout("blocked", WHILE, idle)?;
        // Silence is no proof that nothing of it runs there any more.
        pair.world.power_off("a")?;
        let held = |s: &Status| {
            s.sees("a", "dead")
                && s.has(GROUP, "blocked", None)
                && s.degraded.iter().any(|d| d.contains("fence-ack a"))
        };
        pair.wait("b", "held", held)?;
        throughout("held", WHILE, idle)?;
        pair.order("b", &["fence-ack", "a"])?;
        pair.owned_by("b")?;
        serves(pair, "web", "b")
    });
}

#[test]
fn a_blocked_group_is_mended_and_cleaned_up() {
    scenario(three, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        agent::wish(&pair.world, "a", "web", "stop", "sleep 1000")?;
        let refused = pair.hbctl("b", &["takeover", GROUP])?;
        check(refused.code == 1 && !refused.stderr.is_empty(), || format!("{refused:?}"))?;
        pair.wait("a", "blocked", |s| s.has(GROUP, "blocked", Some("a")))?;
        pair.wait("a", "it says why", |s| s.degraded.iter().any(|d| d.contains("timed out")))?;
        agent::behave(&pair.world, "a")?;
        pair.order("b", &["cleanup", GROUP])?;
        for node in ["a", "b"] {
            pair.wait(node, "mended", |s| s.group(GROUP).is_some_and(|g| g.state == "started"))?;
        }
        let owner = pair.status("a").and_then(|s| s.groups[0].owner.clone()).unwrap_or_default();
        pair.owned_by(&owner)?;
        serves(pair, "web", &owner)?;
        serves(pair, "db", &owner)
    });
}
