//! Starting: the folders, the lock, the kernel, the loop; and the plan that is made without a daemon.

use std::io::stderr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::control::access::Policy;
use base::control::server::{Limits, Server};
use base::daemon::log::{self, Format, LogQueue};
use base::daemon::notify::Notifier;
use base::daemon::socket;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

use super::engine::{Engine, Parts, now};
use super::event_loop::{self, Ports, Signals};
use super::kernel::Thread;
use super::memory::{self, MemoryFile};
use super::server::{self, Desk, Door};
use super::tasks::{self, Tasks};
use crate::config::model::Config;
use crate::core::{Core, Memory};
use crate::kernel::{Backend, DryRun, Kernel};

/// Time for the last lines of the log.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Which kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendKind {
    /// This machine's.
    Ipvs,
    /// None: a table in memory.
    DryRun,
}

impl BackendKind {
    fn name(self) -> &'static str {
        match self {
            BackendKind::Ipvs => "ipvs",
            BackendKind::DryRun => "dry-run",
        }
    }

    fn open(self) -> Result<Box<dyn Backend>, String> {
        Ok(match self {
            BackendKind::Ipvs => Box::new(Kernel::open()?),
            BackendKind::DryRun => Box::new(DryRun::default()),
        })
    }
}

/// Whether this node has the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// It does.
    Active,
    /// The other one does.
    Standby,
}

/// How a director is run.
#[derive(Clone, Debug)]
pub struct Args {
    /// The configuration.
    pub config: PathBuf,
    /// Where the socket, the lock and the role are.
    pub run_dir: PathBuf,
    /// Where the memory is.
    pub state_dir: PathBuf,
    /// Which kernel.
    pub backend: BackendKind,
    /// The role, if it was never told since the machine was started.
    pub role: Role,
    /// How log lines look.
    pub log_format: Format,
}

/// Runs the director to its end.
///
/// # Errors
/// A sentence: why it could not start.
pub fn run(args: &Args, config: Config) -> Result<(), String> {
    socket::folder(&args.run_dir, 0o755)?;
    socket::folder(&args.state_dir, 0o700)?;
    // Held until this function returns.
    let _lock = socket::lock(&args.run_dir, "director")?;
    if let Err(error) = sys::process::keep_descriptors_from_children() {
        eprintln!("warning: descriptors this process was started with may reach programs it runs: {error}");
    }
    let log =
        LogQueue::start(Box::new(stderr())).map_err(|error| format!("cannot start the log: {error}"))?;
    let complaint = log::install(args.log_format, &log);
    abort_on_panic(log.clone());
    for warning in config.warnings.iter().chain(&complaint) {
        tracing::warn!("{warning}");
    }
    let outcome = live(args, config);
    log.flush(LAST_WORDS);
    outcome
}

/// A panic anywhere ends the whole process: half a director is worse than none, and the next one adopts the
/// table.
fn abort_on_panic(log: LogQueue) {
    std::panic::set_hook(Box::new(move |panic| {
        let line = format!("director ends: internal error: {panic}; please report this");
        log.put(line.replace('\n', " ").as_bytes());
        log.flush(LAST_WORDS);
        std::process::abort();
    }));
}

fn live(args: &Args, config: Config) -> Result<(), String> {
    let failed = |what: &'static str| move |error: std::io::Error| format!("cannot start {what}: {error}");
    let active = memory::last_role(&args.run_dir).unwrap_or(args.role == Role::Active);
    if !active && !config.warm {
        tracing::info!("this node is the standby, and standby = \"cold\": nothing to do");
        return Ok(());
    }
    let backend = args.backend.open()?;
    let (file, remembered, complaint) = MemoryFile::open(&args.state_dir);
    if let Some(complaint) = complaint {
        tracing::error!("{complaint}");
    }
    let (listener, socket_path) = socket::listen(&args.run_dir, "director", Some(&config.group))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("the loop"))?;
    let _inside = runtime.enter();
    let signals = Signals::new().map_err(failed("listening to signals"))?;
    let (done, kernel) = mpsc::channel(64);
    let (answers, answered) = mpsc::channel(tasks::QUEUE);
    let (asks, asked) = mpsc::channel(server::QUEUE);
    let thread = Thread::start(backend, done).map_err(failed("the kernel's thread"))?;
    let desk = Desk { asks, config: args.config.clone() };
    let server = Server::with(desk, Policy::new(Some(&config.group)), Limits::default());
    listener.set_nonblocking(true).map_err(failed("the control socket"))?;
    let listener = UnixListener::from_std(listener).map_err(failed("the control socket"))?;
    let door = Door { server: Arc::clone(&server), socket: socket_path.clone() };
    runtime.spawn(server.serve(listener));
    let notifier = Notifier::from_env().unwrap_or_else(|error| {
        tracing::warn!("the service manager is not told anything: {error}");
        Notifier::default()
    });
    let core = Core::new(config, remembered, active, seed()?, now());
    tracing::info!(
        "director {} begins as {}",
        env!("CARGO_PKG_VERSION"),
        if active { "active" } else { "standby" }
    );
    let parts = Parts {
        core,
        kernel: thread,
        tasks: Tasks::new(answers),
        memory: file,
        notifier,
        door,
        run_dir: args.run_dir.clone(),
        backend: args.backend.name(),
    };
    let mut engine = Engine::new(parts);
    let ports = Ports { kernel, answers: answered, asks: asked, signals, config: args.config.clone() };
    // A task among those it waits for: what block_on itself drives is woken by way of one more look for events.
    let lived = runtime.spawn(async move { event_loop::run(&mut engine, ports).await });
    runtime.block_on(lived).map_err(|error| format!("internal error: {error}"))?;
    // Whoever was just answered has the answer before the process ends.
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
    if let Err(error) = std::fs::remove_file(&socket_path) {
        tracing::debug!("{} was not removed: {error}", socket_path.display());
    }
    runtime.shutdown_background();
    Ok(())
}

fn seed() -> Result<u64, String> {
    getrandom::u64().map_err(|error| format!("the kernel gives no random number: {error}"))
}

/// What would change in the kernel's table with `config`, as if all that is not known yet were good; for when
/// no director runs.
///
/// # Errors
/// A sentence: the kernel cannot be read.
pub fn planned(
    config: Config,
    backend: BackendKind,
    state_dir: &std::path::Path,
) -> Result<Vec<String>, String> {
    let mut kernel = backend.open()?;
    let found = kernel.read()?;
    let (_, remembered, _) = match state_dir.is_dir() {
        true => MemoryFile::open(state_dir),
        false => return Ok(plan_with(config, Memory::default(), found)),
    };
    Ok(plan_with(config, remembered, found))
}

fn plan_with(config: Config, remembered: Memory, found: crate::kernel::Picture) -> Vec<String> {
    let mut core = Core::new(config.clone(), remembered, true, 1, now());
    core.picture(now(), Ok(Some(found)));
    core.planned(now(), config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Picture;

    #[test]
    fn a_plan_without_a_daemon_compares_with_the_kernel() {
        let text = "[[virtual]]\nname = \"v\"\naddress = \"192.168.1.30:80\"\n\
                    [[virtual.real]]\naddress = \"10.0.0.1:80\"\n";
        let config = || crate::config::parse(text, std::path::Path::new("x.toml")).expect("a configuration");
        let steps = plan_with(config(), Memory::default(), Picture::default());
        assert_eq!(steps.len(), 2, "{steps:?}");
        let mut core = Core::new(config(), Memory::default(), true, 1, now());
        core.picture(now(), Ok(Some(Picture::default())));
        let mut trial = DryRun::default();
        let whole: Vec<crate::table::Change> =
            crate::table::plan(&Default::default(), core.desired(), &Default::default());
        trial.apply(&whole);
        let found = trial.read().expect("a picture");
        assert!(!found.table.is_empty());
        // The real server is not in yet: nobody has asked it; the plan takes it to be good.
        let steps = plan_with(config(), Memory::default(), found);
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert!(steps[0].contains("10.0.0.1:80"), "{steps:?}");
    }
}
