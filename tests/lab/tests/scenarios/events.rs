//! What happened is kept, and why a group is where it is can be asked.

use lab::pair::{GROUP, Pair};
use lab::scenario::{check, scenario};
use lab::{LabError, Result};
use serde_json::Value;

/// All events of a node, oldest first.
fn events(pair: &Pair, node: &str) -> Result<Vec<Value>> {
    let told = pair.order(node, &["--json", "events", "-n", "1000"])?.stdout;
    let parse =
        |line: &str| serde_json::from_str(line).map_err(|e| LabError(format!("no JSON: {e}: {line}")));
    told.lines().map(parse).collect()
}

/// Is there an event of this kind and subject with this change?
fn told(events: &[Value], kind: &str, subject: &str, to: &str) -> bool {
    events.iter().any(|e| e["kind"] == kind && e["subject"] == subject && e["to"] == to)
}

fn why(pair: &Pair, node: &str, said: &[&str]) -> Result<()> {
    let text = pair.order(node, &["why", GROUP])?.stdout;
    // Lines are broken for the terminal.
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in said {
        check(plain.contains(words), || format!("why on {node} was to say `{words}`: {text}"))?;
    }
    Ok(())
}

#[test]
fn events_survive_restarts() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        pair.order("a", &["move", GROUP])?;
        pair.owned_by("b")?;
        pair.world.power_off("b")?;
        pair.owned_by("a")?;
        let before = events(pair, "a")?;
        check(told(&before, "group", GROUP, "started"), || format!("{before:?}"))?;
        check(told(&before, "peer", "b", "dead"), || format!("{before:?}"))?;
        let operator = before
            .iter()
            .any(|e| e["kind"] == "operator" && e["why"].as_str().is_some_and(|w| w.contains("move")));
        check(operator, || format!("the order was to be told, with who gave it: {before:?}"))?;
        let took =
            before.iter().any(|e| e["kind"] == "group" && e["to"] == "started" && e["took_ms"].is_u64());
        check(took, || format!("how long a start took: {before:?}"))?;

        pair.crash("a")?;
        pair.start_again("a")?;
        pair.wait("a", "mine again", |s| s.has(GROUP, "started", Some("a")))?;
        pair.leave("a")?;
        pair.boot("b")?;
        pair.owned_by("b")?;
        pair.start_again("a")?;
        pair.joined("a", "b")?;
        let after = events(pair, "a")?;
        let kept = after.iter().take(before.len()).eq(&before);
        check(kept, || format!("those of the lives before are as they were: {before:?}\nand now {after:?}"))?;
        let numbers: Vec<u64> = after.iter().filter_map(|e| e["number"].as_u64()).collect();
        let rows = numbers.len() == after.len() && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
        check(rows, || format!("numbered one after the other, through all lives: {numbers:?}"))?;
        // The other node has its own, through its power failure.
        let others = events(pair, "b")?;
        check(told(&others, "node", "b", "up") && others.iter().all(|e| e["node"] == "b"), || {
            format!("{others:?}")
        })
    });
}

#[test]
fn why_names_the_rule() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        why(
            pair,
            "a",
            &["vip is started on a", "b would take it", "preferred node is a", "requires = nothing"],
        )?;
        why(pair, "b", &["vip is started on a", "this node would take it", "auto_failback is off"])?;
        pair.order("b", &["standby"])?;
        pair.wait("a", "b is on standby", |s| s.peer("b").is_some_and(|p| p.standby))?;
        why(pair, "a", &["b would not take it: it is on standby"])?;
        why(pair, "b", &["this node would not take it: it is on standby"])?;
        pair.order("b", &["online"])?;
        pair.world.power_off("a")?;
        pair.owned_by("b")?;
        why(pair, "b", &["vip is started on b", "a would not take it: it is dead"])?;
        pair.order("b", &["maintenance", "on"])?;
        why(pair, "b", &["the cluster is in maintenance"])?;
        pair.order("b", &["maintenance", "off"])?;
        pair.order("b", &["standby", "--force"])?;
        pair.audit().await_nobody(lab::pair::BOUND)?;
        pair.wait("b", "it rests", |s| s.has(GROUP, "stopped", None))?;
        why(pair, "b", &["nobody owns it", "this node would not take it: it is on standby"])
    });
}
