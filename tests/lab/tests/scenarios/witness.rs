//! Groups that a real etcd lends to one node at a time: what breaks around it, and what must come out.
//!
//! ```text
//!   a ──┬── b    heartbeats on both LANs
//!       │
//!      w1 (w2 w3)    etcd, on the service LAN
//! ```
//! The group is a service that does not end by itself, and throughout each scenario nobody may see it run twice.

use std::time::{Duration, Instant};

use lab::audit::Audit;
use lab::etcd::{Etcd, Guard, table};
use lab::hbd::config::{address, bcast, ucast};
use lab::hbd::status::Status;
use lab::net::{Cut, Lan};
use lab::pair::{BOUND, Pair, VIP, ip};
use lab::scenario::{check, served, serves, throughout, until};
use lab::{Result, agent};
use nix::sys::signal::Signal;

const TTL: Duration = Duration::from_secs(5);
pub(super) const WEB: &str = "web";

/// [`lab::scenario::scenario`], where there is an etcd.
pub(super) fn scenario(make: impl FnOnce() -> Result<Pair>, work: impl FnOnce(&Pair) -> Result<()>) {
    if lab::etcd::available() {
        lab::scenario::scenario(make, work);
    }
}

/// A pair with an etcd of so many members; `more` are lines of `[witness]`.
pub(super) fn make(members: u8, more: &str) -> Result<Pair> {
    let machines: Vec<String> = (1..=members).map(|n| format!("w{n}")).collect();
    let machines: Vec<&str> = machines.iter().map(String::as_str).collect();
    Pair::beside(&machines, |settings| {
        let service = agent::service(WEB, ", stop_timeout = \"1s\"");
        let mut settings = settings.group("vip", Some("a"), &[&service, &address(VIP, 16, "eth0")]);
        settings.groups[0].requires = Some("witness".to_owned());
        settings.more += &table(&(3..3 + members).collect::<Vec<u8>>(), "5s", more);
        settings
    })
}

/// Runs `work` with both daemons up and the group on `a`.
fn with_etcd(pair: &Pair, members: &[&str], work: impl FnOnce(&Etcd<'_>) -> Result<()>) -> Result<()> {
    agent::never_twice(&pair.world, WEB, || {
        let etcd = Etcd::start(&pair.world, members, Guard::Open)?;
        pair.start_both()?;
        for node in ["a", "b"] {
            pair.wait(node, "the witness is good", is_good)?;
        }
        on(pair, "a")?;
        work(&etcd)
    })
}

fn state(status: &Status) -> &str {
    status.raw["witness"]["state"].as_str().unwrap_or("none")
}

pub(super) fn is_good(status: &Status) -> bool {
    state(status) == "good" && status.degraded.is_empty()
}

/// All of the group is on this node, and nowhere else.
fn on(pair: &Pair, node: &str) -> Result<()> {
    serves(pair, WEB, node)?;
    pair.owned_by(node).map(drop)
}

/// It stays there for longer than a lease lives.
fn stays(pair: &Pair, node: &str) -> Result<()> {
    let wanted = [node.to_owned()];
    throughout("nothing was to move", TTL + TTL / 2, || {
        let runners = agent::runners(&pair.world, WEB)?;
        check(runners == wanted, || format!("it runs on {runners:?}"))
    })?;
    // The nodes may see it otherwise, where they do not hear each other.
    Audit::new(&pair.world, &[ip(VIP)]).await_owner(node, BOUND).map(drop)
}

fn epoch(pair: &Pair, node: &str) -> u64 {
    pair.status(node).map_or(0, |status| status.groups[0].epoch)
}

#[test]
fn an_orderly_move_waits_for_no_lease() {
    scenario(
        || make(1, ""),
        |pair| {
            with_etcd(pair, &["w1"], |etcd| {
                let seen = pair.order("a", &["status"])?.stdout;
                check(seen.contains("witness etcd  good"), || seen.clone())?;
                for (from, to) in [("a", "b"), ("b", "a")] {
                    let begin = Instant::now();
                    pair.order("a", &["move", "vip", "--to", to])?;
                    let took = begin.elapsed();
                    pair.world.timeline.note(format!("from {from} to {to} in {took:?}"));
                    on(pair, to)?;
                    let key = etcd.ctl("w1", &["get", "/hbd/lab/group/vip", "--print-value-only"])?;
                    check(key.contains(&format!("\"node\":\"{to}\"")), || key.clone())?;
                }
                let why = pair.order("a", &["why", "vip"])?.stdout;
                check(why.contains("its key on the witness is this node's"), || why.clone())?;
                // In order it is given back, and nothing is left of it but the epoch.
                pair.leave("a")?;
                on(pair, "b")?;
                pair.leave("b")?;
                let keys = etcd.ctl("w1", &["get", "--prefix", "/hbd/lab/", "--keys-only"])?;
                check(keys.trim() == "/hbd/lab/epoch/vip", || keys.clone())
            })
        },
    );
}

#[test]
fn the_owner_without_power_is_replaced_when_its_lease_has_ended() {
    scenario(
        || make(1, ""),
        |pair| {
            with_etcd(pair, &["w1"], |_| {
                let begin = Instant::now();
                pair.world.power_off("a")?;
                serves(pair, WEB, "b")?;
                let took = begin.elapsed();
                pair.world.timeline.note(format!("taken over in {took:?}"));
                // Renewed a quarter of its time ago at most.
                check(took > TTL / 2, || format!("taken over in {took:?}, before the lease can have ended"))?;
                served(pair, VIP)?;
                pair.boot("a")?;
                pair.joined("a", "b")?;
                pair.joined("b", "b")?;
                stays(pair, "b")
            })
        },
    );
}

#[test]
fn the_witness_alone_is_killed_and_nothing_moves() {
    scenario(
        || make(1, ""),
        |pair| {
            with_etcd(pair, &["w1"], |etcd| {
                let before = epoch(pair, "a");
                etcd.kill("w1");
                let said = |s: &Status| {
                    state(s) == "lost" && s.degraded.iter().any(|d| d.contains("the witness has been lost"))
                };
                pair.wait("a", "the witness is lost", said)?;
                pair.wait("b", "the witness is lost", said)?;
                stays(pair, "a")?;
                let why = pair.order("a", &["why", "vip"])?.stdout;
                check(why.contains("goes on without the witness"), || why.clone())?;
                // What could not be given to anybody is not given away.
                let moved = pair.hbctl("a", &["--timeout", "10s", "move", "vip", "--to", "b"])?;
                check(moved.code == 1 && moved.stderr.contains("witness"), || format!("{moved:?}"))?;
                stays(pair, "a")?;
                etcd.start_member("w1")?;
                for node in ["a", "b"] {
                    pair.wait(node, "the witness is good again", is_good)?;
                }
                stays(pair, "a")?;
                check(epoch(pair, "a") == before, || "it was taken again".to_owned())?;
                let events = pair.order("a", &["events", "--json", "-n", "200"])?.stdout;
                check(events.contains("\"witness\"") && events.contains("connection refused"), || {
                    events.clone()
                })
            })
        },
    );
}

#[test]
fn the_witness_is_paused_for_longer_than_a_lease_and_nothing_moves() {
    scenario(
        || make(1, ""),
        |pair| {
            with_etcd(pair, &["w1"], |etcd| {
                etcd.signal("w1", Signal::SIGSTOP);
                pair.wait("a", "the witness is lost", |s| state(s) == "lost")?;
                stays(pair, "a")?;
                etcd.signal("w1", Signal::SIGCONT);
                for node in ["a", "b"] {
                    pair.wait(node, "the witness is good again", is_good)?;
                }
                stays(pair, "a")
            })
        },
    );
}

#[test]
fn the_owner_cut_off_from_the_witness_goes_on_and_cut_off_from_all_it_stops_in_time() {
    scenario(
        || make(1, ""),
        |pair| {
            with_etcd(pair, &["w1"], |_| {
                pair.world.cut(Cut::between("a", "w1", Lan::Service))?;
                pair.wait("a", "the witness is lost", |s| state(s) == "lost")?;
                stays(pair, "a")?;
                // Now the peer too: a stops what it has, and b takes it when that is certain.
                pair.cut_all_links()?;
                until("a has stopped it", || Ok(!agent::runs(&pair.world, "a", WEB)?))?;
                serves(pair, WEB, "b")?;
                pair.wait("a", "a says why", |s| {
                    s.has("vip", "blocked", None)
                        && s.degraded.iter().any(|d| d.contains("this node has no lease on the witness"))
                })?;
                pair.world.heal()?;
                pair.joined("a", "b")?;
                pair.joined("b", "b")?;
                for node in ["a", "b"] {
                    pair.wait(node, "the witness is good again", is_good)?;
                }
                stays(pair, "b")
            })
        },
    );
}

#[test]
fn both_are_cut_off_from_the_witness_and_a_lost_owner_is_replaced_only_when_it_is_back() {
    scenario(
        || make(1, ""),
        |pair| {
            with_etcd(pair, &["w1"], |_| {
                pair.world.cut(Cut::cable("w1", Lan::Service))?;
                for node in ["a", "b"] {
                    pair.wait(node, "the witness is lost", |s| state(s) == "lost")?;
                }
                stays(pair, "a")?;
                pair.world.power_off("a")?;
                pair.wait("b", "a is dead", |s| s.sees("a", "dead"))?;
                throughout("b was to take nothing", TTL * 2, || {
                    check(!agent::runs(&pair.world, "b", WEB)?, || "b has it".to_owned())
                })?;
                let why = pair.order("b", &["why", "vip"])?.stdout;
                check(why.contains("this node has no lease on the witness"), || why.clone())?;
                pair.world.heal()?;
                serves(pair, WEB, "b")?;
                served(pair, VIP)
            })
        },
    );
}

#[test]
fn two_that_do_not_hear_each_other_are_told_apart_by_the_witness() {
    scenario(
        || make(1, ""),
        |pair| {
            with_etcd(pair, &["w1"], |_| {
                let before = epoch(pair, "a");
                pair.cut_all_links()?;
                pair.wait("b", "a is dead", |s| s.sees("a", "dead"))?;
                stays(pair, "a")?;
                pair.wait("b", "b says who has it", |s| {
                    let groups = s.raw["witness"]["groups"].as_array().cloned().unwrap_or_default();
                    groups.iter().any(|group| group["holder"] == "a")
                })?;
                pair.world.heal()?;
                pair.joined("b", "a")?;
                stays(pair, "a")?;
                check(epoch(pair, "a") == before, || "it was taken again".to_owned())
            })
        },
    );
}

#[test]
fn an_owner_frozen_for_longer_than_its_lease_gives_way_when_it_wakes() {
    // Without a watchdog only an address ends by itself.
    let make = || {
        Pair::beside(&["w1"], |settings| {
            let mut settings = settings.group("vip", Some("a"), &[&address(VIP, 16, "eth0")]);
            settings.groups[0].requires = Some("witness".to_owned());
            settings.more += &table(&[3], "5s", "");
            settings
        })
    };
    scenario(make, |pair| {
        let _etcd = Etcd::start(&pair.world, &["w1"], Guard::Open)?;
        pair.start_both()?;
        pair.owned_by("a")?;
        let outside = Audit::new(&pair.world, &[ip(VIP)]);
        let once = |window| {
            throughout("it was to be on one node at a time", window, || {
                let look = outside.look()?;
                check(look.holders.values().all(|holders| holders.len() < 2), || look.to_string())
            })
        };
        pair.signal("a", Signal::SIGSTOP)?;
        once(TTL / 2)?;
        outside.await_owner("b", BOUND)?;
        pair.signal("a", Signal::SIGCONT)?;
        once(TTL)?;
        pair.joined("a", "b")?;
        pair.stays_with("b", super::WHILE)
    });
}

#[test]
fn three_members_lose_their_leader_and_nothing_moves() {
    scenario(
        || make(3, ""),
        |pair| {
            with_etcd(pair, &["w1", "w2", "w3"], |etcd| {
                let before = epoch(pair, "a");
                let leader = etcd.leader()?;
                etcd.kill(&leader);
                let next = etcd.leader()?;
                check(next != leader, || format!("{leader} was killed"))?;
                for node in ["a", "b"] {
                    pair.wait(node, "the witness is good", is_good)?;
                }
                stays(pair, "a")?;
                etcd.start_member(&leader)?;
                // One that does not know that it was replaced, and wakes.
                etcd.signal(&next, Signal::SIGSTOP);
                stays(pair, "a")?;
                etcd.signal(&next, Signal::SIGCONT);
                stays(pair, "a")?;
                for node in ["a", "b"] {
                    pair.wait(node, "the witness is good", is_good)?;
                }
                let after = epoch(pair, "a");
                pair.world.timeline.note(format!("epoch {before} and {after}"));
                pair.world.power_off("a")?;
                serves(pair, WEB, "b")
            })
        },
    );
}

#[test]
fn a_witness_with_tls_and_a_user() {
    let make = || {
        let mut pair = make(1, "")?;
        let folder = lab::etcd::folder(&pair.world).display().to_string();
        pair.settings.more = pair.settings.more.replace("http://", "https://");
        pair.settings.more += &format!(
            "ca = \"{folder}/ca.pem\"\ncert = \"{folder}/client.pem\"\nkey = \"{folder}/client.key\"\n\
             user = \"hbd\"\npassword_file = \"{folder}/password\"\n"
        );
        Ok(pair)
    };
    scenario(make, |pair| {
        agent::never_twice(&pair.world, WEB, || {
            let etcd = Etcd::start(&pair.world, &["w1"], Guard::Closed)?;
            pair.start_both()?;
            on(pair, "a")?;
            pair.order("a", &["move", "vip", "--to", "b"])?;
            on(pair, "b")?;
            // A restart of etcd forgets all tokens.
            etcd.kill("w1");
            etcd.start_member("w1")?;
            for node in ["a", "b"] {
                pair.wait(node, "the witness is good", is_good)?;
            }
            for node in ["a", "b"] {
                let log = std::fs::read_to_string(pair.world.log_path(node, "hbd")).unwrap_or_default();
                check(!log.contains("s3cret"), || format!("{node} logs the password"))?;
            }
            stays(pair, "b")
        })
    });
}

#[test]
fn three_nodes_take_over_in_order() {
    let make = || {
        let pair = Pair::beside(&["c", "w1"], |mut settings| {
            settings.nodes.push("c".to_owned());
            let numbered = |(n, name): (usize, &&str)| ((*name).to_owned(), format!("10.77.0.{}", n + 1));
            settings.links = vec![
                bcast("eth1"),
                ucast(&["a", "b", "c"].iter().enumerate().map(numbered).collect::<Vec<_>>()),
            ];
            let service = agent::service(WEB, ", stop_timeout = \"1s\"");
            let mut settings = settings.group("vip", Some("b"), &[&service, &address(VIP, 16, "eth0")]);
            settings.groups[0].requires = Some("witness".to_owned());
            settings.more += &table(&[4], "5s", "");
            settings
        })?;
        agent::install(&pair.world, "c")?;
        pair.start_echo("c")?;
        Ok(pair)
    };
    scenario(make, |pair| {
        agent::never_twice(&pair.world, WEB, || {
            let _etcd = Etcd::start(&pair.world, &["w1"], Guard::Open)?;
            for node in ["a", "b", "c"] {
                pair.start(node)?;
            }
            for node in ["a", "b", "c"] {
                pair.wait(node, "all are well", is_good)?;
            }
            serves(pair, WEB, "b")?;
            pair.order("a", &["move", "vip", "--to", "c"])?;
            serves(pair, WEB, "c")?;
            pair.world.power_off("c")?;
            serves(pair, WEB, "b")?;
            pair.world.power_off("b")?;
            serves(pair, WEB, "a")?;
            served(pair, VIP)?;
            pair.boot("c")?;
            pair.boot("b")?;
            for node in ["a", "b", "c"] {
                pair.wait(node, "all are well", |s| is_good(s) && s.has("vip", "started", Some("a")))?;
            }
            serves(pair, WEB, "a")
        })
    });
}
