//! Real servers are drained, killed, returned and reweighted, and the configuration is reloaded, under a running load: a
//! client sees nothing of it, but for what a killed server held.

use std::time::Duration;

use lab::Result;
use lab::clock::{monotonic_ns, wait_for};
use lab::farm::Farm;
use lab::hbd::daemon::program;
use lab::pair::BOUND;

use super::{check, on_farm};

const REALS: [&str; 3] = ["real1", "real2", "real3"];

fn configuration(weight: u32) -> String {
    let mut text =
        "[director]\ninterval = \"300ms\"\ntimeout = \"5s\"\nfall = 2\nrise = 1\nquiescent = true\n\n\
         [[virtual]]\nname = \"www\"\naddress = \"10.77.1.1:80\"\nscheduler = \"wlc\"\n\
         check = { type = \"http\", path = \"/index.html\", expect = \"happy\" }\n"
            .to_owned();
    for (number, real) in (3..).zip(REALS) {
        text += &format!(
            "  [[virtual.real]]\n  name = \"{real}\"\n  address = \"10.77.0.{number}:80\"\n  weight = {weight}\n"
        );
    }
    text
}

fn make() -> Result<Farm> {
    let farm = Farm::new(&REALS, |settings| settings)?;
    farm.configure(&configuration(2))?;
    farm.shell("a", "ip addr add 10.77.1.1/32 dev eth0")?;
    for real in REALS {
        farm.direct_routing(real, "10.77.1.1")?;
        farm.serve(real, &["http:0.0.0.0:80"])?;
    }
    Ok(farm)
}

/// Waits until the kernel has `line` in its table.
fn wait_table(farm: &Farm, line: &str) -> Result<()> {
    wait_for(line, BOUND, Duration::from_millis(50), || {
        farm.table("a").ok()?.iter().any(|found| found == line).then_some(())
    })
}

#[test]
fn nobody_sees_a_real_server_drained_killed_returned_reweighted_or_a_reload() {
    on_farm(make, |farm| {
        let program = program("director")?.display().to_string();
        let _director =
            farm.world().spawn("a", "director", &[&program, "run", "--config", "/etc/hbd/director.toml"])?;
        farm.wait_all("a", "up")?;
        let client = farm.load("load", "http:10.77.1.1:80", "20ms")?;

        farm.director("a", &["drain", "real1", "--deadline", "60s"])?;
        farm.wait_real("a", "real1", "drain")?;
        farm.director("a", &["enable", "real1"])?;
        farm.wait_real("a", "real1", "up")?;

        farm.director("a", &["weight", "real2", "5"])?;
        wait_table(farm, "-a -t 10.77.1.1:80 -r 10.77.0.4:80 -g -w 5")?;

        farm.configure(&configuration(3))?;
        farm.director("a", &["reload"])?;
        wait_table(farm, "-a -t 10.77.1.1:80 -r 10.77.0.3:80 -g -w 3")?;

        let killed = monotonic_ns();
        farm.kill("real3")?;
        farm.wait_real("a", "real3", "down")?;
        let out = monotonic_ns();
        wait_table(farm, "-a -t 10.77.1.1:80 -r 10.77.0.5:80 -g -w 0")?;
        farm.serve("real3", &["http:0.0.0.0:80"])?;
        farm.wait_real("a", "real3", "up")?;
        wait_table(farm, "-a -t 10.77.1.1:80 -r 10.77.0.5:80 -g -w 3")?;

        let answers = client.answers()?;
        farm.world().timeline.note(format!("the load: {}", answers.spread()));
        let others: Vec<_> = answers.failed.iter().filter(|f| f.end_ns < killed || f.at_ns > out).collect();
        check(others.is_empty(), || format!("failed though nobody died: {others:?}"))?;
        check(answers.count() > 20 && REALS.iter().all(|real| answers.of(real) > 0), || answers.spread())
    });
}
