//! Watches one service of the kernel's table, closely: when which real server came or went.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sys::ipvs::{Ipvs, Protocol, ServiceKey};

use super::ground::{DIRECTOR, wait, within};
use crate::clock::monotonic_ns;
use crate::{LabError, Result};

/// Between two looks.
const PAUSE: Duration = Duration::from_micros(500);

/// One that is watched; until it is dropped.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Change>>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Change {
    at: u64,
    who: IpAddr,
    there: bool,
}

impl Watch {
    /// Watches this TCP service.
    ///
    /// # Errors
    /// This kernel has no IPVS.
    pub fn start(service: SocketAddr) -> Result<Watch> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::default());
        let (stopped, ours) = (Arc::clone(&stop), Arc::clone(&seen));
        let thread = within(DIRECTOR, move || {
            let ipvs = Ipvs::open().map_err(|error| LabError(error.to_string()))?;
            Ok::<_, LabError>(thread::spawn(move || look(ipvs, service, &stopped, &ours)))
        })??;
        Ok(Watch { stop, seen, thread: Some(thread) })
    }

    /// When `who` went (or came) for the first time after `since`; waits for it.
    ///
    /// # Errors
    /// It did not within so many seconds.
    pub fn change(&self, who: IpAddr, there: bool, since: u64, seconds: u64) -> Result<u64> {
        let word = if there { "in" } else { "out of" };
        wait(&format!("{who} {word} the table"), seconds, || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.iter().find(|c| c.who == who && c.there == there && c.at > since).map(|c| c.at)
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(mut ipvs: Ipvs, service: SocketAddr, stop: &AtomicBool, seen: &Mutex<Vec<Change>>) {
    let key = ServiceKey::Address(Protocol::Tcp, service);
    let mut known: BTreeSet<IpAddr> = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        // Of a service that is not there yet there is nothing.
        let states = ipvs.destinations(&key).unwrap_or_default();
        let found: BTreeSet<IpAddr> = states
            .into_iter()
            .filter(|state| state.destination.weight > 0)
            .map(|state| state.destination.address.ip())
            .collect();
        let at = monotonic_ns();
        if found != known {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.extend(found.symmetric_difference(&known).map(|who| Change {
                at,
                who: *who,
                there: found.contains(who),
            }));
            known = found;
        }
        thread::sleep(PAUSE);
    }
}
