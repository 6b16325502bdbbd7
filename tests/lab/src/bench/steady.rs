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
    let apart = Window::over(pid, window)?;
    record.plain("pss", product.name(), apart.after.pss_bytes() as f64 / 1e6);
    record.plain("cpu-apart", product.name(), apart.per_minute(apart.used()));
    match &apart.receiving {
        Ok(receiving) => {
            let own = apart.per_minute(apart.used().saturating_sub(*receiving));
            record.plain("cpu-apart-own", product.name(), own);
        }
        Err(why) => record.note(&format!("what of its time is its own cannot be told: {why}")),
    }
    let other = ground.pid("b").ok_or_else(|| LabError::new("the daemon on b is gone"))?;
    for node in [pid, other] {
        processes::on_one_processor(node)?;
    }
    std::thread::sleep(settle / 3);
    let together = Window::over(pid, window)?;
    record.plain("cpu", product.name(), together.per_minute(together.used()));
    let after = together.after;
    record.note(&format!("{}: {}", product.name(), after.describe()));
    Ok(())
}

/// What a node used in a while.
struct Window {
    before: Snapshot,
    after: Snapshot,
    minutes: f64,
    /// Of it, on leading what it sent into the other node.
    receiving: Result<Duration>,
}

impl Window {
    fn over(pid: u32, time: Duration) -> Result<Window> {
        let began = Instant::now();
        let before = Snapshot::of(pid)?;
        let watch = Watch::over(&before.threads());
        std::thread::sleep(time);
        let receiving = watch.and_then(Watch::receiving);
        let after = Snapshot::of(pid)?;
        Ok(Window { before, after, minutes: began.elapsed().as_secs_f64() / 60.0, receiving })
    }

    fn used(&self) -> Duration {
        self.after.cpu_since(&self.before)
    }

    /// Milliseconds a minute.
    fn per_minute(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e3 / self.minutes
    }
}
