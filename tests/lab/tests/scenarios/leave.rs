//! hbd is asked to go.

use lab::hbd::config::address;
use lab::hbd::daemon::Daemon;
use lab::pair::{BOUND, GROUP, Pair, VIP};
use lab::scenario::{check, scenario, serves};
use lab::{LabError, agent};

use super::WHILE;

#[test]
fn it_hands_over_and_the_last_one_stops_everything() {
    let make = || {
        Pair::with(|s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &agent::service("web", "")]))
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        pair.leave("a")?;
        // It went when its group was taken: no waiting here.
        pair.audit().expect_owner("b")?;
        serves(pair, "web", "b")?;
        pair.wait("b", "a left", |s| s.sees("a", "left"))?;
        check(!pair.world.exec("a", &["test", "-e", "/run/hbd/hbd.sock"])?.ok(), || {
            "its socket stayed".to_owned()
        })?;
        pair.stays_with("b", WHILE)?;
        pair.start("a")?;
        pair.joined("a", "b")?;
        pair.leave("a")?;
        pair.stays_with("b", WHILE / 2)?;
        // Nobody is left to take it.
        pair.leave("b")?;
        pair.audit().await_nobody(BOUND)?;
        let runners = agent::runners(&pair.world, "web")?;
        check(runners.is_empty(), || format!("web still runs on {runners:?}"))?;
        let deeds = agent::deeds(&pair.world, 0);
        let order = ["a start web", "a stop web", "b start web", "b stop web"];
        check(deeds == order, || format!("{deeds:?}"))
    });
}

#[test]
fn in_maintenance_it_goes_and_what_runs_goes_on() {
    let make = || {
        Pair::with(|s| s.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0"), &agent::service("web", "")]))
    };
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        pair.order("b", &["maintenance", "on"])?;
        pair.wait("a", "maintenance is on", |s| s.maintenance)?;
        let done = agent::calls(&pair.world).len();
        pair.leave("a")?;
        // No farewell: something of it may run there still.
        pair.wait("b", "a is dead", |s| s.sees("a", "dead"))?;
        let outside = lab::audit::Audit::new(&pair.world, &[lab::pair::ip(VIP)]);
        lab::scenario::throughout("hbd is away", WHILE, || outside.expect_owner("a").map(drop))?;
        pair.start_again("a")?;
        pair.joined("b", "a")?;
        pair.order("a", &["maintenance", "off"])?;
        pair.stays_with("a", WHILE / 2)?;
        let deeds = agent::deeds(&pair.world, done);
        check(deeds.is_empty(), || format!("the service was touched: {deeds:?}"))
    });
}

#[test]
fn a_second_hbd_on_the_same_folder_is_refused() {
    scenario(Pair::running, |pair| {
        pair.owned_by("a")?;
        let mut second = Daemon::start(&pair.world, "a")?;
        let ended = second.process().wait(BOUND)?.ok_or_else(|| LabError::new("a second hbd runs"))?;
        let code = lab::command::exit_code(ended);
        let said = second.process().log_text();
        check(code == 1 && said.contains("another hbd (pid"), || format!("exit code {code}: {said}"))?;
        pair.stays_with("a", WHILE / 2)
    });
}
