//! The core with its hands: what it asks for is done here, and what came of it is brought back.

use std::path::PathBuf;
use std::time::Duration;

use base::daemon::notify::Notifier;
use serde_json::{Value, json};

use super::kernel::{Done, Job, Thread};
use super::memory::{self, MemoryFile};
use super::server::{Ask, Door};
use super::tasks::{Answer, Tasks};
use crate::check::origin;
use crate::config::model::{Config, Virtual};
use crate::core::{Action, Core, Event, Level, Memory, Order, Time};

/// A memory that could not be written is tried again after this: a disk that was full may have room again.
const WRITE_AGAIN: Duration = Duration::from_secs(5);
/// From so many real servers on memory is given back.
const LARGE: usize = 1000;
/// So many checks at the same time leave memory worth giving back when most of them have ended.
const MANY_CHECKS: usize = 64;
/// After so long, when whatever was large has been sent and freed; no more often than this.
const TIDY_AFTER: Duration = Duration::from_secs(10);

/// What the engine works with.
pub struct Parts {
    /// The core.
    pub core: Core,
    /// The thread that speaks to the kernel.
    pub kernel: Thread,
    /// Who runs checks.
    pub tasks: Tasks,
    /// Where the memory is kept.
    pub memory: MemoryFile,
    /// The service manager.
    pub notifier: Notifier,
    /// Where those who ask come in.
    pub door: Door,
    /// Where the role is kept.
    pub run_dir: PathBuf,
    /// `ipvs` or `dry-run`.
    pub backend: &'static str,
}

/// The daemon but for its waiting.
pub struct Engine {
    parts: Parts,
    started: Time,
    ended: bool,
    /// What the kernel's switches and schedulers are not as they should be.
    prepared: Vec<String>,
    /// Why the sync daemon does not run.
    sync_trouble: Option<String>,
    /// Why the memory is not kept.
    memory_trouble: Option<String>,
    /// What could not be written, and when to try again.
    unwritten: Option<(Time, Memory)>,
    /// Why the maintenance folder cannot be looked into.
    folder_trouble: Option<String>,
    /// Why the last reload was refused.
    reload_trouble: Option<String>,
    alive_due: Option<Time>,
    /// When memory is given back.
    tidy_at: Option<Time>,
    /// The most checks at the same time since it was given back last.
    most_checks: usize,
    said: String,
}

/// Now, on a clock that never goes back.
pub fn now() -> Time {
    Duration::from_nanos(sys::clock::boottime_ns())
}

impl Engine {
    /// Ready to begin.
    pub fn new(parts: Parts) -> Engine {
        let started = now();
        avoid_virtual_addresses(parts.core.config());
        make_room(parts.core.config());
        let alive_due = parts.notifier.watchdog().map(|_| started);
        Engine {
            parts,
            started,
            ended: false,
            prepared: Vec::new(),
            sync_trouble: None,
            memory_trouble: None,
            unwritten: None,
            folder_trouble: None,
            reload_trouble: None,
            alive_due,
            tidy_at: None,
            most_checks: 0,
            said: String::new(),
        }
    }

    /// The first things.
    pub fn begin(&mut self) {
        memory::keep_role(&self.parts.run_dir, self.parts.core.is_active());
        self.prepare();
        self.turn();
        self.parts.notifier.ready();
        self.tidy_soon();
    }

    /// Whether it has been told to end.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Until when there is nothing to do of itself.
    pub fn wake_at(&self) -> Time {
        let core = self.parts.core.wake_at();
        let write = self.unwritten.as_ref().map(|(at, _)| *at);
        [self.alive_due, self.tidy_at, write].into_iter().flatten().fold(core, Time::min)
    }

    /// Does what is to be done now.
    pub fn turn(&mut self) {
        let time = now();
        self.parts.core.time(time);
        self.act();
        if let Some((_, memory)) = self.unwritten.take_if(|(at, _)| *at <= time) {
            self.remember(memory);
        }
        self.tidy(time);
        if let (Some(due), Some(within)) = (self.alive_due, self.parts.notifier.watchdog())
            && time >= due
        {
            self.parts.notifier.alive();
            self.alive_due = Some(time + within / 2);
            self.say_status();
        }
    }

    /// What the kernel is told comes first: what is only written down, or told to others, costs no client time.
    fn act(&mut self) {
        let (mut told, mut said) = (Vec::new(), Vec::new());
        while let Some(action) = self.parts.core.poll_action() {
            match action {
                Action::Check { id, question } => self.parts.tasks.check(id, question),
                Action::Load { id, question } => self.parts.tasks.load(id, question),
                Action::Read(look) => self.ask_kernel(Job::Read(look)),
                Action::Apply(changes) => self.ask_kernel(Job::Apply(changes)),
                Action::Sync(wanted) => self.ask_kernel(Job::Sync(wanted)),
                Action::LookInto(folder) => self.parts.tasks.look_into(folder),
                Action::Remember(memory) => self.remember(memory),
                Action::Run { program, args } => told.push((program, args)),
                Action::Event(event) => said.push(event),
            }
        }
        said.iter().for_each(log);
        told.into_iter().for_each(|(program, args)| self.parts.tasks.tell(program, args));
    }

    /// Writes the memory down; again later if the disk takes it not now.
    fn remember(&mut self, memory: Memory) {
        let written = self.parts.memory.write(&memory);
        self.unwritten = written.is_err().then(|| (now() + WRITE_AGAIN, memory));
        note(&mut self.memory_trouble, written.err());
    }

    fn ask_kernel(&mut self, job: Job) {
        if let Some(refused) = self.parts.kernel.ask(job) {
            self.kernel(refused);
        }
    }

    /// The kernel's thread has done something.
    pub fn kernel(&mut self, done: Done) {
        match done {
            Done::Read(picture) => self.parts.core.picture(now(), picture),
            Done::Applied(results) => self.parts.core.applied(now(), &results),
            Done::Synced(result) => note(&mut self.sync_trouble, result.err()),
            Done::Prepared(said) => {
                for sentence in said.iter().filter(|sentence| !self.prepared.contains(sentence)) {
                    tracing::warn!("{sentence}");
                }
                self.prepared = said;
            }
        }
    }

    /// A task has found something.
    pub fn answer(&mut self, answer: Answer) {
        let core = &mut self.parts.core;
        match answer {
            Answer::Outcome(id, outcome) => core.outcome(now(), id, &outcome),
            Answer::Reading(id, reading) => core.reading(now(), id, &reading),
            Answer::Files(Ok(names)) => {
                self.folder_trouble = None;
                core.maintenance_files(now(), names);
            }
            Answer::Files(Err(_)) if core.config().maintenance_dir.is_none() => {}
            Answer::Files(Err(error)) => note(&mut self.folder_trouble, Some(error)),
        }
    }

    /// Somebody asks. One who has gone away meanwhile needs no answer.
    pub fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Status(done) => {
                drop(done.send(self.status()));
                self.tidy_soon();
            }
            Ask::Plan(config, done) => drop(done.send(self.parts.core.planned(now(), *config))),
            Ask::Order(by, order, done) => {
                tracing::info!("{by} orders {order:?}");
                let mut said = self.parts.core.order(now(), &by, &order);
                let active = self.parts.core.is_active();
                if order == (Order::Role { active: false }) && !self.parts.core.config().warm {
                    said = said.map(|said| format!("{said}, and ends (standby = \"cold\")"));
                    self.act();
                    self.leave();
                }
                memory::keep_role(&self.parts.run_dir, active);
                drop(done.send(said));
            }
            Ask::Reload(by, config, done) => {
                tracing::info!("{by} reloads the configuration");
                self.reload(*config);
                let services = self.parts.core.config().virtuals.len();
                drop(
                    done.send(format!(
                        "reloaded: {}",
                        base::terminal::text::count(services, "virtual service")
                    )),
                );
            }
            Ask::Stop(by, done) => {
                tracing::info!("{by} ends the director");
                self.leave();
                let _ = done.send(());
            }
        }
    }

    /// Takes a configuration over.
    pub fn reload(&mut self, config: Config) {
        self.parts.notifier.reloading();
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        (self.reload_trouble, self.folder_trouble) = (None, None);
        // Also if it has the same name: its members, or its number, may be others now.
        self.parts.door.open_to(config.group.clone());
        avoid_virtual_addresses(&config);
        make_room(&config);
        self.parts.core.reload(now(), config);
        self.act();
        self.prepare();
        self.parts.notifier.ready();
        self.tidy_soon();
    }

    /// Gives memory back when it is time; soon, when the checks of a burst (the first of all, or those of many servers
    /// that hung) have ended.
    fn tidy(&mut self, time: Time) {
        if self.tidy_at.is_some_and(|at| at <= time) {
            self.tidy_at = None;
            sys::process::give_memory_back();
        }
        let checks = self.parts.core.checks_under_way();
        self.most_checks = self.most_checks.max(checks);
        if self.most_checks >= MANY_CHECKS && checks <= self.most_checks / 4 {
            self.most_checks = 0;
            self.tidy_at.get_or_insert(time + TIDY_AFTER);
        }
    }

    /// Of a large farm a picture or a configuration is many megabytes that are soon not needed any more.
    fn tidy_soon(&mut self) {
        let virtuals = &self.parts.core.config().virtuals;
        if virtuals.iter().map(|settings| settings.reals.len()).sum::<usize>() >= LARGE {
            self.tidy_at.get_or_insert(now() + TIDY_AFTER);
        }
    }

    /// A configuration that cannot be used: the one in use stays.
    pub fn refuse_reload(&mut self, why: &str) {
        tracing::error!("the configuration was not reloaded, the one in use stays:\n{why}");
        let first = why.lines().next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(first);
        self.reload_trouble = Some(format!(
            "the configuration on the disk is bad and not in use: {first} (director check says more)"
        ));
    }

    fn prepare(&mut self) {
        let table = self.parts.core.desired().clone();
        self.ask_kernel(Job::Prepare(table));
    }

    /// Ends. The table stays: who comes next adopts it.
    pub fn leave(&mut self) {
        self.parts.notifier.stopping();
        self.ended = true;
    }

    /// The picture of `director status --json`.
    fn status(&self) -> Value {
        let mut status = self.parts.core.status(now());
        let own = [&self.sync_trouble, &self.memory_trouble, &self.folder_trouble, &self.reload_trouble];
        status.degraded.extend(own.into_iter().flatten().cloned());
        status.degraded.extend(self.prepared.iter().cloned());
        let mut value = serde_json::to_value(&status).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            let uptime = now().saturating_sub(self.started).as_millis();
            fields.insert("backend".into(), self.parts.backend.into());
            fields.insert("config".into(), json!(self.parts.door.server.handler().config));
            fields.insert("version".into(), env!("CARGO_PKG_VERSION").into());
            fields.insert("uptime_ms".into(), json!(u64::try_from(uptime).unwrap_or(u64::MAX)));
            fields.insert("pid".into(), std::process::id().into());
        }
        value
    }

    /// The line that the service manager shows.
    fn say_status(&mut self) {
        let status = self.parts.core.status(now());
        let up = status.virtuals.iter().filter(|shown| shown.up).count();
        let line = format!("{}: {up} of {} virtual services up", status.role, status.virtuals.len());
        if line != self.said {
            self.parts.notifier.status(&line);
            self.said = line;
        }
    }
}

/// No check comes from an address that real servers have as well.
fn avoid_virtual_addresses(config: &Config) {
    origin::avoid(config.virtuals.iter().flat_map(Virtual::addresses));
}

/// Without a descriptor nothing can be asked, and a server that was not asked would be down.
fn make_room(config: &Config) {
    // A program that is a check takes the most: its output, its errors, and their other ends while it begins.
    let checks = u64::try_from(config.checks_at_once).unwrap_or(u64::MAX);
    let wanted = checks.saturating_mul(8).saturating_add(256);
    match sys::process::allow_descriptors(wanted) {
        Ok(allowed) if allowed >= wanted => {}
        Ok(allowed) => tracing::warn!(
            "only {allowed} descriptors may be open at a time (RLIMIT_NOFILE), and checks_at_once = {checks} may need {wanted}: \
             a check that has none fails"
        ),
        Err(error) => tracing::warn!("how many descriptors may be open at a time is not known: {error}"),
    }
}

/// A trouble that is new is said.
fn note(place: &mut Option<String>, trouble: Option<String>) {
    if let Some(sentence) = trouble.as_ref().filter(|sentence| place.as_ref() != Some(sentence)) {
        tracing::error!("{sentence}");
    }
    *place = trouble;
}

fn log(event: &Event) {
    let (kind, subject) = (event.kind, event.subject.as_str());
    let (from, to) = (event.from.as_deref(), event.to.as_deref());
    match event.level {
        Level::Info => tracing::info!(kind, subject, from, to, "{}", event.why),
        Level::Warn => tracing::warn!(kind, subject, from, to, "{}", event.why),
        Level::Error => tracing::error!(kind, subject, from, to, "{}", event.why),
    }
}
