//! The thread that speaks to the kernel: blocking, one thing after the other; but who reads a large table gives way to
//! a change, for which clients wait.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::mpsc::Sender;

use crate::kernel::{Backend, Look, Picture, SyncDaemon};
use crate::table::{Change, Table};

/// Jobs that may wait: of reading and applying there is one each.
const QUEUE: usize = 16;
/// So often one reading gives way: with a change coming always, the table must be read all the same.
const GIVES_WAY: usize = 8;
/// Its stack; only what is touched costs memory.
const STACK: usize = 1 << 20;

/// What the thread is asked.
#[derive(Debug)]
pub enum Job {
    /// Look at the table.
    Read(Look),
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
    /// The table; `None`: a glance has shown that it is the one that was read last.
    Read(Result<Option<Picture>, String>),
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
            Job::Read(_) => {
                Done::Read(Err("the thread that speaks to the kernel is hung or gone".to_owned()))
            }
            Job::Apply(changes) => Done::Applied(changes.iter().map(|_| why()).collect()),
            Job::Sync(_) => Done::Synced(why()),
            Job::Prepare(_) => Done::Prepared(Vec::new()),
        })
    }
}

fn work(todo: &Receiver<Job>, backend: Box<dyn Backend>, done: &Sender<Done>) {
    let mut worker = Worker { todo, backend, done };
    while let Ok(job) = todo.recv() {
        if worker.work(job).is_err() {
            return;
        }
    }
}

/// Nobody wants to know any more what came of it.
struct Gone;

struct Worker<'a> {
    todo: &'a Receiver<Job>,
    backend: Box<dyn Backend>,
    done: &'a Sender<Done>,
}

impl Worker<'_> {
    fn work(&mut self, job: Job) -> Result<(), Gone> {
        let report = match job {
            Job::Read(Look::Glance) if self.backend.is_same() => Done::Read(Ok(None)),
            Job::Read(_) => Done::Read(self.read()?),
            Job::Apply(changes) => Done::Applied(self.backend.apply(&changes)),
            Job::Sync(wanted) => Done::Synced(self.backend.sync(wanted.as_ref())),
            Job::Prepare(table) => {
                let mut said = self.backend.prepare(&table);
                said.extend(self.backend.objections(&table));
                Done::Prepared(said)
            }
        };
        self.done.blocking_send(report).map_err(|_| Gone)
    }

    /// Reads the table. What is asked for meanwhile is done at once, and the table then read from the start: as if that had been
    /// asked for first.
    fn read(&mut self) -> Result<Result<Option<Picture>, String>, Gone> {
        for _ in 0..GIVES_WAY {
            let mut urgent = None;
            let picture = self.backend.read_while(&mut || {
                urgent = self.todo.try_recv().ok();
                urgent.is_none()
            });
            match urgent {
                None => return Ok(picture),
                Some(job) => self.work(job)?,
            }
        }
        Ok(self.backend.read().map(Some))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::table::Table;

    /// A kernel that notes what is asked of it.
    #[derive(Clone, Default)]
    struct Slow {
        looks: Arc<Mutex<Vec<&'static str>>>,
        /// Whenever it is read somebody asks for a change.
        jobs: Option<SyncSender<Job>>,
        same: bool,
    }

    impl Slow {
        fn note(&self, what: &'static str) {
            self.looks.lock().unwrap().push(what);
        }
    }

    impl Backend for Slow {
        fn read_while(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<Option<Picture>, String> {
            if let Some(jobs) = &self.jobs {
                let _ = jobs.try_send(Job::Apply(Vec::new()));
            }
            if go_on() {
                self.note("read");
                return Ok(Some(Picture::default()));
            }
            self.note("gave way");
            Ok(None)
        }
        fn is_same(&mut self) -> bool {
            self.note("glance");
            self.same
        }
        fn apply(&mut self, _: &[Change]) -> Vec<Result<(), String>> {
            self.note("apply");
            Vec::new()
        }
        fn sync(&mut self, _: Option<&SyncDaemon>) -> Result<(), String> {
            Ok(())
        }
        fn prepare(&mut self, _: &Table) -> Vec<String> {
            Vec::new()
        }
        fn objections(&mut self, _: &Table) -> Vec<String> {
            Vec::new()
        }
    }

    /// What a thread with `backend` does of `job`, and the reports of it.
    fn does(backend: Slow, todo: &Receiver<Job>, job: Job) -> (Vec<&'static str>, Vec<Done>) {
        let (done, mut reports) = tokio::sync::mpsc::channel(64);
        let looks = Arc::clone(&backend.looks);
        let mut worker = Worker { todo, backend: Box::new(backend), done: &done };
        assert!(worker.work(job).is_ok());
        let seen = std::mem::take(&mut *looks.lock().unwrap());
        (seen, std::iter::from_fn(|| reports.try_recv().ok()).collect())
    }

    #[test]
    fn a_reading_gives_way_to_changes_but_not_for_ever() {
        let (jobs, todo) = sync_channel(QUEUE);
        let quiet = Slow::default();
        let (seen, done) = does(quiet.clone(), &todo, Job::Read(Look::Closely));
        assert_eq!(seen, ["read"]);
        assert!(matches!(done[..], [Done::Read(Ok(Some(_)))]), "{done:?}");

        let (seen, done) = does(Slow { jobs: Some(jobs), ..quiet }, &todo, Job::Read(Look::Closely));
        assert_eq!(seen[..2], ["gave way", "apply"]);
        assert_eq!(seen.iter().filter(|what| **what == "apply").count(), GIVES_WAY);
        assert_eq!(seen.last(), Some(&"read"), "{seen:?}");
        assert!(matches!(done.last(), Some(Done::Read(Ok(Some(_))))), "{done:?}");
        assert_eq!(done.len(), GIVES_WAY + 1);
        assert!(todo.recv_timeout(Duration::ZERO).is_ok(), "the last is done after it");
    }

    #[test]
    fn a_glance_that_shows_the_same_table_reads_nothing() {
        let (_jobs, todo) = sync_channel(QUEUE);
        let (seen, done) = does(Slow { same: true, ..Slow::default() }, &todo, Job::Read(Look::Glance));
        assert_eq!(seen, ["glance"]);
        assert!(matches!(done[..], [Done::Read(Ok(None))]), "{done:?}");
        let (seen, _) = does(Slow::default(), &todo, Job::Read(Look::Glance));
        assert_eq!(seen, ["glance", "read"]);
        let (seen, _) = does(Slow { same: true, ..Slow::default() }, &todo, Job::Read(Look::Closely));
        assert_eq!(seen, ["read"]);
    }
}
