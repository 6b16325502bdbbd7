//! Programs beside the groups: who is told of what happens, and what is kept alive.

use lab::Result;
use lab::hbd::config::address;
use lab::pair::{GROUP, Pair, VIP};
use lab::scenario::{check, scenario, until};

const MORE: &str = r#"
[[alert]]
exec = "/bin/sh"
args = ["-c", "echo \"$HBD_ALERT_KIND $HBD_ALERT_SUBJECT $HBD_ALERT_TO\" >>/run/told"]

[[alert]]
exec = "/bin/sh"
args = ["-c", "sleep 1000"]

[[respawn]]
command = ["/bin/sh", "-c", "echo $$ >>/run/kept; sleep 1000 & wait"]
"#;

fn pair() -> Result<Pair> {
    Pair::with(|mut s| {
        s.more += MORE;
        s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")])
    })
}

fn lines(pair: &Pair, node: &str, file: &str) -> Result<Vec<String>> {
    let output = pair.world.exec(node, &["sh", "-c", &format!("cat {file} 2>/dev/null || true")])?;
    Ok(output.stdout.lines().map(str::to_owned).collect())
}

#[test]
fn a_failover_is_told_of_though_another_alert_hangs() {
    scenario(pair, |pair| {
        pair.start_both()?;
        pair.world.power_off("a")?;
        pair.owned_by("b")?;
        until("b was told of it", || {
            let told = lines(pair, "b", "/run/told")?;
            let at = |line: &str| told.iter().rposition(|told| told == line);
            let (dead, started) = (at("peer a dead"), at(&format!("group {GROUP} started")));
            Ok(dead.is_some() && dead < started)
        })
    });
}

#[test]
fn a_process_beside_the_daemon_is_kept_alive_and_ends_with_it() {
    scenario(pair, |pair| {
        pair.start_both()?;
        let runs = |pid: &str| Ok(pair.world.exec("b", &["kill", "-0", pid])?.ok());
        let kept = || lines(pair, "b", "/run/kept");
        until("it runs", || Ok(kept()?.len() == 1))?;
        let first = kept()?.remove(0);
        pair.world.must("b", &["kill", "-KILL", &first])?;
        until("it runs again", || Ok(kept()?.len() == 2))?;
        // A killed daemon leaves it behind; the next one ends it before it starts its own.
        pair.crash("b")?;
        let second = kept()?.remove(1);
        check(runs(&second)?, || "it outlives a killed daemon".to_owned())?;
        pair.start_again("b")?;
        until("the next daemon's runs", || Ok(kept()?.len() == 3))?;
        check(!runs(&second)?, || "the one left behind was to be ended".to_owned())?;
        pair.leave("b")?;
        let third = kept()?.remove(2);
        until("it ends with the daemon", || Ok(!runs(&third)?))
    });
}
