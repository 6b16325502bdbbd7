//! The wall clock is set: forward, back, by seconds and by years. It is for people alone, and moves nothing.

use lab::Result;
use lab::pair::{GROUP, Pair};
use lab::scenario::{check, scenario, until};

use super::WHILE;

const YEAR: i64 = 365 * 24 * 3600;

/// The year of the newest event a node tells of.
fn year(pair: &Pair, node: &str) -> Result<i64> {
    let told = pair.order(node, &["--json", "events", "-n", "1"])?.stdout;
    let year = told.split("\"time\":\"").nth(1).and_then(|rest| rest.get(..4)).and_then(|y| y.parse().ok());
    year.ok_or_else(|| lab::LabError(format!("no event with a time: {told}")))
}

#[test]
fn a_jump_of_the_wall_clock_moves_nothing() {
    let make = || Pair::new()?.with_wall_clocks();
    scenario(make, |pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let now = year(pair, "a")?;
        let epoch = pair.joined("b", "a")?.groups[0].epoch;
        let probe = pair.probe("probe")?;
        for seconds in [-5, 3, 3600, -20 * YEAR, 10 * YEAR, 0] {
            pair.set_wall_clock("a", seconds)?;
            pair.set_wall_clock("b", -seconds / 2)?;
            pair.stays_with("a", WHILE / 2)?;
        }
        let status = pair.joined("b", "a")?;
        check(status.groups[0].epoch == epoch, || format!("the epoch was {epoch}: {status}"))?;
        let seen = probe.finish()?;
        check(seen.lost == seen.late, || format!("packets were lost: {seen:?}"))?;
        // Moves and takeovers go on while the clocks disagree; and hbd has seen the wrong clock.
        pair.set_wall_clock("a", 10 * YEAR)?;
        pair.order("a", &["move", GROUP])?;
        pair.owned_by("b")?;
        until("a's events are ten years ahead", || Ok((9..=10).contains(&(year(pair, "a")? - now))))?;
        pair.world.power_off("b")?;
        pair.owned_by("a")?;
        pair.boot("b")?;
        pair.joined("b", "a").map(drop)
    });
}
