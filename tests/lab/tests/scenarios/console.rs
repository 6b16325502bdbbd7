//! The console of both nodes tells of a failover, and of nothing else.

use lab::Result;
use lab::hbd::config::address;
use lab::hbd::status::Status;
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario, until};

fn pair() -> Result<Pair> {
    Pair::with(|mut settings| {
        settings.more.push_str("[console]\nlisten = \"127.0.0.1:7694\"\n");
        settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")])
    })
}

/// What the console of a node answers to a browser there; nothing if nobody listens.
fn get(pair: &Pair, node: &str, target: &str) -> Result<String> {
    let talk = format!(
        "exec 3<>/dev/tcp/127.0.0.1/7694 && printf 'GET {target} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && cat <&3"
    );
    Ok(pair.world.exec(node, &["bash", "-c", &talk])?.stdout)
}

/// Whether a node says that it serves the group.
fn serves(pair: &Pair, node: &str) -> Result<bool> {
    Ok(get(pair, node, &format!("/healthz?group={GROUP}"))?.starts_with("HTTP/1.1 200 "))
}

fn tells(pair: &Pair, node: &str, sample: &str) -> Result<bool> {
    Ok(get(pair, node, "/metrics")?.lines().any(|line| line == sample))
}

#[test]
fn the_console_of_both_nodes_tells_of_a_failover() {
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        until("a says that it serves", || serves(pair, "a"))?;
        until("b sees it", || tells(pair, "b", "hbd_group_owner{group=\"vip\",node=\"a\"} 1"))?;
        check(!serves(pair, "b")?, || "b says that it serves too".to_owned())?;
        until("a hears b", || tells(pair, "a", "hbd_node_state{node=\"b\",state=\"up\"} 1"))?;
        for node in ["a", "b"] {
            let page = get(pair, node, "/")?;
            check(page.contains("a serves vip"), || format!("the page of {node}: {page}"))?;
            let answer = get(pair, node, "/api/status")?;
            let status = answer.split_once("\r\n\r\n").and_then(|(_, body)| Status::parse(body));
            check(status.is_some_and(|status| status.has(GROUP, "started", Some("a"))), || answer.clone())?;
        }

        pair.world.power_off("a")?;
        pair.owned_by("b")?;
        until("b says that it serves", || serves(pair, "b"))?;
        until("and that a is dead", || tells(pair, "b", "hbd_node_state{node=\"a\",state=\"dead\"} 1"))?;
        let page = get(pair, "b", "/")?;
        check(page.contains("b serves vip") && page.contains("verdict warn"), || page.clone())?;

        pair.boot("a")?;
        pair.wait("a", "both up", |s| s.sees("b", "up") && s.has(GROUP, "started", Some("b")))?;
        until("a is well", || Ok(get(pair, "a", "/healthz")?.starts_with("HTTP/1.1 200 ")))?;
        until("and sees who serves", || tells(pair, "a", "hbd_group_owner{group=\"vip\",node=\"b\"} 1"))?;
        check(!serves(pair, "a")?, || "a says that it serves".to_owned())
    });
}

#[test]
fn a_reload_opens_and_closes_it_and_what_cannot_listen_is_degraded() {
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let answers = || Ok(get(pair, "a", "/healthz")?.starts_with("HTTP/1.1 200 "));
        until("a answers", answers)?;
        let reload = |more: &str| {
            let mut other = pair.settings.clone();
            other.more = other.more.replace("[console]\nlisten = \"127.0.0.1:7694\"\n", more);
            other.install(&pair.world, "a")?;
            pair.order("a", &["reload"])
        };
        reload("")?;
        until("nobody listens", || Ok(get(pair, "a", "/healthz")?.is_empty()))?;
        // An address that is not there yet.
        reload("[console]\nlisten = \"10.99.0.1:7694\"\n")?;
        let said = "the console does not listen on 10.99.0.1:7694";
        let degraded = |s: &Status| s.degraded.iter().any(|sentence| sentence.starts_with(said));
        pair.wait("a", "the console cannot listen", degraded)?;
        pair.world.must("a", &["ip", "addr", "add", "10.99.0.1/32", "dev", "lo"])?;
        pair.wait("a", "it listens now", |s| !degraded(s))?;
        reload("[console]\nlisten = \"127.0.0.1:7694\"\n")?;
        until("a answers again", answers)?;
        pair.owned_by("a").map(drop)
    });
}

#[test]
fn requests_without_end_cost_no_heartbeat() {
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        until("a says that it serves", || serves(pair, "a"))?;
        let flood = "for i in 1 2 3 4 5 6 7 8; do (end=$((SECONDS+4)); while [ $SECONDS -lt $end ]; do \
                     exec 3<>/dev/tcp/127.0.0.1/7694 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3 >/dev/null; \
                     done) & done; wait";
        let mut flood = pair.world.spawn("a", "flood", &["bash", "-c", flood])?;
        while flood.running() {
            pair.audit().expect_owner("a")?;
            for (node, peer) in [("a", "b"), ("b", "a")] {
                let sees = pair.status(node).is_some_and(|status| status.sees(peer, "up"));
                check(sees, || format!("{node} gave {peer} up"))?;
            }
        }
        until("a answers still", || serves(pair, "a"))
    });
}
