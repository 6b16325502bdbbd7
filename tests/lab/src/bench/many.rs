//! Many addresses in one group: how long after the first one the last one answers, at a power loss.
//!
//! The kernel keeps at most `net.ipv4.neigh.default.gc_thresh3` (1024) neighbour entries for the whole host, all
//! namespaces together. A client with a thousand of them would measure that limit, so a sample of the addresses,
//! spread evenly with the first and the last in it, is asked; all of them are moved and announced.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::Options;
use super::ground::Ground;
use super::product::{Case, Product, addresses};
use super::record::Record;
use super::sample::{Outage, REPEATS};
use crate::probe::{ProbeHandle, Summary};
use crate::{LabError, Result};

/// Addresses asked.
const ASKED: usize = 100;
/// Time between two probes; each address is asked every `ASKED` of these: 10 ms, the resolution of the result.
const INTERVAL: Duration = Duration::from_micros(100);
/// The resolution, and how long the prober may be blind: one round, milliseconds.
pub const BLIND_MS: f64 = 10.0;
/// More samples than this tell nothing new, and each takes long.
const RUNS: u32 = 5;

/// Measures takeovers of many addresses.
///
/// # Errors
/// A pair did not come up, or an address was never served again.
pub fn measure(product: &dyn Product, options: &Options, record: &mut Record) -> Result<()> {
    let count = product.many(options.quick);
    let case = Case { addresses: addresses(count), ..Case::one(100, 1000) };
    for run in 1..=options.runs.min(if options.quick { 1 } else { RUNS }) {
        for attempt in 0..=REPEATS {
            let (spread, outage) = once(product, &case)?;
            if outage.disturbed(BLIND_MS) && attempt < REPEATS {
                record.repeat(product.name());
                continue;
            }
            // A thousand have 999 steps from the first to the last; fewer are scaled up to that.
            let scaled = spread * 999.0 / (count.max(2) - 1) as f64;
            record.add("many", product.name(), run, scaled, &outage);
            if count != 1000 {
                record.note(&format!(
                    "{}: {count} addresses measured ({spread:.0} ms), scaled to 1,000",
                    product.name()
                ));
            }
            break;
        }
    }
    Ok(())
}

/// One power loss; milliseconds from the first address answering again to the last.
fn once(product: &dyn Product, case: &Case) -> Result<(f64, Outage)> {
    let ground = Ground::running(product, case)?;
    let targets: Vec<IpAddr> = spread_over(&case.addresses, ASKED).into_iter().map(IpAddr::V4).collect();
    let probe = ProbeHandle::start(&ground.world, "probe", &targets, INTERVAL)?;
    std::thread::sleep(Duration::from_millis(700));
    let off = ground.world.power_off("a")?;
    std::thread::sleep(case.deadtime + Duration::from_millis(1500));
    ground.wait_owner("b")?;
    std::thread::sleep(Duration::from_millis(1500));
    let csv = probe.csv.clone();
    let summary = probe.finish()?;
    let spread = spread_ms(&summary, targets.len(), off)?;
    Ok((spread, Outage::read(&summary, &csv, off)?))
}

/// From the first target that is served again to the last.
fn spread_ms(summary: &Summary, targets: usize, since_ns: u64) -> Result<f64> {
    // The takeover ends each target's longest gap; a single probe lost later is no part of it.
    let mut ends = std::collections::BTreeMap::<&str, (f64, u64)>::new();
    for gap in summary.gaps.iter().filter(|g| g.answered_ns.is_none_or(|at| at > since_ns)) {
        let answered =
            gap.answered_ns.ok_or_else(|| LabError(format!("{} was not served again", gap.target)))?;
        let longest = ends.entry(&gap.target).or_insert((0.0, 0));
        if gap.length_ms > longest.0 {
            *longest = (gap.length_ms, answered);
        }
    }
    if ends.len() != targets {
        return Err(LabError(format!("{} of {targets} addresses had an outage at all", ends.len())));
    }
    let times = || ends.values().map(|(_, answered)| *answered);
    Ok((times().max().unwrap_or(0) - times().min().unwrap_or(0)) as f64 / 1e6)
}

/// `count` of the addresses (or all), evenly spread, the first and the last among them.
fn spread_over(all: &[Ipv4Addr], count: usize) -> Vec<Ipv4Addr> {
    if all.len() <= count || count < 2 {
        return all.to_vec();
    }
    (0..count).map(|i| all[i * (all.len() - 1) / (count - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_has_both_ends_and_no_address_twice() {
        let all = addresses(1000);
        let some = spread_over(&all, 100);
        assert_eq!((some.len(), some[0], some[99]), (100, all[0], all[999]));
        assert!(some.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(spread_over(&all[..40], 100), all[..40]);
    }
}
