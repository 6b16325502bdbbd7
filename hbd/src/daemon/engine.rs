//! The engine: the core and what carries out its actions. All of it on the loop's thread, nothing
//! of it ever waits.

mod reload;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime};

use cluster::{Action, Command, Core, Event, FenceOutcome, Input, Level, OpResult, Run, Time, WitnessAnswer};
use tokio::sync::oneshot;

use super::ask::Ask;
use super::disk::{self, Disk};
use super::dog::Dog;
use super::event_loop::Meaning;
use super::links::{Change, Links};
use super::log::{self, LogQueue};
use super::net::{self, Net};
use super::notify::Notifier;
use super::orders::Orders;
use super::outputs::Outputs;
use super::rejected::Rejected;
use super::reload::Request;
use super::report::{Report, Trouble};
use super::settings::{Entry, Table, lease_lifetime, lease_max_age};
use super::status::{Picture, Troubles, summary};
use super::when::{now, rfc3339};
use super::witness::Witness;
use super::work::{self, Work};
use crate::config::{Config, Fence};
use crate::control::{Answer, StoredEvent};

/// Datagrams read from one link when the core asks for all: more than a socket holds (2 MiB, of which the kernel counts
/// 768 bytes at least for each), so that the peer's are among them however many others wait.
const DRAIN: usize = 4096;
/// Between two words to the service manager on how things are.
const STATUS_PAUSE: Duration = Duration::from_secs(1);
/// The bound on waiting for a serial line, at the end: what it still holds is thrown away with it.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// The bound on writing what is to be kept, at the end.
const CLOSE: Duration = Duration::from_secs(3);

/// What the engine is made of.
pub struct Parts {
    /// Decides.
    pub core: Core,
    /// Heartbeats.
    pub links: Links,
    /// Addresses.
    pub net: Net,
    /// Agents and operators.
    pub work: Work,
    /// State and events.
    pub disk: Disk,
    /// Knows how many lines were lost.
    pub log: LogQueue,
    /// The service manager.
    pub notifier: Notifier,
    /// The machine's watchdog.
    pub dog: Option<Dog>,
    /// The third party, if there is one.
    pub witness: Option<Witness>,
    /// From the core's keys to resources.
    pub table: Table,
    /// What is not as it should be already.
    pub troubles: Troubles,
}

/// See the module.
pub struct Engine {
    parts: Parts,
    config: Config,
    request: Request,
    inputs: VecDeque<Input>,
    orders: Orders,
    rejected: Rejected,
    reloads: Vec<oneshot::Sender<Answer>>,
    reloading: bool,
    next_event: u64,
    started: Time,
    leaving: bool,
    ended: bool,
    /// The net thread was told that maintenance is on.
    frozen: bool,
    /// When the service manager is to hear that the loop turns.
    alive_due: Option<Time>,
    /// When the watchdog's thread last heard that the loop turns.
    dog_told: Time,
    /// The ping points, and whether they answer.
    points: Vec<(String, bool)>,
    /// What agents wrote when they last failed.
    outputs: Outputs,
    status_line: String,
    status_old: bool,
    status_due: Time,
}

impl Engine {
    /// An engine for `config`, read by `request`; `next_event` is the number of the next event.
    pub fn new(parts: Parts, config: Config, request: Request, next_event: u64, started: Time) -> Engine {
        let alive_due = parts.notifier.watchdog().map(|_| started);
        Engine {
            parts,
            config,
            request,
            inputs: VecDeque::new(),
            orders: Orders::default(),
            rejected: Rejected::default(),
            reloads: Vec::new(),
            reloading: false,
            next_event,
            started,
            leaving: false,
            ended: false,
            frozen: false,
            alive_due,
            dog_told: started,
            points: Vec::new(),
            outputs: Outputs::default(),
            status_line: String::new(),
            status_old: true,
            status_due: started,
        }
    }

    /// The first input, and the word to the service manager.
    pub fn begin(&mut self) {
        tracing::info!(
            "hbd {} starts as node {} of cluster {}",
            super::status::VERSION,
            self.config.me,
            self.config.cluster.name
        );
        self.feed(Input::Tick);
        self.tell_addresses();
        self.parts.notifier.ready();
    }

    /// All is stopped and said.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// When something is due if nothing else happens.
    pub fn wake_at(&self) -> Option<Time> {
        let dog = self.parts.dog.as_ref().map(|dog| self.dog_told + dog.every());
        [self.parts.core.deadline(), self.parts.links.due(), self.alive_due, dog].into_iter().flatten().min()
    }

    /// Comes back when a datagram may be waiting.
    pub async fn readable(&mut self) {
        self.parts.links.readable().await;
    }

    /// Takes datagrams that wait, at most `bound` a link.
    pub fn datagrams(&mut self, bound: usize) {
        let changes = self.parts.links.read(bound, now(), &mut self.inputs);
        self.work_off();
        self.link_changes(changes);
    }

    /// Does what is due by now.
    pub fn time(&mut self) {
        let now = now();
        if self.parts.core.deadline().is_some_and(|due| due <= now) {
            self.feed(Input::Tick);
        }
        if self.parts.links.due().is_some_and(|due| due <= now) {
            let changes = self.parts.links.time(now);
            self.link_changes(changes);
        }
    }

    /// What can be done at leisure, in the turns that happen anyway.
    pub fn chores(&mut self) {
        let now = now();
        for line in self.rejected.look(now, self.parts.core.rejected()) {
            if line.fault {
                tracing::warn!("{}", line.text);
            } else {
                tracing::info!("{}", line.text);
            }
        }
        if let Some(dog) = &self.parts.dog {
            let core = &self.parts.core;
            dog.allow(|ahead| core.may_pet(now + ahead));
            self.dog_told = now;
        }
        if let (Some(due), Some(within)) = (self.alive_due, self.parts.notifier.watchdog()) {
            // Half as late as the manager allows; earlier, if the loop is awake anyway.
            if now + within / 4 >= due {
                self.parts.notifier.alive();
                self.alive_due = Some(now + within / 2);
            }
        }
        if self.status_old && now >= self.status_due && self.parts.notifier.connected() {
            self.status_old = false;
            self.status_due = now + STATUS_PAUSE;
            let line = summary(&self.parts.core.status(now));
            if line != self.status_line {
                self.parts.notifier.status(&line);
                self.status_line = line;
            }
        }
    }

    /// TERM or INT: leave in order.
    pub fn leave(&mut self) {
        if self.leaving {
            tracing::info!("already leaving: groups are being handed over");
            return;
        }
        self.leaving = true;
        self.parts.notifier.stopping();
        self.feed(Input::Stop);
    }

    /// Takes what another thread reports.
    pub fn report(&mut self, report: Report) {
        match report {
            Report::OpDone { id, results } => self.feed(Input::OpDone { id, results }),
            Report::Output { group, resource, text } => self.outputs.keep(group, resource, text),
            Report::FenceDone { id, outcome } => self.feed(Input::FenceDone { id, outcome }),
            Report::Witness { id, answer } => self.feed(Input::Witness { id, answer }),
            Report::Device { node, agent, said } => self.device(node, agent, said),
            Report::Pings(points) => self.pings(points),
            Report::PingTrouble { name, why } => {
                let sentence = why.map(|why| format!("the ping point {name} cannot be asked: {why}"));
                self.trouble(Trouble::Ping(name), sentence);
            }
            Report::Persisted { serial, error } => self.feed(Input::Persisted { serial, error }),
            Report::Window { open } => self.feed(Input::FailbackWindow { open }),
            Report::Signal(Meaning::Leave) => self.leave(),
            Report::Signal(Meaning::Reload) => self.reload(None),
            Report::Loaded(loaded) => self.loaded(*loaded),
            Report::Interfaces(all) => {
                let changes = self.parts.links.interfaces(all, now());
                self.link_changes(changes);
            }
            Report::Ground(ground) => self.feed(Input::Ground(ground)),
            Report::PutBack(resources) => self.feed(Input::PutBack { resources }),
            Report::Event(event) => self.event(*event),
            Report::Alert { name, told } => {
                let failed = || {
                    format!("nobody is told by the alert {name}: the last attempts failed; the log says why")
                };
                let sentence = (!told).then(failed);
                self.status_old |= self.parts.troubles.set(Trouble::Alert(name), sentence);
            }
            Report::Trouble { about, sentence } => self.trouble(about, sentence),
        }
    }

    /// Answers an operator.
    pub fn ask(&mut self, ask: Ask) {
        match ask {
            // Nobody waits for it any more: no work for it either.
            Ask::Status(done) if done.is_closed() => {}
            Ask::Status(done) => {
                self.parts.troubles.set_lost_lines(self.parts.log.lost());
                let now = now();
                let core = self.parts.core.status(now);
                self.outputs.forget(&core);
                let picture = Picture {
                    core,
                    outputs: self.outputs.clone(),
                    uptime: now.since(self.started),
                    lines: self.parts.links.lines(now),
                    troubles: [self.parts.troubles.sentences(), self.parts.links.notes()].concat(),
                    devices: self.parts.troubles.devices(),
                    points: self.points.clone(),
                    witness: self.parts.witness.as_ref().map(Witness::picture),
                };
                let _ = done.send(Box::new(picture));
            }
            Ask::Why { group, done } => {
                let now = now();
                let status = self.parts.core.status(now);
                let mut why = self.parts.core.why(now, &group);
                why.iter_mut().for_each(|lines| lines.extend(self.outputs.lines(&group, &status)));
                let _ = done.send(why);
            }
            Ask::Tune(done) => drop(done.send(Box::new(self.parts.core.tune()))),
            Ask::Reload { by, done } => {
                tracing::info!("{by} asks for a reload");
                self.reload(Some(done));
            }
            Ask::Order { by, command, no_wait, progress, done } => {
                self.order(by, command, no_wait, progress, done)
            }
        }
    }

    fn order(
        &mut self,
        by: String,
        command: Command,
        no_wait: bool,
        progress: tokio::sync::mpsc::Sender<String>,
        done: oneshot::Sender<Answer>,
    ) {
        if let Some(id) = self.orders.begin(no_wait, progress, done) {
            self.feed(Input::Command { id, by, command });
            self.orders.begun(id);
        }
    }

    /// Tells the net thread which addresses are configured.
    fn tell_addresses(&mut self) {
        let entries = self.parts.table.all_addresses();
        let refresh = self.config.daemon.announce_refresh;
        if self.parts.net.ask(net::Job::Configured { entries, refresh }).is_err() {
            tracing::error!("interfaces of addresses are not watched: the net thread has too much to do");
        }
    }

    fn feed(&mut self, input: Input) {
        self.inputs.push_back(input);
        self.work_off();
    }

    fn work_off(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            for action in self.parts.core.handle(now(), input) {
                self.act(action);
            }
        }
        let frozen = self.parts.core.is_frozen();
        if frozen != self.frozen {
            // If the net thread cannot be told now, it is at the next input.
            self.frozen ^= self.parts.net.ask(net::Job::Frozen(frozen)).is_ok();
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(bytes) => {
                let changes = self.parts.links.send(&bytes, now());
                self.link_changes(changes);
            }
            Action::Drain => {
                self.parts.links.drain(DRAIN, &mut self.inputs);
                self.inputs.push_back(Input::Drained);
            }
            Action::Run(run) => self.run(run),
            Action::Cancel(id) => {
                if self.parts.work.ask(work::Job::Cancel(id)).is_err() {
                    tracing::error!(
                        "a look at a resource was not ended early: the work thread has too much to do"
                    );
                }
            }
            Action::Witness { id, ask } => {
                let asked = match &self.parts.witness {
                    Some(witness) => witness.ask(id, ask),
                    None => Err("no [witness] was configured when hbd was started".to_owned()),
                };
                if let Err(why) = asked {
                    self.inputs.push_back(Input::Witness { id, answer: WitnessAnswer::Failed(why) });
                }
            }
            Action::Fence { id, node } => {
                let of = |fence: &&Fence| fence.node == node;
                let devices = self.config.fences.iter().filter(of).cloned().collect();
                if self.parts.work.ask(work::Job::Fence { id, devices }).is_err() {
                    let outcome = FenceOutcome::Failed("the work thread has too much to do".to_owned());
                    self.inputs.push_back(Input::FenceDone { id, outcome });
                }
            }
            Action::Lease { groups, leased } => {
                let entries =
                    groups.iter().flat_map(|&group| self.parts.table.addresses(group)).cloned().collect();
                let max_age = lease_max_age(self.config.cluster.deadtime);
                let job =
                    net::Job::Lease { entries, lifetime: self.lifetime(leased), queued: now(), max_age };
                if self.parts.net.ask(job).is_err() {
                    tracing::error!("a renewal of addresses was dropped: the net thread has too much to do");
                }
            }
            Action::Announce { group } => {
                let entries = self.parts.table.addresses(group).to_vec();
                if self.parts.net.ask(net::Job::Announce { entries }).is_err() {
                    tracing::error!(
                        "an announcement of addresses was dropped: the net thread has too much to do"
                    );
                }
            }
            Action::Evict { resources, why, .. } => {
                let entries =
                    resources.iter().filter_map(|&key| self.parts.table.get(key).cloned()).collect();
                if self.parts.net.ask(net::Job::Evict { entries, why }).is_err() {
                    tracing::error!("addresses of somebody else stay: the net thread has too much to do");
                }
            }
            Action::Persist { serial, state } => {
                if self.parts.disk.ask(disk::Job::Persist { serial, state }).is_err() {
                    let error = Some("the disk thread has too much to do".to_owned());
                    self.inputs.push_back(Input::Persisted { serial, error });
                }
            }
            Action::Event(event) => self.event(event),
            Action::Reply { command, reply } => self.orders.reply(command, reply),
            Action::Exit => self.ended = true,
        }
    }

    fn lifetime(&self, leased: bool) -> Option<Duration> {
        leased.then(|| lease_lifetime(self.config.cluster.deadtime))
    }

    /// Gives an operation to the thread it belongs to; one that cannot be given is answered at once.
    fn run(&mut self, run: Run) {
        let Run { id, resources, op, timeout, leased, .. } = run;
        let count = resources.len();
        let entries: Option<Vec<Arc<Entry>>> =
            resources.iter().map(|&key| self.parts.table.get(key).cloned()).collect();
        let refused = match entries {
            None => Some("it is no longer in the configuration"),
            Some(entries) if entries.iter().all(|entry| entry.is_address()) => {
                let lifetime = self.lifetime(leased);
                let job = net::Job::Run { id, op, entries, timeout, lifetime, queued: now() };
                self.parts.net.ask(job).is_err().then_some("the net thread has too much to do")
            }
            Some(entries) if entries.iter().any(|entry| entry.is_address()) => {
                Some("addresses and agents in one operation (an error of the program; please report it)")
            }
            Some(entries) => {
                let job = work::Job::Run { id, op, entries, timeout };
                self.parts.work.ask(job).is_err().then_some("the work thread has too much to do")
            }
        };
        if let Some(why) = refused {
            tracing::error!("an operation was not begun: {why}");
            self.inputs.push_back(Input::OpDone { id, results: vec![OpResult::Failed(why.into()); count] });
        }
    }

    /// Logs an event, shows it to those who follow, and keeps it.
    fn event(&mut self, event: Event) {
        log::event(&event);
        self.status_old = true;
        let (number, time) = (self.next_event, rfc3339(SystemTime::now()));
        self.next_event += 1;
        let stored = Arc::new(StoredEvent { number, time, node: self.config.me.clone(), event });
        let shown = self.parts.work.ask(work::Job::Event(Arc::clone(&stored)));
        let kept = self.parts.disk.ask(disk::Job::Event(stored));
        if shown.is_err() || kept.is_err() {
            self.parts.troubles.lost_event();
        }
    }

    /// Says which links broke or work again.
    pub fn link_changes(&mut self, changes: Vec<Change>) {
        for Change { name, broken, quiet } in changes {
            let (level, from, to) =
                if broken.is_some() { (Level::Warn, "up", "down") } else { (Level::Info, "down", "up") };
            let why = broken.clone().unwrap_or_else(|| "messages go out on it again".into());
            let sentence = broken.map(|why| format!("link {name}: {why}"));
            self.parts.troubles.set(Trouble::Link(name.clone()), sentence);
            if quiet {
                continue;
            }
            let (from, to) = (Some(from.into()), Some(to.into()));
            self.event(Event { level, kind: "link".into(), subject: name, from, to, why, took_ms: None });
        }
    }

    /// Other ping points answer than before.
    fn pings(&mut self, points: Vec<(String, bool)>) {
        let count = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        let (seen, total) = (count(points.iter().filter(|(_, up)| *up).count()), count(points.len()));
        self.points = points;
        self.feed(Input::Pings { seen, total });
    }

    /// An idle fence device works, or does not.
    fn device(&mut self, node: String, agent: String, said: Result<(), String>) {
        self.parts.troubles.looked_at(&node, &agent, said.is_ok());
        let sentence =
            said.err().map(|why| format!("the fence device {agent} of {node} does not answer: {why}"));
        self.trouble(Trouble::Device(node, agent), sentence);
    }

    fn trouble(&mut self, about: Trouble, sentence: Option<String>) {
        let (level, why) = match &sentence {
            Some(sentence) => (Level::Error, sentence.clone()),
            None => (Level::Info, "it works again".to_owned()),
        };
        if !self.parts.troubles.set(about.clone(), sentence) {
            return;
        }
        let (kind, subject) = about.subject();
        self.event(Event { level, kind: kind.into(), subject, from: None, to: None, why, took_ms: None });
    }

    /// Waits, within bounds, until the last words have left a serial line, and the last state and events are on disk.
    pub fn close(&mut self) {
        let until = now() + LAST_WORDS;
        while now() < until && !self.parts.links.is_idle(now()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.parts.links.discard();
        let (done, closed) = sync_channel(1);
        if self.parts.work.ask(work::Job::Close(done)).is_err() || closed.recv_timeout(CLOSE * 2).is_err() {
            tracing::error!("what is kept alive beside the daemon, or an alert, did not end in time");
        }
        let (done, wait) = sync_channel(1);
        if self.parts.disk.ask(disk::Job::Flush(done)).is_err() || wait.recv_timeout(CLOSE).is_err() {
            tracing::error!("the disk did not take the last events in time");
        }
        // Last of all: what comes before may hang, and then a reset is right.
        if let Some(mut dog) = self.parts.dog.take() {
            dog.end(self.parts.core.may_disarm());
        }
        tracing::info!("hbd ends");
    }
}
