//! The work thread: agents, the control socket, the console, the failback window. Normal priority; whatever
//! hangs here delays only itself.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster::{FenceId, FenceOutcome, OpId, OpKind, OpResult};
use tokio::runtime;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::alert::Alerts;
use super::ask::Ask;
use super::history::History;
use super::net::Net;
use super::outputs;
use super::pinger::{self, Pings};
use super::report::{Report, Reports};
use super::respawn::Respawns;
use super::settings::Entry;
use super::socket::give_to;
use super::window;
use crate::agents::{Runner, RunnerSettings, survivors};
use crate::config::{Alert, Config, Fence, Respawn};
use crate::console::Console;
use crate::control::StoredEvent;
use crate::control::access::Policy;
use crate::control::server::{self, Limits};
use crate::fence::{self, Surroundings};

/// Jobs that may wait for the work thread.
const QUEUE: usize = 1024;
/// Threads for lookups that may block (the user database).
const BLOCKING: usize = 4;
/// Bound on telling what waits, and on the end of what is kept alive beside the daemon, when it ends.
const CLOSE: Duration = Duration::from_secs(5);
/// In the agents' scratch folder: which of them are at work.
const AT_WORK: &str = ".at-work";

/// What the work thread is asked.
#[derive(Debug)]
pub enum Job {
    /// Run an operation of agents, on several resources side by side; answered with [`Report::OpDone`].
    Run {
        /// Its number.
        id: OpId,
        /// What.
        op: OpKind,
        /// On which.
        entries: Vec<Arc<Entry>>,
        /// Bound on each.
        timeout: Duration,
    },
    /// End a look that is under way; its [`Report::OpDone`] follows at once.
    Cancel(OpId),
    /// Tell what waits to be told, end what is kept alive beside the daemon, then answer. Bounded.
    Close(std::sync::mpsc::SyncSender<()>),
    /// Use the fence devices of a node; answered with [`Report::FenceDone`].
    Fence {
        /// Its number.
        id: FenceId,
        /// In their order.
        devices: Vec<Fence>,
    },
    /// Show this event to those who ask, and tell those who want to be told.
    Event(Arc<StoredEvent>),
    /// The configuration changed.
    Config(Box<WorkConfig>),
}

/// What the work thread must know of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkConfig {
    /// `[daemon] group`.
    pub group: Option<String>,
    /// Minutes after local midnight.
    pub window: Option<(u16, u16)>,
    /// `[[alert]]`.
    pub alerts: Vec<Alert>,
    /// `[[respawn]]`.
    pub respawns: Vec<Respawn>,
    /// The fence devices this node would use: to be looked at while they are idle.
    pub fences: Vec<Fence>,
    /// `[console] listen`.
    pub console: Option<SocketAddr>,
    /// Outside points, and how often and for how long they are asked.
    pub pings: Pings,
}

impl WorkConfig {
    /// Out of the configuration.
    pub fn of(config: &Config) -> WorkConfig {
        let of_others = |fence: &&Fence| fence.node != config.me;
        WorkConfig {
            group: config.daemon.group.clone(),
            window: config.cluster.failback_window,
            fences: config.fences.iter().filter(of_others).cloned().collect(),
            pings: Pings::of(config),
            alerts: config.alerts.clone(),
            respawns: config.respawns.clone(),
            console: config.console,
        }
    }
}

/// What the work thread is started with.
#[derive(Debug)]
pub struct Start {
    /// The control socket, listening.
    pub listener: UnixListener,
    /// Its path.
    pub socket: PathBuf,
    /// The way to the loop for operators' questions.
    pub asks: Sender<Ask>,
    /// The way to the loop for everything else.
    pub reports: Reports,
    /// The events of a former life.
    pub history: History,
    /// The configuration's part.
    pub config: WorkConfig,
    /// This node's name, the cluster's, and a folder for the agents' scratch files.
    pub agents: (String, String, PathBuf),
    /// Who is to look when interfaces or addresses have changed, if anybody.
    pub net: Option<Net>,
}

/// The way to the work thread.
#[derive(Clone, Debug)]
pub struct Work(Sender<Job>);

impl Work {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the thread, its runtime or the socket in it cannot be set up.
    pub fn start(start: Start) -> io::Result<Work> {
        let (sender, jobs) = mpsc::channel(QUEUE);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING)
            .thread_stack_size(super::STACK)
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            start.listener.set_nonblocking(true)?;
            tokio::net::UnixListener::from_std(start.listener.try_clone()?)?
        };
        std::thread::Builder::new()
            .name("work".into())
            .stack_size(super::STACK)
            .spawn(move || runtime.block_on(run(start, listener, jobs)))?;
        Ok(Work(sender))
    }

    /// Asks, without ever waiting.
    ///
    /// # Errors
    /// Gives the job back if the queue is full or the thread is gone.
    pub fn ask(&self, job: Job) -> Result<(), Box<Job>> {
        self.0.try_send(job).map_err(|error| Box::new(error.into_inner()))
    }
}

/// Ends what agents a killed predecessor has left at work, before anything is looked at.
async fn end_survivors(at_work: PathBuf) {
    let ended = tokio::task::spawn_blocking(move || survivors::end(&at_work)).await.unwrap_or_default();
    for pid in ended {
        tracing::warn!("an agent of a killed predecessor was still at work, process {pid}: ended");
    }
}

async fn run(start: Start, listener: tokio::net::UnixListener, mut jobs: Receiver<Job>) {
    let Start { socket, asks, reports, history, mut config, agents: (node, cluster, scratch), net, .. } =
        start;
    let history = Arc::new(history);
    let at_work = scratch.join(AT_WORK);
    end_survivors(at_work.clone()).await;
    let surroundings = Arc::new(Surroundings {
        node: node.clone(),
        cluster: cluster.clone(),
        scratch: scratch.clone(),
        at_work: Some(at_work.clone()),
    });
    let settings = RunnerSettings { at_work: Some(at_work), ..RunnerSettings::new(node, cluster, scratch) };
    let (node, cluster) = (settings.node.clone(), settings.cluster.clone());
    let runner = Arc::new(Runner::new(settings));
    let mut alerts = Alerts::new(Arc::clone(&runner), cluster.clone(), reports.clone());
    alerts.set(&config.alerts);
    let mut respawns = Respawns::new(Arc::clone(&runner), cluster, node);
    respawns.set(&config.respawns);
    let policy = policy(config.group.clone()).await;
    let server = server::new(asks.clone(), Arc::clone(&history), policy, Limits::default());
    tokio::spawn(Arc::clone(&server).serve(listener));
    let mut console = Console::new(asks, Arc::clone(&history), reports.clone());
    console.set(config.console).await;
    if let Some(net) = net {
        if let Some(orders) = net.hearing() {
            tokio::spawn(super::net::hear::hear(orders, net.clone()));
        }
        tokio::spawn(super::watch::watch(net));
    }
    let mut watch = config.window.map(|window| tokio::spawn(window::watch(window, reports.clone())));
    let mut looks = Looks::default();
    let mut pinging = pinger::start(&config.pings, &reports);
    let mut devices = watch_devices(&config.fences, &surroundings, &reports);
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Fence { id, devices } => {
                tokio::spawn(use_devices(Arc::clone(&surroundings), reports.clone(), id, devices));
            }
            Job::Run { id, op, entries, timeout } => {
                let cancelled = looks.begin(id, op);
                let (runner, reports) = (Arc::clone(&runner), reports.clone());
                tokio::spawn(operate(runner, reports, id, op, entries, timeout, cancelled));
            }
            Job::Cancel(id) => looks.cancel(id),
            Job::Event(event) => {
                alerts.tell(&event);
                history.add(event);
            }
            Job::Close(done) => {
                tokio::join!(alerts.close(CLOSE), respawns.close(CLOSE));
                // An error says that nobody waits any more.
                let _ = done.try_send(());
            }
            Job::Config(new) => {
                if new.window != config.window {
                    if let Some(old) = watch.take() {
                        old.abort();
                    }
                    watch = new.window.map(|window| tokio::spawn(window::watch(window, reports.clone())));
                }
                if new.fences != config.fences {
                    devices.shutdown().await;
                    devices = watch_devices(&new.fences, &surroundings, &reports);
                }
                if new.pings != config.pings {
                    pinging.shutdown().await;
                    pinging = pinger::start(&new.pings, &reports);
                }
                console.set(new.console).await;
                // Also if its name is the same: the group may have been made since.
                let (path, group) = (socket.clone(), new.group.clone());
                let _ = tokio::task::spawn_blocking(move || give_to(&path, group.as_deref())).await;
                alerts.set(&new.alerts);
                respawns.set(&new.respawns);
                server.set_policy(self::policy(new.group.clone()).await);
                config = *new;
            }
        }
    }
}

/// The looks under way, by their number.
#[derive(Debug, Default)]
struct Looks(HashMap<OpId, oneshot::Sender<()>>);

impl Looks {
    /// An operation begins; what comes back tells if it is to be ended before its time.
    fn begin(&mut self, id: OpId, op: OpKind) -> Option<oneshot::Receiver<()>> {
        if op != OpKind::Status {
            return None;
        }
        self.0.retain(|_, look| !look.is_closed());
        let (cancel, cancelled) = oneshot::channel();
        self.0.insert(id, cancel);
        Some(cancelled)
    }

    fn cancel(&mut self, id: OpId) {
        if let Some(look) = self.0.remove(&id) {
            // An error says that it has just ended by itself.
            let _ = look.send(());
        }
    }
}

async fn use_devices(surroundings: Arc<Surroundings>, reports: Reports, id: FenceId, devices: Vec<Fence>) {
    let run = async move { fence::fence(&devices, &surroundings).await };
    // A task of its own: whatever becomes of it, there is an answer.
    let outcome = tokio::spawn(run).await;
    let outcome = outcome.unwrap_or_else(|error| FenceOutcome::Failed(format!("internal: {error}")));
    let _ = reports.send(Report::FenceDone { id, outcome }).await;
}

/// Looks at each idle device from time to time, so that a broken one is known before it is needed.
fn watch_devices(fences: &[Fence], surroundings: &Arc<Surroundings>, reports: &Reports) -> JoinSet<()> {
    let mut watches = JoinSet::new();
    for device in fences.iter().cloned() {
        let Some(every) = fence::interval(&device) else { continue };
        let (surroundings, reports) = (Arc::clone(surroundings), reports.clone());
        watches.spawn(async move {
            loop {
                let said = fence::monitor(&device, &surroundings).await;
                let (node, agent) = (device.node.clone(), fence::name(&device).to_owned());
                if reports.send(Report::Device { node, agent, said }).await.is_err() {
                    return;
                }
                tokio::time::sleep(every).await;
            }
        });
    }
    watches
}

/// The group database may be far away: not on this thread.
async fn policy(group: Option<String>) -> Policy {
    let nobody = Policy { users: vec![0], group: None };
    tokio::task::spawn_blocking(move || Policy::new(group.as_deref())).await.unwrap_or(nobody)
}

async fn operate(
    runner: Arc<Runner>,
    reports: Reports,
    id: OpId,
    op: OpKind,
    entries: Vec<Arc<Entry>>,
    timeout: Duration,
    cancelled: Option<oneshot::Receiver<()>>,
) {
    let ended = async {
        let told = match cancelled {
            Some(cancelled) => cancelled.await.is_ok(),
            None => false,
        };
        if !told {
            pending::<()>().await;
        }
    };
    // Dropped with its future, an agent is killed with its whole process group.
    let results = tokio::select! {
        biased;
        results = side_by_side(&runner, &reports, op, &entries, timeout) => results,
        () = ended => vec![OpResult::Failed("ended: nobody wanted the answer any more".into()); entries.len()],
    };
    // An error only says that the daemon is ending.
    let _ = reports.send(Report::OpDone { id, results }).await;
}

async fn side_by_side(
    runner: &Arc<Runner>,
    reports: &Reports,
    op: OpKind,
    entries: &[Arc<Entry>],
    timeout: Duration,
) -> Vec<OpResult> {
    let mut all = JoinSet::new();
    for (at, entry) in entries.iter().enumerate() {
        let (runner, entry) = (Arc::clone(runner), Arc::clone(entry));
        let reports = reports.clone();
        all.spawn(async move {
            let outcome = runner.run(&entry.group, &entry.resource, op, timeout).await;
            if outputs::worth_keeping(&outcome.result) {
                let (group, resource) = (entry.group.clone(), entry.resource.name.clone());
                // An error only says that the daemon is ending.
                let _ = reports.send(Report::Output { group, resource, text: outcome.output_tail }).await;
            }
            (at, outcome.result)
        });
    }
    let lost = || OpResult::Failed("internal: its operation was lost; please report this".into());
    let mut results: Vec<OpResult> = entries.iter().map(|_| lost()).collect();
    // Dropped unfinished, the set ends them all.
    while let Some(ended) = all.join_next().await {
        if let Ok((at, result)) = ended {
            results[at] = result;
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::resource;
    use super::*;
    use crate::config::Agent;
    use cluster::ResourceKey;
    use std::collections::VecDeque;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_hanging_agent_delays_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let agent = Agent::Heartbeat { name: name.into(), path, args: vec![] };
            Arc::new(Entry {
                key: ResourceKey(0),
                group: name.into(),
                refuse_duplicates: false,
                resource: resource(name, agent),
            })
        };
        let (asks, _asked) = mpsc::channel(1);
        let (reports, mut heard) = mpsc::channel(8);
        let work = Work::start(Start {
            listener: UnixListener::bind(folder.path().join("socket")).unwrap(),
            socket: folder.path().join("socket"),
            asks,
            reports,
            history: History::new(VecDeque::new()),
            config: WorkConfig {
                group: None,
                window: None,
                fences: vec![],
                pings: Pings::default(),
                alerts: vec![],
                respawns: vec![],
                console: None,
            },
            agents: ("a".into(), "test".into(), folder.path().join("scratch")),
            net: None,
        })
        .unwrap();
        let run = |id, timeout_ms, entries| {
            let timeout = Duration::from_millis(timeout_ms);
            work.ask(Job::Run { id: OpId(id), op: OpKind::Start, entries, timeout }).unwrap();
        };
        run(1, 1500, vec![script("hangs", "sleep 60")]);
        // Each of the two waits for the other.
        let meet = |mine: &str, other: &str| {
            let folder = folder.path().display();
            format!(": >{folder}/{mine}; while [ ! -e {folder}/{other} ]; do sleep 0.01; done")
        };
        let fails = format!("{}; exit 1", meet("one", "two"));
        run(2, 20_000, vec![script("fails", &fails), script("works", &meet("two", "one"))]);
        let mut next = || loop {
            match heard.blocking_recv().unwrap() {
                Report::OpDone { id, results } => break (id, results),
                Report::Pings(_) | Report::Output { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        let (id, results) = next();
        assert_eq!(id, OpId(2));
        assert!(matches!(&results[..], [OpResult::Failed(_), OpResult::Ok]), "{results:?}");
        assert_eq!(next(), (OpId(1), vec![OpResult::TimedOut]));
        let (entries, timeout) = (vec![script("hangs too", "exec sleep 600")], Duration::from_secs(600));
        work.ask(Job::Run { id: OpId(3), op: OpKind::Status, entries, timeout }).unwrap();
        work.ask(Job::Cancel(OpId(3))).unwrap();
        let (id, results) = next();
        assert_eq!(id, OpId(3));
        assert!(
            matches!(&results[..], [OpResult::Failed(why)] if why.contains("nobody wanted")),
            "{results:?}"
        );
    }
}
