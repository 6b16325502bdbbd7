//! The thread that speaks to the kernel: blocking, one thing after the other.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::mpsc::Sender;

use crate::kernel::{Backend, Picture, SyncDaemon};
use crate::table::{Change, Table};

/// Jobs that may wait: of reading and applying there is one each.
const QUEUE: usize = 16;
/// Its stack; only what is touched costs memory.
const STACK: usize = 1 << 20;

/// What the thread is asked.
#[derive(Debug)]
pub enum Job {
    /// Read the table.
    Read,
    /// Change it.
    Apply(Vec<Change>),
    /// See to the sync daemon.
    Sync(Option<SyncDaemon>),
    /// Set and look at the kernel's switches, and at what it would refuse of this table.
    Prepare(Table),
}

/// What came of it.
#[derive(Debug)]
pub enum Done {
    /// The table.
    Read(Result<Picture, String>),
    /// One result for each change.
    Applied(Vec<Result<(), String>>),
    /// The sync daemon.
    Synced(Result<(), String>),
    /// What is not as it should be.
    Prepared(Vec<String>),
}

/// The way to the thread.
#[derive(Debug)]
pub struct Thread {
    jobs: SyncSender<Job>,
}

impl Thread {
    /// Starts it.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(backend: Box<dyn Backend>, done: Sender<Done>) -> io::Result<Thread> {
        let (jobs, todo) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("kernel".into()).stack_size(STACK);
        thread.spawn(move || work(&todo, backend, &done))?;
        Ok(Thread { jobs })
    }

    /// Asks for `job`; one for which there is no room is done at once by the caller: `Some` of what came of it.
    pub fn ask(&self, job: Job) -> Option<Done> {
        let refused = match self.jobs.try_send(job) {
            Ok(()) => return None,
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => job,
        };
        let why = || Err("the thread that speaks to the kernel is hung or gone".to_owned());
        Some(match refused {
            Job::Read => Done::Read(Err("the thread that speaks to the kernel is hung or gone".to_owned())),
            Job::Apply(changes) => Done::Applied(changes.iter().map(|_| why()).collect()),
            Job::Sync(_) => Done::Synced(why()),
            Job::Prepare(_) => Done::Prepared(Vec::new()),
        })
    }
}

fn work(todo: &Receiver<Job>, mut backend: Box<dyn Backend>, done: &Sender<Done>) {
    while let Ok(job) = todo.recv() {
        let report = match job {
            Job::Read => Done::Read(backend.read()),
            Job::Apply(changes) => Done::Applied(backend.apply(&changes)),
            Job::Sync(wanted) => Done::Synced(backend.sync(wanted.as_ref())),
            Job::Prepare(table) => {
                let mut said = backend.prepare(&table);
                said.extend(backend.objections(&table));
                Done::Prepared(said)
            }
        };
        if done.blocking_send(report).is_err() {
            return;
        }
    }
}
