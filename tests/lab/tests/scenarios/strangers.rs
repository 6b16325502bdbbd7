//! What comes over the wire and is not from the peer: other keys, other clusters, garbage.

use std::time::Duration;

use lab::LabError;
use lab::clock::wait_for;
use lab::hbd::config::{address, bcast};
use lab::hbd::daemon::{Daemon, wait_status};
use lab::hbd::{Settings, Status};
use lab::net::space::lab_program;
use lab::pair::{BOUND, GROUP, Pair, VIP, ip, other};
use lab::scenario::{check, scenario, served, throughout};

use super::WHILE;

/// How many packets a node has rejected for this reason.
fn rejected(status: &Status, reason: &str) -> u64 {
    status.raw["rejected"][reason].as_u64().unwrap_or(0)
}

/// The two have different keys: each is alone, and says why.
fn strangers_to_each_other(reason: &str, keys: [&str; 2]) {
    scenario(Pair::new, |pair| {
        for (node, keys) in ["a", "b"].into_iter().zip(keys) {
            let settings = Settings { authkeys: keys.to_owned(), ..pair.settings.clone() };
            settings.install(&pair.world, node)?;
            pair.start_again(node)?;
        }
        for node in ["a", "b"] {
            let alone = |s: &Status| {
                s.sees(other(node), "dead") && s.has(GROUP, "started", Some(node)) && rejected(s, reason) > 0
            };
            pair.wait(node, &format!("alone, packets rejected as {reason}"), alone)?;
        }
        throughout("both stay alone and live", WHILE, || {
            for node in ["a", "b"] {
                let status = pair.status(node).ok_or_else(|| LabError(format!("{node} gives no status")))?;
                check(status.sees(other(node), "dead"), || format!("{node}: {status}"))?;
            }
            Ok(())
        })?;
        // The mistake mended, the pair is one: exactly one keeps the group.
        for node in ["a", "b"] {
            pair.settings.install(&pair.world, node)?;
            pair.order(node, &["reload"])?;
        }
        let status =
            pair.wait("a", "the pair is whole", |s| s.sees("b", "up") && s.groups[0].state == "started")?;
        let owner = status.groups[0].owner.clone().unwrap_or_default();
        pair.owned_by(&owner)?;
        served(pair, VIP)?;
        pair.stays_with(&owner, WHILE)
    });
}

#[test]
fn another_secret_is_no_peer() {
    strangers_to_each_other("tag", ["auth 1\n1 sha256 one-secret\n", "auth 1\n1 sha256 another-secret\n"]);
}

#[test]
fn another_key_is_no_peer() {
    strangers_to_each_other(
        "unknown_key",
        ["auth 1\n1 sha256 one-secret\n", "auth 2\n2 sha256 one-secret\n"],
    );
}

#[test]
fn a_new_key_is_rolled_out_without_a_gap() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let steps = [
            "auth 1\n1 sha256 the-lab-keeps-no-secrets\n2 sha256 a-new-secret\n",
            "auth 2\n1 sha256 the-lab-keeps-no-secrets\n2 sha256 a-new-secret\n",
            "auth 2\n2 sha256 a-new-secret\n",
        ];
        for keys in steps {
            for node in ["a", "b"] {
                pair.world.write_file(node, "/etc/hbd/authkeys", keys, 0o600)?;
                pair.order(node, &["reload"])?;
            }
        }
        pair.stays_with("a", WHILE)?;
        let told = pair.order("b", &["--json", "events", "-n", "1000"])?.stdout;
        check(!told.contains("\"to\":\"dead\""), || format!("b gave a up:\n{told}"))?;
        check(!told.contains("lab-keeps-no-secrets"), || "a secret is in the events".to_owned())
    });
}

#[test]
fn another_cluster_on_the_same_wire_and_port() {
    let make = || Pair::beside(&["c"], |s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")]));
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        // Its nodes have the names, its group the name, and its keys are the keys of ours.
        let mut foreign = Settings { cluster: "foreign".to_owned(), ..pair.settings.clone() };
        foreign.nodes = vec!["c".to_owned(), "a".to_owned()];
        foreign.links = vec![bcast("eth1")];
        foreign.groups[0].preferred = None;
        foreign.groups[0].resources = vec![address("10.77.1.9", 16, "eth0")];
        foreign.install(&pair.world, "c")?;
        let _daemon = Daemon::start(&pair.world, "c")?;
        let counts = |s: &Status| rejected(s, "foreign_cluster") > 10;
        for node in ["a", "b"] {
            pair.wait(node, "foreign packets are counted", counts)?;
        }
        let alone = |s: &Status| s.sees("a", "dead") && s.has(GROUP, "started", Some("c")) && counts(s);
        wait_status(&pair.world, "c", "the foreign node hears nobody", BOUND, alone)?;
        pair.stays_with("a", WHILE)?;
        for node in ["a", "b"] {
            let status = pair.joined(node, "a")?;
            check(status.degraded.is_empty(), || format!("{node}: {status}"))?;
        }
        served(pair, "10.77.1.9")
    });
}

#[test]
fn garbage_on_the_port_moves_nothing() {
    let make = || Pair::beside(&["c"], |s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")]));
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let epoch = pair.joined("a", "a")?.groups[0].epoch;
        let program = lab_program()?.display().to_string();
        let targets = ["10.78.0.255:694", "10.77.0.1:694", "10.77.0.2:694"];
        let words = [&[program.as_str(), "flood", "--count", "20000"], targets.as_slice()].concat();
        let mut flood = pair.world.spawn("c", "flood", &words)?;
        while flood.running() {
            pair.audit().expect_owner("a")?;
        }
        let sent = wait_for("the count", BOUND, Duration::from_millis(10), || {
            flood.log_text().trim().parse::<u64>().ok()
        })?;
        check(sent > 1000, || format!("only {sent} datagrams were sent"))?;
        for node in ["a", "b"] {
            let status = pair.joined(node, "a")?;
            check(rejected(&status, "magic") > 0 && rejected(&status, "tag") > 0, || {
                format!("{node} was to count the garbage by reason: {}", status.raw["rejected"])
            })?;
        }
        pair.stays_with("a", WHILE)?;
        let now = pair.joined("b", "a")?.groups[0].epoch;
        check(now == epoch, || format!("the epoch was {epoch} and is {now}"))?;
        pair.order("b", &["takeover"])?;
        pair.audit().expect_owner("b")?;
        let outside = lab::audit::address_info(&pair.world, "c", ip(VIP))?;
        check(outside.is_none(), || "c has the address".to_owned())
    });
}
