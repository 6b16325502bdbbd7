//! Power loss of the active node and planned hand-over, with one address and one probe per millisecond.

use std::net::IpAddr;
use std::time::Duration;

use super::Options;
use super::ground::Ground;
use super::product::{Case, Product};
use super::record::Record;
use super::sample::{BLIND_MS, Outage, REPEATS};
use crate::pair::other;
use crate::probe::ProbeHandle;
use crate::{Result, clock};

/// The probe sees this much of normal service before anything happens.
const BEFORE: Duration = Duration::from_millis(400);
/// And this much after the client should have been served again; repeated announcements may disturb.
const AFTER: Duration = Duration::from_millis(700);

/// (keepalive, deadtime) in milliseconds, and the word for it in the record.
const TIMINGS: [(u64, u64, &str); 2] = [(100, 1000, "1s"), (20, 100, "100ms")];

/// Cuts the power of the active node, at a random moment between two heartbeats, once per run in a fresh world.
///
/// # Errors
/// A pair did not come up or did not fail over.
pub fn power(product: &dyn Product, options: &Options, record: &mut Record) -> Result<()> {
    for (keepalive, deadtime, word) in TIMINGS {
        let case = Case::one(keepalive, deadtime);
        repeated(options, product, record, |record, this| power_once(product, &case, word, record, &this))?;
    }
    Ok(())
}

/// One sample to take.
struct Try {
    run: u32,
    /// To be kept even if it is disturbed.
    last: bool,
}

/// Takes `runs` samples; a disturbed one is taken again, [`REPEATS`] times at most and not more often in all than
/// there are samples. `once` says whether it kept its sample.
fn repeated(
    options: &Options,
    product: &dyn Product,
    record: &mut Record,
    mut once: impl FnMut(&mut Record, Try) -> Result<bool>,
) -> Result<()> {
    let mut left = options.runs;
    for run in 1..=options.runs {
        for attempt in 0..=REPEATS {
            if once(record, Try { run, last: attempt == REPEATS || left == 0 })? {
                break;
            }
            left -= 1;
            record.repeat(product.name());
        }
    }
    Ok(())
}

/// One power loss; true if the sample was kept.
fn power_once(
    product: &dyn Product,
    case: &Case,
    word: &str,
    record: &mut Record,
    this: &Try,
) -> Result<bool> {
    let ground = Ground::running(product, case)?;
    let probe = start_probe(&ground)?;
    std::thread::sleep(BEFORE + phase(case));
    let off = ground.world.power_off("a")?;
    // The survivor is not looked at while it takes over: a look costs a process.
    std::thread::sleep(case.deadtime + AFTER);
    ground.wait_owner("b")?;
    std::thread::sleep(AFTER);
    let csv = probe.csv.clone();
    let outage = Outage::read(&probe.finish()?, &csv, off)?;
    if outage.disturbed(BLIND_MS) && !this.last {
        return Ok(false);
    }
    let name = product.name();
    record.add(&format!("power-{word}-outage"), name, this.run, outage.ms, &outage);
    if let (Some(detected), Some(served)) = (product.detected_ns(&ground, "b", "a"), outage.served_ns) {
        let ms = |from: u64, to: u64| (to as f64 - from as f64) / 1e6;
        record.add(&format!("power-{word}-detect"), name, this.run, ms(off, detected), &outage);
        record.add(&format!("power-{word}-after"), name, this.run, ms(detected, served), &outage);
    }
    Ok(true)
}

/// Hands the address over, to and fro, in one world; keepalived with near and with ordinary priorities.
///
/// # Errors
/// A pair did not come up or did not hand over.
pub fn standby(product: &dyn Product, options: &Options, record: &mut Record) -> Result<()> {
    let mut kinds = vec![("standby", [254, 253])];
    if product.name() == "keepalived" {
        kinds.push(("standby-200", [200, 199]));
    }
    for (word, priorities) in kinds {
        let case = Case { priorities, ..Case::one(100, 1000) };
        let mut ground = Ground::running(product, &case)?;
        let mut active = "a";
        repeated(options, product, record, |record, this| {
            let kept = standby_once(product, &mut ground, active, word, record, &this)?;
            active = other(active);
            Ok(kept)
        })?;
    }
    Ok(())
}

/// One hand-over from `active` to the other, which is settled afterwards; true if the sample was kept.
fn standby_once(
    product: &dyn Product,
    ground: &mut Ground,
    active: &str,
    word: &str,
    record: &mut Record,
    this: &Try,
) -> Result<bool> {
    let probe = start_probe(ground)?;
    std::thread::sleep(BEFORE + phase(&ground.case));
    let asked = clock::monotonic_ns();
    product.release(ground, active)?;
    std::thread::sleep(AFTER);
    ground.wait_owner(other(active))?;
    std::thread::sleep(AFTER);
    let csv = probe.csv.clone();
    let outage = Outage::read(&probe.finish()?, &csv, asked)?;
    product.rejoin(ground, active)?;
    ground.wait_settled(product, other(active), active)?;
    if outage.disturbed(BLIND_MS) && !this.last {
        return Ok(false);
    }
    record.add(word, product.name(), this.run, outage.ms, &outage);
    Ok(true)
}

fn start_probe(ground: &Ground) -> Result<ProbeHandle> {
    let targets: Vec<IpAddr> = ground.case.addresses.iter().map(|a| IpAddr::V4(*a)).collect();
    let probe = ProbeHandle::start(&ground.world, "probe", &targets, Duration::from_millis(1))?;
    ground.apart(probe.pid())?;
    Ok(probe)
}

/// A random part of the heartbeat interval: the power does not wait for a heartbeat.
fn phase(case: &Case) -> Duration {
    Duration::from_nanos(clock::monotonic_ns() % case.keepalive.as_nanos() as u64)
}
