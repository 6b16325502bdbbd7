//! The director's core: what the configuration, the checks, the load, the orders and the kernel say, made into a
//! table and the steps to it. Pure: no clock, no socket, no task; time comes in, actions go out.
//!
//! ```text
//!  outcome ─▶ health ─▶ real ─┐
//!  reading ─▶ weight ─▶       ├─▶ service ─▶ entry ─┐
//!  order, maintenance files ─▶┘   quorum, fallback,  ├─▶ desired ─▶ plan ─▶ Apply
//!                                 never_below        │
//!  picture (the kernel's table) ─────────────────────┘   drift: said, counted, undone
//! ```
//!
//! # How to drive it
//! Give it what happens, each with the time (which never goes back): [`Core::outcome`], [`Core::reading`],
//! [`Core::picture`], [`Core::applied`], [`Core::maintenance_files`], [`Core::order`], [`Core::reload`]. Call
//! [`Core::time`] when [`Core::wake_at`] has come. After each, do what [`Core::poll_action`] gives until it
//! gives nothing. [`Action::Read`] and [`Action::Apply`] must be carried out, and what came of them told, in the
//! order they were given; of each there is one at a time.

mod alerts;
mod health;
mod io;
mod orders;
mod probes;
mod real;
mod reload;
mod service;
mod status;
mod table;
mod weight;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::check::Outcome;
use crate::config::model::Config;
use crate::kernel::{Direction, SyncDaemon};
use crate::load::Reading;

use health::Verdict;
pub use io::{Action, Event, Level, LoadId, LoadQuestion, Memory, Order};
pub use io::{Override, Place, ProbeId, Question, Time};
use probes::{Asker, Probes};
use real::{Real, Standing};
use service::Service;
pub use status::{RealStatus, Status, VirtualStatus};
use table::Kernel;

/// Between two looks at the maintenance folder.
const FOLDER_EVERY: Duration = Duration::from_secs(1);

/// The core; see the module's words.
#[derive(Clone, Debug)]
pub struct Core {
    config: Config,
    memory: Memory,
    active: bool,
    services: Vec<Service>,
    /// The services of which it is to be decided anew who serves, by their places.
    unsettled: BTreeSet<usize>,
    /// When a service changes with time alone: the first of [`Service::wake`].
    next_growth: Option<Time>,
    probes: Probes<Arc<Question>>,
    loads: Probes<Arc<LoadQuestion>>,
    kernel: Kernel,
    actions: VecDeque<Action>,
    files: BTreeSet<String>,
    next_folder: Time,
}

impl Core {
    /// A core for `config` that remembers `memory`; `active`: this node has the address. `seed` makes its
    /// rhythm its own.
    pub fn new(config: Config, memory: Memory, active: bool, seed: u64, now: Time) -> Core {
        let services: Vec<_> = config.virtuals.iter().map(|settings| Service::new(now, settings)).collect();
        let at_once = config.checks_at_once;
        let mut core = Core {
            config,
            memory,
            active,
            unsettled: (0..services.len()).collect(),
            next_growth: None,
            services,
            probes: Probes::new(at_once, seed),
            loads: Probes::new(at_once, seed.rotate_left(17)),
            kernel: Kernel::new(now),
            actions: VecDeque::new(),
            files: BTreeSet::new(),
            next_folder: now,
        };
        core.own();
        core.plan_probes(now);
        core.take_orders(now);
        core.sync();
        core
    }

    /// The configuration in use.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether this node has the address.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// How many checks are under way.
    pub fn checks_under_way(&self) -> usize {
        self.probes.running()
    }

    /// A check was answered.
    pub fn outcome(&mut self, now: Time, id: ProbeId, outcome: &Outcome) {
        for asker in self.probes.answered(now, id.0) {
            self.heard(now, asker, outcome);
        }
        self.settle(now);
    }

    fn heard(&mut self, now: Time, asker: Asker, outcome: &Outcome) {
        let Asker { service, real: place, check } = asker;
        let settings = &self.config.virtuals[service].reals[place];
        let real = &mut self.services[service].reals[place];
        let changed = real.health[check].take(now, &settings.checks[check], outcome);
        if changed {
            self.judge(now, service, place);
        } else if real.verdict != Verdict::Up {
            // What is wrong may have changed, and those who want to be told later may be due.
            real.why = real.stands(now, settings).1;
            if real.verdict == Verdict::Down {
                self.alert_down(now, service, place);
            }
        }
    }

    /// A load was asked.
    pub fn reading(&mut self, now: Time, id: LoadId, reading: &Result<Reading, String>) {
        for Asker { service, real: place, .. } in self.loads.answered(now, id.0) {
            let settings = &self.config.virtuals[service];
            let Some(policy) = &settings.reals[place].load else { continue };
            let real = &mut self.services[service].reals[place];
            let made = |real: &Real| {
                let wish = real.load.as_ref().and_then(|load| load.wish(now, policy));
                (real.weight(now, settings, &settings.reals[place]), wish)
            };
            let before = made(real);
            real.load.get_or_insert_default().take(now, policy, reading.as_ref().map_err(String::as_str));
            let after = made(real);
            let first = self.services[service].wake.is_none();
            // Also if it stands as before: its words may be others.
            self.stand(now, service, place);
            if before != after || first {
                self.unsettled.insert(service);
            }
        }
        self.settle(now);
    }

    /// The names in the maintenance folder.
    pub fn maintenance_files(&mut self, now: Time, names: BTreeSet<String>) {
        // An answer may come when there is no such folder any more.
        if names != self.files && self.config.maintenance_dir.is_some() {
            self.files = names;
            self.take_files(now);
        }
        self.settle(now);
    }

    /// It is time: see [`Core::wake_at`].
    pub fn time(&mut self, now: Time) {
        if let Some(folder) = self.config.maintenance_dir.clone().filter(|_| now >= self.next_folder) {
            self.next_folder = now + FOLDER_EVERY;
            self.actions.push_back(Action::LookInto(folder));
        }
        if self.next_growth.is_some_and(|wake| wake <= now) {
            for at in 0..self.services.len() {
                if self.services[at].wake.is_some_and(|wake| wake <= now) {
                    self.grow(now, at);
                }
            }
        }
        self.look_at_kernel(now);
        self.settle(now);
        self.ask(now);
    }

    /// When [`Core::time`] must be called.
    pub fn wake_at(&self) -> Time {
        let folder = self.config.maintenance_dir.as_ref().map(|_| self.next_folder);
        let all =
            [folder, self.next_growth, self.probes.wake_at(), self.loads.wake_at(), self.kernel.wake_at()];
        all.into_iter().flatten().min().unwrap_or(Time::MAX)
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Asks whom it is time to ask.
    fn ask(&mut self, now: Time) {
        while let Some((id, question)) = self.probes.next(now) {
            let question = Arc::clone(question);
            self.actions.push_back(Action::Check { id: ProbeId(id), question });
        }
        while let Some((id, question)) = self.loads.next(now) {
            let question = Arc::clone(question);
            self.actions.push_back(Action::Load { id: LoadId(id), question });
        }
    }

    /// What changes with time alone: a slow start, the end of a drain, news that become old.
    fn grow(&mut self, now: Time, at: usize) {
        for place in 0..self.services[at].reals.len() {
            let real = &mut self.services[at].reals[place];
            if real.place_ends().is_some_and(|end| now >= end) && !real.emptied {
                real.emptied = true;
                let from = real.standing.name();
                let why = "the deadline is over".to_owned();
                self.say(Level::Info, "real", self.name(at, place), Some(from), Some("removed"), why);
            }
            self.stand(now, at, place);
        }
        self.services[at].leaving.retain(|_, leaving| now < leaving.until);
        self.unsettled.insert(at);
    }

    /// The checks of a real server have changed their mind.
    fn judge(&mut self, now: Time, at: usize, place: usize) {
        let real = &mut self.services[at].reals[place];
        let verdict = real.sum_of_checks();
        if verdict == real.verdict {
            return;
        }
        let before = std::mem::replace(&mut real.verdict, verdict);
        real.verdict_since = now;
        if verdict != Verdict::Unknown {
            real.found = real.found.map(|_| 0);
        }
        if verdict == Verdict::Up {
            self.came_up(now, at, place, before);
        }
        self.stand(now, at, place);
        match verdict {
            Verdict::Down => self.alert_down(now, at, place),
            Verdict::Up => self.alert_up(at, place),
            Verdict::Unknown => {}
        }
        self.unsettled.insert(at);
    }

    /// A real server that comes into a service which others serve begins slowly; one nobody has missed (it was
    /// found at work) does not.
    fn came_up(&mut self, now: Time, at: usize, place: usize, before: Verdict) {
        let others = self.services[at].reals.iter().enumerate().any(|(n, real)| n != place && real.serves());
        let real = &mut self.services[at].reals[place];
        let was_at_work = before == Verdict::Unknown && real.admitted;
        real.rising_from = (others && !was_at_work).then_some(now);
        real.admitted = true;
    }

    /// Puts a real server where it stands now, and says so.
    fn stand(&mut self, now: Time, at: usize, place: usize) {
        let settings = &self.config.virtuals[at].reals[place];
        let real = &mut self.services[at].reals[place];
        let (standing, why) = real.stands(now, settings);
        let before = std::mem::replace(&mut real.standing, standing);
        // Also one that is not checked, which no check has admitted.
        real.admitted |= standing == Standing::Up;
        real.why.clone_from(&why);
        if before == standing {
            return;
        }
        real.since = now;
        self.unsettled.insert(at);
        let level = if standing == Standing::Down { Level::Warn } else { Level::Info };
        self.say(
            level,
            "real",
            self.name(at, place),
            Some(before.name()),
            Some(standing.name()),
            why.into_owned(),
        );
    }

    /// Decides, for each service that needs it, who serves, and has the kernel follow.
    fn settle(&mut self, now: Time) {
        if !self.unsettled.is_empty() {
            for at in std::mem::take(&mut self.unsettled) {
                self.decide(now, at);
            }
            self.next_growth = self.services.iter().filter_map(|service| service.wake).min();
        }
        self.follow();
    }

    fn decide(&mut self, now: Time, at: usize) {
        let settings = &self.config.virtuals[at];
        let service = &mut self.services[at];
        let (up, fallback, kept) = (service.up, service.fallback, service.kept.len());
        let needed = service.needed(settings);
        service.decide(settings);
        if service.up != up {
            service.since = now;
        }
        let entry = service.entry(now, settings);
        service.wake = service.wake_at(settings, now);
        let (up_now, fallback_now, kept_now) = (service.up, service.fallback, service.kept.len());
        self.kernel.desire(settings.key, entry);
        if up_now != up {
            self.quorum_changed(at, needed);
        }
        let name = self.config.virtuals[at].name.clone();
        if fallback_now && !fallback {
            let why = "too few real servers are up: the fallback serves".to_owned();
            self.say(Level::Error, "virtual", name.clone(), None, Some("fallback"), why);
        } else if fallback && !fallback_now {
            let why = "the real servers serve again".to_owned();
            self.say(Level::Info, "virtual", name.clone(), Some("fallback"), None, why);
        }
        if kept_now > kept {
            let why = format!(
                "{kept_now} real servers stay in service although their checks fail: so many at once is \
                 probably this machine's trouble (never_below)"
            );
            self.say(Level::Error, "virtual", name, None, Some("panic"), why);
        }
    }

    fn quorum_changed(&mut self, at: usize, needed: u32) {
        let (settings, service) = (&self.config.virtuals[at], &self.services[at]);
        let Some(up) = service.up else { return };
        let (name, serving) = (settings.name.clone(), service.serving(settings));
        let word = if up { "up" } else { "down" };
        let hook = if up { settings.quorum_up.clone() } else { settings.quorum_down.clone() };
        if let Some(program) = hook.filter(|_| self.active) {
            let args = vec![word.to_owned(), name.clone(), settings.key.to_string()];
            self.actions.push_back(Action::Run { program, args });
        }
        let level = if up { Level::Info } else { Level::Error };
        let why = format!("{serving} real servers serve, and {needed} must");
        self.say(level, "virtual", name, None, Some(word), why);
    }

    fn alert_down(&mut self, now: Time, at: usize, place: usize) {
        let real = &mut self.services[at].reals[place];
        if real.place().is_some() || real.by_file {
            // Whoever took it out knows.
            return;
        }
        let failures = real.health.iter().map(health::Health::failures).max().unwrap_or(0);
        let fall =
            self.config.virtuals[at].reals[place].checks.iter().map(|check| check.fall).min().unwrap_or(1);
        // Counted from the failure that took it out.
        let failures = (failures + 1).saturating_sub(fall);
        real.told.resize(self.config.alerts.len(), alerts::Told::default());
        let told = real.told.iter_mut().zip(&self.config.alerts);
        let due: Vec<_> = told
            .filter_map(|(told, alert)| {
                (self.active && told.is_down(now, alert, failures)).then(|| alert.exec.clone())
            })
            .collect();
        self.alert(at, place, "down", due);
    }

    fn alert_up(&mut self, at: usize, place: usize) {
        let told = self.services[at].reals[place].told.iter_mut().zip(&self.config.alerts);
        let due = told.filter_map(|(told, alert)| told.is_up().then(|| alert.exec.clone())).collect();
        self.alert(at, place, "up", due);
    }

    fn alert(&mut self, at: usize, place: usize, word: &str, due: Vec<std::path::PathBuf>) {
        let settings = &self.config.virtuals[at];
        for program in due {
            let says = &settings.reals[place];
            let why = match word {
                "down" => self.services[at].reals[place].first_error(),
                _ => "its checks are good again".to_owned(),
            };
            let args =
                vec![word.into(), settings.name.clone(), says.name.clone(), says.address.to_string(), why];
            self.actions.push_back(Action::Run { program, args });
        }
    }

    /// The sync daemon follows the role.
    fn sync(&mut self) {
        let direction = if self.active { Direction::Master } else { Direction::Backup };
        let wanted = self.config.sync.as_ref();
        let wanted =
            wanted.map(|sync| SyncDaemon { direction, interface: sync.interface.clone(), id: sync.id });
        self.actions.push_back(Action::Sync(wanted));
    }

    /// `www/web1`.
    fn name(&self, at: usize, place: usize) -> String {
        let settings = &self.config.virtuals[at];
        format!("{}/{}", settings.name, settings.reals[place].name)
    }

    fn say(
        &mut self,
        level: Level,
        kind: &'static str,
        subject: String,
        from: Option<&str>,
        to: Option<&str>,
        why: String,
    ) {
        let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
        self.actions.push_back(Action::Event(Event { level, kind, subject, from, to, why }));
    }
}
