//! The I/O of checks: one entry, one deadline for the whole.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use fnv::FnvHashMap;

use super::prepared::Prepared;
use super::progress::Progress;
use super::{Outcome, Spec, Target};

/// Checks kept ready. More than any configuration has different ones of; past it all are made ready again.
const MOST_READY: usize = 4096;
/// What is ready is made anew after this, so that a changed file of authorities comes to be used.
const FRESH: Duration = Duration::from_secs(600);

type Ready = Result<Arc<Prepared>, String>;

/// Asks `target` what `spec` says, for `deadline` at most. Needs a tokio runtime; never panics, never takes longer.
pub async fn run(spec: &Spec, target: &Target, deadline: Duration) -> Outcome {
    let begun = Instant::now();
    let progress = Progress::default();
    let result = match ready(spec, begun) {
        Err(why) => Err(why),
        Ok(prepared) => {
            let asked = tokio::time::timeout(deadline, prepared.ask(target, deadline, &progress));
            asked.await.unwrap_or_else(|_| Err(too_late(deadline, &progress.stage())))
        }
    };
    Outcome { result: result.map_err(bounded), took: begun.elapsed(), warning: progress.warning() }
}

/// Whether `spec` can be asked at all: its patterns, names and files.
///
/// # Errors
/// A sentence.
pub fn possible(spec: &Spec) -> Result<(), String> {
    Prepared::new(spec).map(|_| ())
}

fn too_late(deadline: Duration, stage: &str) -> String {
    let deadline = base::config::duration::show(deadline);
    match stage.split_once(' ') {
        Some(("before" | "while", _)) => format!("no answer within {deadline}, {stage}"),
        _ => format!("no answer within {deadline} {stage}").trim_end().to_owned(),
    }
}

/// A reason is a sentence, whatever a server put into it.
fn bounded(why: String) -> String {
    const MOST: usize = 400;
    match why.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}…", &why[..cut]),
        None => why,
    }
}

/// The check made ready, by the same for all its runs.
fn ready(spec: &Spec, now: Instant) -> Ready {
    static READY: OnceLock<Mutex<FnvHashMap<Spec, (Instant, Ready)>>> = OnceLock::new();
    let mut all = READY.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((made, ready)) = all.get(spec)
        && now.saturating_duration_since(*made) < FRESH
    {
        return ready.clone();
    }
    if all.len() >= MOST_READY {
        all.clear();
    }
    let ready = Prepared::new(spec).map(Arc::new);
    all.insert(spec.clone(), (now, ready.clone()));
    ready
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::table::Protocol;

    #[test]
    fn a_check_under_way_is_small() {
        let target =
            Target { address: Ipv4Addr::LOCALHOST.into(), port: 1, protocol: Protocol::Tcp, service: None };
        let asked = run(&Spec::Ping, &target, Duration::from_secs(1));
        // A thousand may be under way at once: whatever is large is in a box of its own kind.
        assert!(size_of_val(&asked) <= 1024, "{} bytes", size_of_val(&asked));
    }
}
