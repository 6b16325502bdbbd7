//! Real packets altered in every way, and a flood of forged ones.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::flood::Offered;
use lab::hbd::Status;
use lab::hbd::config::address;
use lab::net::space::lab_program;
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario, served, until};
use lab::{LabError, Result};

use super::WHILE;

const RECORD: &str = "/var/recorded";

fn pair() -> Result<Pair> {
    Pair::beside(&["c"], |s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")]))
}

fn rejected(status: &Status) -> BTreeMap<String, u64> {
    serde_json::from_value(status.raw["rejected"].clone()).unwrap_or_default()
}

/// The number of datagrams rejected since `before` for each reason that has any.
fn since(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let new = now.iter().map(|(reason, count)| (reason.clone(), count - before.get(reason).unwrap_or(&0)));
    new.filter(|(_, count)| *count > 0).collect()
}

/// How much a counter of each link to the peer has grown.
fn brought(now: &Status, what: &str, before: &Status) -> Vec<u64> {
    let of = |status: &Status| -> Vec<u64> {
        let links = status.raw["nodes"][0]["links"].as_array();
        links.into_iter().flatten().map(|link| link[what].as_u64().unwrap_or(0)).collect()
    };
    of(now).iter().zip(of(before)).map(|(now, before)| now.saturating_sub(before)).collect()
}

fn status(pair: &Pair, node: &str) -> Result<Status> {
    pair.status(node).ok_or_else(|| LabError(format!("{node} gives no status")))
}

/// Lines of the daemon's log on datagrams that were not believed for `reason`.
fn told(pair: &Pair, node: &str, reason: &str) -> usize {
    let log = std::fs::read_to_string(pair.world.log_path(node, "hbd")).unwrap_or_default();
    log.lines().filter(|line| line.contains("not believed") && line.contains(&format!("({reason})"))).count()
}

#[test]
fn every_forgery_of_a_real_packet_is_counted_by_its_reason_and_does_nothing() {
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let program = lab_program()?.display().to_string();
        pair.world.must("c", &[&program, "record", "--from", "10.78.0.1", "--count", "1", RECORD])?;
        let epoch = pair.joined("b", "a")?.groups[0].epoch;
        let before = rejected(&status(pair, "b")?);
        let made = pair.world.must("c", &[&program, "forge", RECORD, "10.77.0.2:694"])?;
        let made: BTreeMap<String, u64> =
            serde_json::from_str(&made).map_err(|e| LabError(format!("{e} in {made:?}")))?;
        pair.world.timeline.note(format!("forged: {made:?}"));
        check(made.len() == 8, || format!("too few kinds: {made:?}"))?;
        let mut counted = BTreeMap::new();
        until("each is counted by its reason", || {
            counted = since(&before, &rejected(&status(pair, "b")?));
            check(counted == made, || format!("made {made:?}, counted {counted:?}")).map(|()| true)
        })?;
        for reason in made.keys() {
            let lines = told(pair, "b", reason);
            check((1..=2).contains(&lines), || format!("{lines} lines of the log are on {reason}"))?;
        }
        pair.stays_with("a", WHILE / 2)?;
        let now = pair.joined("b", "a")?;
        check(now.groups[0].epoch == epoch && now.degraded.is_empty(), || format!("{now}"))?;
        served(pair, VIP)
    });
}

#[test]
fn a_flood_of_forged_packets_costs_no_heartbeat() {
    const RATE: &str = "100000";
    let time = Duration::from_secs(8);
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let begin = status(pair, "b")?;
        let before = rejected(&begin);
        let program = lab_program()?.display().to_string();
        // All of it meets b, on both of its links.
        let seconds = format!("{}s", time.as_secs());
        // The forger is another machine: it is not short of processor time because this one has much to do.
        let words = [
            ["nice", "-n", "-15", &program, "forged", "--rate", RATE, "--time", &seconds].as_slice(),
            &["10.78.0.2:694", "10.77.0.2:694"],
        ]
        .concat();
        let mut flood = pair.world.spawn("c", "forged", &words)?;
        while flood.running() {
            pair.audit().expect_owner("a")?;
            for (node, peer) in [("a", "b"), ("b", "a")] {
                let status = status(pair, node)?;
                check(status.sees(peer, "up"), || format!("{node} gave {peer} up: {status}"))?;
            }
        }
        let offered: Offered =
            serde_json::from_str(flood.log_text().trim()).map_err(|e| LabError(format!("{e}")))?;
        let end = status(pair, "b")?;
        let tags = since(&before, &rejected(&end)).get("tag").copied().unwrap_or(0);
        let heard = brought(&end, "received", &begin);
        let said = format!(
            "offered {} forged packets in {} ms ({}/s); b judged {tags} of them, and heard {heard:?} heartbeats by link, \
             lost {:?}",
            offered.sent,
            offered.took_ms,
            offered.rate(),
            brought(&end, "lost", &begin)
        );
        eprintln!("{said}");
        pair.world.timeline.note(&said);
        // Eighty were sent, and more when something changed; this machine may have been slow to send.
        check(heard.len() == 2 && heard.iter().all(|&count| count > 40), || format!("too few: {said}"))?;
        check(offered.rate() > 10_000 && tags > 10_000, || format!("this was no flood: {said}"))?;
        for node in ["a", "b"] {
            let status = status(pair, node)?;
            let late = status.raw["nodes"][0]["late"].as_u64();
            check(late == Some(0), || format!("{node} heard its peer late: {said}\n{status}"))?;
            check(status.groups[0].epoch == begin.groups[0].epoch, || format!("the group moved: {status}"))?;
            let events = pair.order(node, &["--json", "events", "-n", "1000"])?.stdout;
            check(!events.contains("\"to\":\"dead\""), || format!("{node} gave its peer up:\n{events}"))?;
            check(told(pair, node, "tag") <= 2, || format!("{node} filled its log"))?;
        }
        // An operator is heard meanwhile, and after.
        pair.order("b", &["takeover"])?;
        pair.owned_by("b").map(drop)
    });
}
