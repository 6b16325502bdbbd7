//! The witness thread: asks the third party, each request beside the others and by its own deadline.
//!
//! A request that hangs delays no other. The thread has the priority of the net thread: a lease that is not renewed because
//! the machine is busy stops what depends on it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cluster::settings::WitnessSettings;
use cluster::{WitnessAnswer, WitnessAsk, WitnessId};
use serde_json::{Value, json};
use tokio::runtime;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::report::{Report, Reports, Trouble};
use crate::config::Config;
use crate::witness::Engine;

/// Requests that may wait for the thread: more than there can be groups.
const QUEUE: usize = 2048;
/// Requests about groups that are under way at once; the others wait, within their time.
const AT_ONCE: usize = 16;
/// Threads for the lookup of names, which may block.
const BLOCKING: usize = 4;

/// One request.
#[derive(Debug)]
struct Job {
    id: WitnessId,
    ask: WitnessAsk,
    /// When its answer is due.
    deadline: Instant,
}

/// The way to the thread.
#[derive(Debug)]
pub struct Witness {
    jobs: Sender<Job>,
    engine: Arc<Engine>,
    patience: Duration,
    /// What `status` says of the configuration.
    endpoints: Vec<String>,
    ttl: Duration,
}

impl Witness {
    /// Starts the thread, if a witness is configured; `realtime` is the `SCHED_FIFO` priority it is to have, if any.
    ///
    /// # Errors
    /// If the thread or its runtime cannot be had.
    pub fn start(config: &Config, reports: Reports, realtime: Option<u8>) -> io::Result<Option<Witness>> {
        let Some(settings) = &config.witness else { return Ok(None) };
        let engine = Engine::new(settings, &config.cluster.name, &config.me).map_err(io::Error::other)?;
        let engine = Arc::new(engine);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING)
            .thread_stack_size(super::SMALL_STACK)
            .build()?;
        let (jobs, asked) = mpsc::channel(QUEUE);
        let worker = Arc::clone(&engine);
        std::thread::Builder::new().name("witness".into()).stack_size(super::STACK).spawn(move || {
            if let Some(Err(error)) = realtime.map(sys::rt::set_realtime) {
                let sentence = Some(format!("the witness is not asked at real-time priority: {error}"));
                let about = Trouble::Realtime("witness");
                // Never waits: the first lease is wanted.
                let _ = reports.try_send(Report::Trouble { about, sentence });
            }
            LocalSet::new().block_on(&runtime, run(worker, asked, reports));
        })?;
        let ttl = settings.ttl;
        // What remains is for the way back.
        let patience = WitnessSettings { ttl, watchdog: None }.patience() * 9 / 10;
        Ok(Some(Witness { jobs, engine, patience, endpoints: settings.endpoints.clone(), ttl }))
    }

    /// Asks, without ever waiting; answered with [`Report::Witness`].
    ///
    /// # Errors
    /// Why it was not asked.
    pub fn ask(&self, id: WitnessId, ask: WitnessAsk) -> Result<(), String> {
        let job = Job { id, ask, deadline: Instant::now() + self.patience };
        self.jobs.try_send(job).map_err(|_| "the witness thread has too much to do".to_owned())
    }

    /// What the daemon itself knows of it, for `status`.
    pub fn picture(&self) -> Value {
        json!({
            "type": "etcd",
            "endpoint": self.engine.endpoint(),
            "endpoints": self.endpoints,
            "ttl_ms": u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

async fn run(engine: Arc<Engine>, mut asked: Receiver<Job>, reports: Reports) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(Job { id, ask, deadline }) = asked.recv().await {
        let (engine, reports, room) = (Arc::clone(&engine), reports.clone(), Arc::clone(&room));
        tokio::task::spawn_local(async move {
            let _place = match ask {
                // There is one at a time, and it has the right of way.
                WitnessAsk::Renew { .. } => None,
                _ => tokio::time::timeout_at(deadline, room.acquire_owned()).await.ok(),
            };
            let answer: WitnessAnswer = engine.answer(ask, deadline).await;
            // An error only says that the daemon is ending.
            let _ = reports.send(Report::Witness { id, answer }).await;
        });
    }
}
