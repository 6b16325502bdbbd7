//! From the command line to the running loop, in the order that matters.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cluster::Core;
use proto::Keyring;
use sys::watch::Alarm;
use tokio::sync::mpsc;

use super::args::Args;
use super::ask;
use super::dog::Dog;
use super::engine::{Engine, Parts};
use super::event_loop::{self, Ports, Signals};
use super::history::History;
use super::links::Links;
use super::log::{self, LogQueue};
use super::net::Net;
use super::notify::Notifier;
use super::reload::Request;
use super::report::{self, Trouble};
use super::settings::{Table, settings};
use super::status::Troubles;
use super::when::now;
use super::witness::Witness;
use super::work::{Start, Work, WorkConfig};
use super::{LOOP_PRIORITY, NET_PRIORITY, disk, net, socket};
use crate::config::Config;

/// The bound on writing the last lines at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// `hbd`: 0 after leaving in order or a good `--check`, 2 for a bad configuration or command line,
/// 1 if it could not start.
pub fn main() -> ExitCode {
    // Before the first thread: it decides how many heaps there will be.
    sys::rt::frugal_allocator();
    let leak = sys::process::keep_descriptors_from_children();
    // Before the keys are read.
    let private = sys::process::keep_memory_private();
    let args = Args::parse();
    let request = Request { config: args.config.clone(), node: args.node.clone() };
    let (config, keyring) = match request.read() {
        Ok(read) => read,
        Err(problems) => {
            eprint!("{}", problems.render(stderr().is_terminal()));
            return ExitCode::from(2);
        }
    };
    if args.check {
        let advice = crate::agents::advice(&config);
        for warning in config.warnings.iter().chain(&keyring.warnings()).chain(&advice) {
            eprintln!("warning: {warning}");
        }
        eprintln!("{}: good", args.config.display());
        return ExitCode::SUCCESS;
    }
    if let Err(error) = leak {
        eprintln!("warning: descriptors this process was started with may reach the agents: {error}");
    }
    if let Err(error) = private {
        eprintln!("warning: the keys may get into a core of this process: {error}");
    }
    match run(args, request, config, keyring) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("hbd: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args, request: Request, config: Config, keyring: Keyring) -> Result<(), String> {
    socket::folder(&args.run_dir, 0o755)?;
    socket::folder(&args.state_dir, 0o700)?;
    // Both held until this function returns.
    let _lock = socket::lock(&args.run_dir, "hbd")?;
    let _state = socket::lock_state(&args.state_dir, "hbd")?;
    let log =
        LogQueue::start(Box::new(stderr())).map_err(|error| format!("cannot start the log: {error}"))?;
    let complaint = log::install(args.log_format, &log);
    abort_on_panic(log.clone());
    for warning in config.warnings.iter().chain(&keyring.warnings()).chain(&complaint) {
        tracing::warn!("{warning}");
    }
    advise(&config);
    let outcome = live(args, request, config, keyring, log.clone());
    log.flush(LAST_WORDS);
    outcome
}

/// Logs what the OCF agents say of the way they are used; nothing waits for it.
fn advise(config: &Config) {
    let config = config.clone();
    let say = move || crate::agents::advice(&config).iter().for_each(|advice| tracing::warn!("{advice}"));
    let thread = std::thread::Builder::new().name("advice".into()).stack_size(super::STACK);
    if let Err(error) = thread.spawn(say) {
        tracing::warn!("the OCF agents were not asked for their meta-data: {error}");
    }
}

/// A panic anywhere ends the whole process: half a daemon is worse than none, and the next one
/// adopts what runs.
fn abort_on_panic(log: LogQueue) {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let line =
            format!("hbd ends: internal error in thread {:?}: {panic}; please report this", thread.name());
        log.put(line.replace('\n', " ").as_bytes());
        log.flush(LAST_WORDS);
        std::process::abort();
    }));
}

fn live(args: Args, request: Request, config: Config, keyring: Keyring, log: LogQueue) -> Result<(), String> {
    let failed = |what: &'static str| move |error: std::io::Error| format!("cannot start {what}: {error}");
    let (files, found, former) = disk::open(&args.state_dir);
    for complaint in &found.complaints {
        tracing::error!("{complaint}");
    }
    if found.lost {
        tracing::error!(
            "no whole state was found: this node starts as if it had never run, and learns its past from its peer"
        );
    }
    let (listener, socket_path) = socket::listen(&args.run_dir, "hbd", config.daemon.group.as_deref())?;

    let mut troubles = Troubles::default();
    let realtime = config.daemon.realtime && realtime(&mut troubles);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed("the loop"))?;
    let _inside = runtime.enter();
    let signals = Signals::new().map_err(failed("listening to signals"))?;
    let alarm = Alarm::new().map_err(failed("the clock"))?;
    let (reports, reported) = mpsc::channel(report::QUEUE);
    signals.report_to(reports.clone());
    let (asks, asked) = mpsc::channel(ask::QUEUE);
    let disk = disk::Disk::start(files, reports.clone()).map_err(failed("the disk thread"))?;
    let net =
        Net::start(reports.clone(), realtime.then_some(NET_PRIORITY)).map_err(failed("the net thread"))?;
    let work = Work::start(Start {
        listener,
        socket: socket_path.clone(),
        asks,
        reports: reports.clone(),
        history: History::new(former.events),
        config: WorkConfig::of(&config),
        agents: (config.me.clone(), config.cluster.name.clone(), args.run_dir.join("agents")),
        net: Some(net.clone()),
    })
    .map_err(failed("the work thread"))?;

    let mut table = Table::default();
    table.load(&config);
    if net.ask(net::Job::Sweep { keep: table.all_addresses() }).is_err() {
        tracing::error!("leftover addresses could not be looked for");
    }
    let witness = Witness::start(&config, reports.clone(), realtime.then_some(NET_PRIORITY))
        .map_err(failed("the witness thread"))?;
    let dog = config.watchdog.as_ref();
    let dog = dog.map(|settings| Dog::start(settings, reports, realtime.then_some(NET_PRIORITY))).transpose();
    let dog = dog.map_err(failed("the watchdog's thread"))?;
    let notifier = Notifier::from_env().unwrap_or_else(|error| {
        tracing::warn!("the service manager is not told anything: {error}");
        Notifier::default()
    });
    let boot = getrandom::u64().map_err(|error| format!("the kernel gives no random number: {error}"))?;
    let started = now();
    let (links, changes) = Links::open(&config.me, &config.links, config.cluster.keepalive, started);
    let core = Core::new(settings(&config), keyring, found.state, boot, started);
    let parts = Parts { dog, witness, core, links, net, work, disk, log, notifier, table, troubles };
    let mut engine = Engine::new(parts, config, request, former.next, started);
    engine.link_changes(changes);
    runtime.block_on(event_loop::run(&mut engine, Ports { reported, asked, alarm }));
    engine.close();
    remove(&socket_path);
    Ok(())
}

/// Locks memory and makes this thread, the loop's, a real-time one.
fn realtime(troubles: &mut Troubles) -> bool {
    let locked = sys::rt::lock_memory().map_err(|error| format!("memory is not locked: {error}"));
    let timely =
        sys::rt::set_realtime(LOOP_PRIORITY).map_err(|error| format!("no real-time scheduling: {error}"));
    let refused: Vec<String> =
        [&locked, &timely].into_iter().filter_map(|result| result.clone().err()).collect();
    if !refused.is_empty() {
        let sentence = format!("heartbeats may be late under load: {}", refused.join("; "));
        tracing::warn!("{sentence}");
        troubles.set(Trouble::Realtime("loop"), Some(sentence));
    }
    timely.is_ok()
}

fn remove(socket: &PathBuf) {
    if let Err(error) = std::fs::remove_file(socket) {
        tracing::debug!("{} was not removed: {error}", socket.display());
    }
}
