//! The disk thread: keeps the state and the events, and reads the configuration again for a reload.
//!
//! It may wait as long as a disk makes it wait; nothing waits for it but what must not happen
//! before the disk has it.

mod events;
mod state;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use cluster::Durable;

use super::reload::Request as ReloadRequest;
use super::report::{Report, Reports, Trouble, tell};
use crate::control::StoredEvent;

pub use events::{Former, KEPT};
pub use state::Found;

/// Jobs that may wait for the disk.
const QUEUE: usize = 1024;

/// What the disk thread is asked.
#[derive(Debug)]
pub enum Job {
    /// Keep this state; answered with [`Report::Persisted`].
    Persist {
        /// Grows with each.
        serial: u64,
        /// What to keep.
        state: Durable,
    },
    /// Keep this event.
    Event(Arc<StoredEvent>),
    /// Read the configuration; answered with [`Report::Loaded`].
    Load(ReloadRequest),
    /// Do what was asked before, then tell the sender.
    Flush(SyncSender<()>),
}

/// The files in one state folder, read and ready to be written.
#[derive(Debug)]
pub struct Files {
    state: state::StateFile,
    events: events::EventsFile,
}

/// Reads what a former life of the daemon left in `folder`.
pub fn open(folder: &Path) -> (Files, Found, Former) {
    let (state, found) = state::StateFile::open(folder);
    let (events, former) = events::EventsFile::open(folder);
    (Files { state, events }, found, former)
}

/// The way to the disk thread.
#[derive(Clone, Debug)]
pub struct Disk(SyncSender<Job>);

impl Disk {
    /// Starts the thread.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(files: Files, reports: Reports) -> io::Result<Disk> {
        let (sender, receiver) = sync_channel(QUEUE);
        std::thread::Builder::new().name("disk".into()).stack_size(super::STACK).spawn(move || {
            Worker { files, reports, state_failed: false, events_failed: false }.run(&receiver)
        })?;
        Ok(Disk(sender))
    }

    /// Asks, without ever waiting.
    ///
    /// # Errors
    /// Gives the job back if the queue is full or the thread is gone.
    pub fn ask(&self, job: Job) -> Result<(), Box<Job>> {
        self.0.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => Box::new(job),
        })
    }
}

struct Worker {
    files: Files,
    reports: Reports,
    state_failed: bool,
    events_failed: bool,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            self.batch(std::iter::once(job).chain(jobs.try_iter().take(QUEUE)));
        }
    }

    /// Of several states only the newest is written, and all are answered by it.
    fn batch(&mut self, jobs: impl Iterator<Item = Job>) {
        let mut newest: Option<Durable> = None;
        let mut serials = Vec::new();
        let mut flushed = Vec::new();
        let mut events = Vec::new();
        for job in jobs {
            match job {
                Job::Persist { serial, state } => {
                    serials.push(serial);
                    newest = Some(state);
                }
                Job::Event(event) => events.push(event),
                Job::Load(request) => tell(&self.reports, Report::Loaded(Box::new(request.load()))),
                Job::Flush(done) => flushed.push(done),
            }
        }
        // The state first: somebody waits for it.
        if let Some(state) = newest {
            self.persist(&state, &serials);
        }
        for event in events {
            self.event(&event);
        }
        for done in flushed {
            let _ = done.try_send(());
        }
    }

    fn persist(&mut self, state: &Durable, serials: &[u64]) {
        let error = self.files.state.write(state).err();
        if error.is_some() || self.state_failed {
            let sentence = error.as_ref().map(|error| format!("the state is not on disk: {error}"));
            tell(&self.reports, Report::Trouble { about: Trouble::State, sentence });
        }
        self.state_failed = error.is_some();
        for &serial in serials {
            tell(&self.reports, Report::Persisted { serial, error: error.clone() });
        }
    }

    fn event(&mut self, event: &StoredEvent) {
        let error = self.files.events.append(event).err();
        if error.is_some() != self.events_failed {
            self.events_failed = error.is_some();
            let sentence = error.map(|error| format!("events are not kept: {error}"));
            tell(&self.reports, Report::Trouble { about: Trouble::Events, sentence });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::QUEUE as REPORTS;
    use super::*;
    use tokio::sync::mpsc::channel;

    fn durable(incarnation: u64) -> Durable {
        Durable { incarnation, ..Durable::default() }
    }

    #[test]
    fn of_waiting_states_only_the_newest_is_written_and_all_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let (files, ..) = open(folder.path());
        let (reports, mut heard) = channel(REPORTS);
        let mut worker = Worker { files, reports, state_failed: false, events_failed: false };
        worker.batch((1..=3).map(|serial| Job::Persist { serial, state: durable(serial * 10) }));
        for expected in 1..=3 {
            match heard.try_recv().unwrap() {
                Report::Persisted { serial, error: None } => assert_eq!(serial, expected),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(open(folder.path()).1.state, durable(30));
        assert!(!folder.path().join("state.json.old").exists(), "one write for the three");
    }

    #[test]
    fn a_full_disk_is_answered_and_said_once_and_its_end_too() {
        let folder = tempfile::tempdir().unwrap();
        let later = folder.path().join("later");
        let (files, ..) = open(&later);
        let (reports, mut heard) = channel(REPORTS);
        let mut worker = Worker { files, reports, state_failed: false, events_failed: false };
        worker.batch(std::iter::once(Job::Persist { serial: 1, state: durable(1) }));
        assert!(matches!(
            heard.try_recv().unwrap(),
            Report::Trouble { about: Trouble::State, sentence: Some(_) }
        ));
        assert!(matches!(heard.try_recv().unwrap(), Report::Persisted { serial: 1, error: Some(_) }));
        std::fs::create_dir(&later).unwrap();
        worker.batch(std::iter::once(Job::Persist { serial: 2, state: durable(2) }));
        assert!(matches!(
            heard.try_recv().unwrap(),
            Report::Trouble { about: Trouble::State, sentence: None }
        ));
        assert!(matches!(heard.try_recv().unwrap(), Report::Persisted { serial: 2, error: None }));
    }

    #[test]
    fn the_thread_answers() {
        let folder = tempfile::tempdir().unwrap();
        let (files, ..) = open(folder.path());
        let (reports, mut heard) = channel(REPORTS);
        let disk = Disk::start(files, reports).unwrap();
        disk.ask(Job::Persist { serial: 1, state: durable(4) }).unwrap();
        let (done, wait) = sync_channel(1);
        disk.ask(Job::Flush(done)).unwrap();
        wait.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
        assert!(matches!(heard.blocking_recv().unwrap(), Report::Persisted { serial: 1, error: None }));
        assert_eq!(open(folder.path()).1.state, durable(4));
    }
}
