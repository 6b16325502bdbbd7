//! What is refused, with which exit code, and that it changes nothing.

use lab::hbd::config::address;
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario};
use lab::{LabError, Result};

use super::WHILE;

/// Runs hbctl and wants this exit code and these words on stderr.
fn ends(pair: &Pair, node: &str, words: &[&str], code: i32, said: &[&str]) -> Result<()> {
    let output = pair.hbctl(node, words)?;
    let told = said.iter().all(|word| output.stderr.contains(word)) && !output.stderr.trim().is_empty();
    check(output.code == code && told, || {
        format!("hbctl {words:?} was to end with {code} and say {said:?}: {output:?}")
    })
}

#[test]
fn refusals_say_why_and_change_nothing() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let epoch = pair.joined("a", "a")?.groups[0].epoch;
        let refused: [(&[&str], &[&str]); 10] = [
            (&["move", "nosuch"], &["nosuch", GROUP]),
            (&["move", GROUP, "--to", "nosuch"], &["nosuch", "a, b"]),
            (&["takeover", "nosuch"], &["nosuch"]),
            (&["failback", "nosuch"], &["nosuch"]),
            (&["cleanup", "nosuch"], &["nosuch"]),
            (&["standby", "nosuch"], &["nosuch"]),
            (&["online", "nosuch"], &["nosuch"]),
            (&["why", "nosuch"], &["nosuch"]),
            (&["fence-ack", "b"], &["up"]),
            (&["fence", "b"], &["b"]),
        ];
        for (words, said) in refused {
            ends(pair, "a", words, 1, said)?;
        }
        ends(pair, "a", &["no-such-command"], 2, &["no-such-command"])?;
        ends(pair, "a", &["move"], 2, &["GROUP"])?;
        ends(pair, "a", &["--socket", "/run/nowhere.sock", "status"], 3, &["/run/nowhere.sock"])?;
        let json = pair.hbctl("a", &["--json", "move", "nosuch"])?;
        let value: serde_json::Value = serde_json::from_str(&json.stdout)
            .map_err(|e| LabError(format!("a refusal is JSON too: {e}: {json:?}")))?;
        let reasoned =
            value["done"] == false && value["reason"].as_str().is_some_and(|r| r.contains("nosuch"));
        check(json.code == 1 && reasoned, || format!("{json:?}"))?;
        pair.stays_with("a", WHILE / 2)?;
        let now = pair.joined("b", "a")?.groups[0].epoch;
        check(now == epoch, || format!("the epoch was {epoch} and is {now}"))
    });
}

#[test]
fn without_a_peer_nothing_can_be_handed_over() {
    scenario(Pair::running, |pair| {
        pair.crash("b")?;
        pair.wait("a", "b is dead", |s| s.sees("b", "dead"))?;
        ends(pair, "a", &["move", GROUP], 1, &["b", "dead"])?;
        ends(pair, "a", &["move", GROUP, "--to", "b"], 1, &["b", "dead"])?;
        ends(pair, "a", &["standby"], 1, &["--force"])?;
        ends(pair, "a", &["standby", "b"], 1, &["b"])?;
        ends(pair, "b", &["status"], 3, &["hbd"])?;
        pair.stays_with("a", WHILE / 2)
    });
}

#[test]
fn fencing_waits_for_the_operators_word() {
    let make = || {
        Pair::with(|settings| {
            let mut settings = settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")]);
            settings.groups[0].requires = Some("fencing".to_owned());
            for node in ["a", "b"] {
                settings.more += &format!("[[fence]]\nnode = \"{node}\"\nagent = \"/bin/false\"\n");
            }
            settings
        })
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        pair.world.power_off("a")?;
        let held = |s: &lab::hbd::Status| {
            s.sees("a", "dead")
                && s.has(GROUP, "blocked", None)
                && s.degraded.iter().any(|d| d.contains("fence-ack a"))
        };
        pair.wait("b", "held until a is known to be down", held)?;
        let what = "nothing starts before it is certain";
        lab::scenario::throughout(what, WHILE, || {
            let look = pair.audit().look()?;
            check(look.holders.values().all(Vec::is_empty), || format!("{look}"))
        })?;
        pair.order("b", &["fence-ack", "a"])?;
        pair.owned_by("b")?;
        pair.boot("a")?;
        pair.joined("a", "b")?;
        pair.stays_with("b", WHILE)
    });
}
