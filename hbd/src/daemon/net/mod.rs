//! The net thread: adds, renews, removes and announces the built-in addresses.
//!
//! Blocking, one job at a time in the order given; every burst is one netlink request however many
//! addresses it has. It wakes without a job only while announcements are to be repeated.

mod claims;
mod ground;
pub(super) mod hear;
mod mend;
pub(super) mod place;
mod repeat;
mod said;
mod struggle;
mod worker;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster::{OpId, OpKind, Time};
use sys::claims::Claim;
use tokio::sync::mpsc::{Receiver, channel};

use super::report::{Report, Reports, Trouble, tell};
use super::settings::Entry;

/// Jobs that may wait for the net thread.
const QUEUE: usize = 1024;
/// Interfaces that may begin or end to be listened to before that is done.
const EARS: usize = 256;

/// What the net thread is asked.
#[derive(Debug)]
pub enum Job {
    /// An operation on addresses, all in one burst; answered with [`Report::OpDone`].
    Run {
        /// Its number.
        id: OpId,
        /// What.
        op: OpKind,
        /// On which.
        entries: Vec<Arc<Entry>>,
        /// A start that comes to its turn later than this after `queued` is not begun.
        timeout: Duration,
        /// For a start: how long they live; `None` without end.
        lifetime: Option<Duration>,
        /// When it was asked.
        queued: Time,
    },
    /// Renew what is held of these, putting back what is missing.
    Lease {
        /// Which.
        entries: Vec<Arc<Entry>>,
        /// How long they live from now; `None` without end.
        lifetime: Option<Duration>,
        /// When it was asked.
        queued: Time,
        /// Older than this it is dropped: the loop may have been frozen, and replaced, since.
        max_age: Duration,
    },
    /// Announce what is held of these, now and a few times more.
    Announce {
        /// Which.
        entries: Vec<Arc<Entry>>,
    },
    /// Interfaces or addresses changed, by whomever: look at them, put back what is held and gone, announce what is held
    /// where a link has come up, and tell the loop ([`Report::Interfaces`]).
    Changed,
    /// These are configured from now on: the loop is told of their interfaces, and of those of them that somebody else sets.
    Configured {
        /// All of them.
        entries: Vec<Arc<Entry>>,
        /// What is held is announced again each time this has passed, if at all.
        refresh: Option<Duration>,
    },
    /// These were removed, by whomever, since the last look, for which they are kept.
    Gone(HashSet<(u32, IpAddr)>),
    /// Maintenance begins or ends: in it nothing that is held is put back or put right.
    Frozen(bool),
    /// Others say that they have these addresses.
    Claimed {
        /// On which interface.
        ifindex: u32,
        /// Who has which.
        claims: BTreeSet<Claim>,
    },
    /// Remove what somebody else has set of these, since another node has them.
    Evict {
        /// Which.
        entries: Vec<Arc<Entry>>,
        /// Why, in a few words.
        why: String,
    },
    /// Remove the addresses a predecessor with another configuration left: those that carry our mark
    /// and are none of these.
    Sweep {
        /// All that are configured.
        keep: Vec<Arc<Entry>>,
    },
}

/// The way to the net thread.
#[derive(Clone, Debug)]
pub struct Net {
    jobs: SyncSender<Job>,
    /// What is to be listened to, for the one who does it.
    hearing: Arc<Mutex<Option<Receiver<hear::Hear>>>>,
}

impl Net {
    /// Starts the thread; `realtime` is the `SCHED_FIFO` priority it is to have, if any.
    ///
    /// # Errors
    /// If the thread or its netlink socket cannot be had.
    pub fn start(reports: Reports, realtime: Option<u8>) -> io::Result<Net> {
        let (sender, jobs) = sync_channel(QUEUE);
        let (hear, hearing) = channel(EARS);
        let mut worker = worker::Worker::new(reports.clone(), hear).map_err(io::Error::other)?;
        std::thread::Builder::new().name("net".into()).stack_size(super::STACK).spawn(move || {
            if let Some(Err(error)) = realtime.map(sys::rt::set_realtime) {
                let sentence = format!("addresses are not set at real-time priority: {error}");
                tell(&reports, Report::Trouble { about: Trouble::Realtime("net"), sentence: Some(sentence) });
            }
            worker.run(&jobs);
        })?;
        Ok(Net { jobs: sender, hearing: Arc::new(Mutex::new(Some(hearing))) })
    }

    /// Asks, without ever waiting.
    ///
    /// # Errors
    /// Gives the job back if the queue is full or the thread is gone.
    pub fn ask(&self, job: Job) -> Result<(), Box<Job>> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => Box::new(job),
        })
    }

    /// What is to be listened to, once.
    pub fn hearing(&self) -> Option<Receiver<hear::Hear>> {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod claims_tests;
#[cfg(test)]
mod ground_tests;
#[cfg(test)]
mod kinds_tests;
#[cfg(test)]
pub(super) mod tests;
