//! What an idle pair costs on the node that owns the address: Pss and processor time.

use std::time::{Duration, Instant};

use super::Options;
use super::ground::Ground;
use super::product::{Case, Product};
use super::record::Record;
use super::softirq::Watch;
use super::{private, processes, processes::Snapshot};
use crate::{LabError, Result};

/// Repeated announcements, late starters and first-time allocations are over by then.
const SETTLE: Duration = Duration::from_secs(15);

/// Measures one settled pair, keepalive 100 ms and deadtime 1 s, no client.
///
/// # Errors
/// The pair did not come up, or the kernel does not tell.
pub fn measure(product: &dyn Product, options: &Options, record: &mut Record) -> Result<()> {
    processes::supported()?;
    let (settle, window) =
        if options.quick { (SETTLE / 3, Duration::from_secs(15)) } else { (SETTLE, Duration::from_secs(60)) };
    let mut ground = Ground::prepare(product, &Case::one(100, 1000), false)?;
    ground.start_and_wait(product, "a")?;
    let pid = ground.pid("a").ok_or_else(|| LabError::new("the daemon on a is gone"))?;
    private::own_copies(&ground.world, "b", &processes::programs(pid)?)?;
    ground.start_and_wait(product, "b")?;
    std::thread::sleep(settle);
    let began = Instant::now();
    let before = Snapshot::of(pid)?;
    let watch = Watch::over(&before.threads());
    std::thread::sleep(window);
    let receiving = watch.and_then(Watch::receiving);
    let after = Snapshot::of(pid)?;
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    record.plain("pss", product.name(), after.pss_bytes() as f64 / 1e6);
    let all = after.cpu_since(&before);
    let per_minute = |time: Duration| time.as_secs_f64() * 1e3 / minutes;
    record.plain("cpu-all", product.name(), per_minute(all));
    match receiving {
        Ok(receiving) => record.plain("cpu", product.name(), per_minute(all.saturating_sub(receiving))),
        Err(why) => record.note(&format!("what of its time is its own cannot be told: {why}")),
    }
    record.note(&format!("{}: {}", product.name(), after.describe()));
    Ok(())
}
