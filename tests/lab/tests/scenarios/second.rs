//! A node of the second implementation (`tests/protocol/second.py`, written from the document alone) beside a real one.

use lab::Result;
use lab::hbd::config::{address, ucast};
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario, until};

const SECRET: &str = "the-lab-keeps-no-secrets";

fn pair() -> Result<Pair> {
    Pair::with(|mut s| {
        s.links = vec![ucast(&[
            ("a".to_owned(), "10.77.0.1".to_owned()),
            ("b".to_owned(), "10.77.0.2".to_owned()),
        ])];
        s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")])
    })
}

#[test]
fn the_two_hear_each_other_and_survive_each_others_restarts() {
    scenario(pair, |pair| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/second.py");
        let node = ["python3", "-u", script, "node", "lab", "b", SECRET, "10.77.0.2", "10.77.0.1", "694"];
        let mut second = pair.world.spawn("b", "second", &node)?;
        pair.start("a")?;
        let up = |what: &str| {
            pair.wait("a", what, |s| s.sees("b", "up") && s.has(GROUP, "started", Some("a"))).map(drop)
        };
        let heard = |times: usize| {
            until("b hears a", || {
                let log = std::fs::read_to_string(pair.world.log_path("b", "second")).unwrap_or_default();
                Ok(log.matches("hears a").count() == times && !log.contains("refused"))
            })
        };
        up("b is up")?;
        heard(1)?;
        second.kill();
        pair.wait("a", "b is dead", |s| s.sees("b", "dead"))?;
        // It keeps nothing on a disk, so a tells it its incarnation.
        let _second = pair.world.spawn("b", "second", &node)?;
        up("b is up again")?;
        heard(2)?;
        // The other way round: a is another one now.
        pair.crash("a")?;
        pair.start_again("a")?;
        heard(3)?;
        up("b is up")?;
        let status = pair.status("a");
        check(status.is_some_and(|s| s.raw["rejected"]["tag"].is_null()), || {
            "something was rejected".to_owned()
        })
    });
}
