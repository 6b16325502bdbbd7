//! A pair of cores on a virtual clock: a small world with links that can be cut, disks, agents that do as they
//! are told, and a record of what happened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use cluster::status::Status;
use cluster::*;

pub const DELAY: Duration = Duration::from_micros(200);
pub const FSYNC: Duration = Duration::from_millis(1);

/// How an agent answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good,
    FailsStart,
    FailsStop,
    Hangs,
}

/// What happens at a point in time.
#[derive(Clone, Debug)]
enum Happening {
    Arrives {
        node: usize,
        link: usize,
        bytes: Vec<u8>,
    },
    Ends {
        node: usize,
        life: u32,
        run: Run,
    },
    Written {
        node: usize,
        life: u32,
        serial: u64,
        state: Durable,
    },
}

/// A machine.
pub struct Node {
    pub name: String,
    pub core: Option<Core>,
    pub life: u32,
    pub disk: Durable,
    pub disk_fails: bool,
    /// What runs here, by resource name.
    pub running: BTreeSet<String>,
    pub moods: BTreeMap<String, Mood>,
    /// Not scheduled until then; datagrams queue up.
    pub frozen: bool,
    backlog: VecDeque<(usize, Vec<u8>)>,
    pub exited: bool,
}

/// The world.
pub struct World {
    pub now: Time,
    pub nodes: Vec<Node>,
    pub settings: Settings,
    queue: BTreeMap<(Time, u64), Happening>,
    count: u64,
    /// (from, to, link) that lose everything.
    pub cut: BTreeSet<(usize, usize, usize)>,
    /// Only one datagram in so many arrives, if not 0; which, is the same in each run.
    pub keep_one_in: u64,
    sent: u64,
    pub log: Vec<String>,
    pub replies: BTreeMap<u64, Vec<Reply>>,
    pub op_time: Duration,
    next_command: u64,
    boots: u64,
    pub captured: Vec<Vec<u8>>,
    /// Instants at which each resource ran on more than one node.
    pub overlaps: Vec<(Time, String)>,
}

pub fn settings(me: &str) -> Settings {
    let resource = |key: u64, name: &str, address: bool| ResourceSettings {
        key: ResourceKey(key),
        name: name.to_owned(),
        address,
        start_timeout: Duration::from_secs(5),
        stop_timeout: Duration::from_secs(5),
        status_timeout: Duration::from_secs(5),
    };
    Settings {
        cluster: "test".to_owned(),
        me: me.to_owned(),
        nodes: vec!["a".to_owned(), "b".to_owned()],
        keepalive: Duration::from_millis(100),
        warntime: Duration::from_millis(500),
        deadtime: Duration::from_secs(1),
        initdead: Duration::from_secs(3),
        failback: Failback::Off,
        links: vec!["bcast:eth0".to_owned(), "bcast:eth1".to_owned()],
        config_digest: 7,
        lease_renew: Duration::from_millis(600),
        groups: vec![GroupSettings {
            name: "g".to_owned(),
            preferred: Some("a".to_owned()),
            requires: Requires::Nothing,
            resources: vec![
                resource(1, "vip1", true),
                resource(2, "vip2", true),
                resource(3, "web", false),
            ],
        }],
    }
}

fn keyring() -> proto::Keyring {
    proto::Keyring::parse("auth 1\n1 sha256 a-secret-for-tests\n").expect("good keys")
}

impl World {
    pub fn new() -> Self {
        Self::with(settings("a"))
    }

    pub fn with(settings: Settings) -> Self {
        let node = |name: &String| Node {
            name: name.clone(),
            core: None,
            life: 0,
            disk: Durable::default(),
            disk_fails: false,
            running: BTreeSet::new(),
            moods: BTreeMap::new(),
            frozen: false,
            backlog: VecDeque::new(),
            exited: false,
        };
        Self {
            now: Time::from_millis(1000),
            nodes: settings.nodes.iter().map(node).collect(),
            settings,
            queue: BTreeMap::new(),
            count: 0,
            cut: BTreeSet::new(),
            keep_one_in: 0,
            sent: 0,
            log: Vec::new(),
            replies: BTreeMap::new(),
            op_time: Duration::from_millis(2),
            next_command: 0,
            boots: 0,
            captured: Vec::new(),
            overlaps: Vec::new(),
        }
    }

    /// A pair that has settled, with the group on a.
    pub fn settled() -> Self {
        let mut world = Self::new();
        world.boot(0);
        world.boot(1);
        world.run_until(5000, |w| w.owner("g") == Some(0));
        world.run(2000);
        world
    }

    /// The settings as node `n` has them.
    pub fn settings_of(&self, n: usize) -> Settings {
        Settings {
            me: self.nodes[n].name.clone(),
            ..self.settings.clone()
        }
    }

    /// Starts the daemon.
    pub fn boot(&mut self, n: usize) {
        self.boots += 1;
        let boot = 0x5151 + self.boots * 7919;
        let core = Core::new(
            self.settings_of(n),
            keyring(),
            self.nodes[n].disk.clone(),
            boot,
            self.now,
        );
        let node = &mut self.nodes[n];
        node.core = Some(core);
        node.life += 1;
        node.exited = false;
        node.frozen = false;
        node.backlog.clear();
        self.say(n, "boots");
        self.input(n, Input::Tick);
    }

    /// The daemon is killed; what runs goes on.
    pub fn kill(&mut self, n: usize) {
        self.nodes[n].core = None;
        self.nodes[n].life += 1;
        self.say(n, "hbd is killed");
    }

    /// Power failure: nothing runs any more.
    pub fn power_off(&mut self, n: usize) {
        self.kill(n);
        self.nodes[n].running.clear();
    }

    pub fn freeze(&mut self, n: usize) {
        self.nodes[n].frozen = true;
        // The kernel takes the leased addresses away.
        self.nodes[n]
            .running
            .retain(|name| !name.starts_with("vip"));
        self.say(n, "is frozen");
    }

    pub fn thaw(&mut self, n: usize) {
        self.nodes[n].frozen = false;
        self.say(n, "is thawed");
        self.input(n, Input::Tick);
        while let Some((link, bytes)) = self.nodes[n].backlog.pop_front() {
            self.input(n, Input::Datagram { link, bytes });
        }
    }

    pub fn mood(&mut self, n: usize, resource: &str, mood: Mood) {
        self.nodes[n].moods.insert(resource.to_owned(), mood);
    }

    pub fn cut_all(&mut self) {
        for link in 0..2 {
            self.cut.insert((0, 1, link));
            self.cut.insert((1, 0, link));
        }
    }

    pub fn command(&mut self, n: usize, command: Command) -> u64 {
        self.next_command += 1;
        let id = self.next_command;
        self.input(
            n,
            Input::Command {
                id: CommandId(id),
                by: "root".to_owned(),
                command,
            },
        );
        id
    }

    /// The last word on a command, if there is one.
    pub fn verdict(&self, id: u64) -> Option<&Reply> {
        self.replies
            .get(&id)?
            .iter()
            .find(|reply| !matches!(reply, Reply::Progress(_)))
    }

    /// Runs until a command has its last word.
    pub fn finish(&mut self, id: u64) -> Reply {
        self.run_until(30_000, |w| w.verdict(id).is_some());
        self.verdict(id)
            .cloned()
            .unwrap_or(Reply::Refused("no answer".to_owned()))
    }

    pub fn input(&mut self, n: usize, input: Input) {
        let now = self.now;
        let Some(core) = self.nodes[n].core.as_mut() else {
            return;
        };
        let actions = core.handle(now, input);
        self.act(n, actions);
    }

    fn act(&mut self, n: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(bytes) => self.send(n, bytes),
                Action::Drain => {
                    while let Some((link, bytes)) = self.nodes[n].backlog.pop_front() {
                        self.input(n, Input::Datagram { link, bytes });
                    }
                    self.input(n, Input::Drained);
                }
                Action::Run(run) => self.begin(n, run),
                Action::Lease { groups, .. } => self.put_back(n, &groups),
                Action::Announce { group } => {
                    self.say(n, &format!("announces {}", self.group_name(group)))
                }
                Action::Persist { serial, state } => {
                    let life = self.nodes[n].life;
                    self.at(
                        FSYNC,
                        Happening::Written {
                            node: n,
                            life,
                            serial,
                            state,
                        },
                    );
                }
                Action::Event(event) => {
                    let change = match (&event.from, &event.to) {
                        (Some(from), Some(to)) => format!("{from} -> {to}: "),
                        _ => String::new(),
                    };
                    self.say(
                        n,
                        &format!("{} {}: {change}{}", event.kind, event.subject, event.why),
                    );
                }
                Action::Reply { command, reply } => {
                    self.say(n, &format!("replies to {}: {reply:?}", command.0));
                    self.replies.entry(command.0).or_default().push(reply);
                }
                Action::Exit => {
                    self.say(n, "exits");
                    self.nodes[n].core = None;
                    self.nodes[n].exited = true;
                    self.nodes[n].life += 1;
                }
            }
        }
    }

    fn group_name(&self, id: proto::GroupId) -> String {
        let group = self
            .settings
            .groups
            .iter()
            .find(|g| proto::GroupId::of(&g.name) == id);
        group.map(|g| g.name.clone()).unwrap_or_default()
    }

    fn put_back(&mut self, n: usize, groups: &[proto::GroupId]) {
        for group in self.settings.groups.clone() {
            if groups.contains(&proto::GroupId::of(&group.name)) {
                for resource in group.resources.iter().filter(|r| r.address) {
                    self.nodes[n].running.insert(resource.name.clone());
                }
            }
        }
        self.audit();
    }

    fn send(&mut self, from: usize, bytes: Vec<u8>) {
        self.captured.push(bytes.clone());
        for to in (0..self.nodes.len()).filter(|&to| to != from) {
            for link in 0..self.settings.links.len() {
                self.sent += 1;
                let dice = (self
                    .sent
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695)
                    >> 33)
                    % 997;
                let lost = self.keep_one_in > 0 && !dice.is_multiple_of(self.keep_one_in);
                if !lost && !self.cut.contains(&(from, to, link)) {
                    let delay = DELAY * (1 + link as u32);
                    self.at(
                        delay,
                        Happening::Arrives {
                            node: to,
                            link,
                            bytes: bytes.clone(),
                        },
                    );
                }
            }
        }
    }

    fn begin(&mut self, n: usize, run: Run) {
        let names: Vec<String> = run
            .resources
            .iter()
            .map(|key| self.resource_name(*key))
            .collect();
        self.say(n, &format!("{:?} {}", run.op, names.join(" ")));
        let hangs = names
            .iter()
            .any(|name| self.nodes[n].moods.get(name) == Some(&Mood::Hangs));
        let time = if hangs { run.timeout } else { self.op_time };
        let life = self.nodes[n].life;
        self.at(time, Happening::Ends { node: n, life, run });
    }

    fn resource_name(&self, key: ResourceKey) -> String {
        let mut all = self.settings.groups.iter().flat_map(|g| &g.resources);
        all.find(|r| r.key == key)
            .map(|r| r.name.clone())
            .unwrap_or_else(|| format!("key{}", key.0))
    }

    fn at(&mut self, after: Duration, happening: Happening) {
        self.count += 1;
        self.queue.insert((self.now + after, self.count), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives { node, link, bytes } if self.nodes[node].frozen => {
                self.nodes[node].backlog.push_back((link, bytes));
            }
            Happening::Arrives { node, link, bytes } => {
                self.input(node, Input::Datagram { link, bytes })
            }
            Happening::Ends { node, life, run } => {
                let results = run
                    .resources
                    .iter()
                    .map(|key| self.do_op(node, self.resource_name(*key), run.op));
                let results = results
                    .collect::<Vec<_>>()
                    .into_iter()
                    .map(|f| f(self))
                    .collect();
                self.audit();
                if self.nodes[node].life == life {
                    self.input(
                        node,
                        Input::OpDone {
                            id: run.id,
                            results,
                        },
                    );
                }
            }
            Happening::Written {
                node,
                life,
                serial,
                state,
            } => {
                let error = self.nodes[node]
                    .disk_fails
                    .then(|| "no space left".to_owned());
                if error.is_none() {
                    self.nodes[node].disk = state;
                }
                if self.nodes[node].life == life {
                    self.input(node, Input::Persisted { serial, error });
                }
            }
        }
    }

    fn do_op(
        &self,
        n: usize,
        name: String,
        op: OpKind,
    ) -> impl FnOnce(&mut Self) -> OpResult + use<> {
        let mood = self.nodes[n]
            .moods
            .get(&name)
            .copied()
            .unwrap_or(Mood::Good);
        move |world: &mut Self| {
            let running = &mut world.nodes[n].running;
            match (op, mood) {
                (_, Mood::Hangs) => OpResult::TimedOut,
                (OpKind::Status, _) if running.contains(&name) => OpResult::Running,
                (OpKind::Status, _) => OpResult::NotRunning,
                (OpKind::Start, Mood::FailsStart) => OpResult::Failed("told to fail".to_owned()),
                (OpKind::Start, _) => {
                    running.insert(name);
                    OpResult::Ok
                }
                (OpKind::Stop, Mood::FailsStop) => OpResult::Failed("told to fail".to_owned()),
                (OpKind::Stop, _) => {
                    running.remove(&name);
                    OpResult::Ok
                }
            }
        }
    }

    /// Notes every resource that runs twice.
    fn audit(&mut self) {
        let mut seen = BTreeSet::new();
        for node in &self.nodes {
            for name in &node.running {
                if !seen.insert(name.clone()) {
                    self.overlaps.push((self.now, name.clone()));
                }
            }
        }
    }

    /// Lets `ms` milliseconds pass.
    pub fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until something holds; panics with the record if it does not within `ms`.
    pub fn run_until(&mut self, ms: u64, holds: impl Fn(&World) -> bool) {
        let end = self.now + Duration::from_millis(ms);
        while !holds(self) {
            if !self.step(end) {
                panic!("not within {ms} ms\n{}", self.timeline());
            }
        }
    }

    fn step(&mut self, end: Time) -> bool {
        let event = self.queue.first_key_value().map(|((at, _), _)| *at);
        let tick = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| !node.frozen)
            .filter_map(|(n, node)| Some((node.core.as_ref()?.deadline()?, n)))
            .min();
        let next = event.into_iter().chain(tick.map(|(at, _)| at)).min();
        let Some(next) = next.filter(|next| *next <= end) else {
            return false;
        };
        self.now = self.now.max(next);
        if event == Some(next) {
            if let Some((_, happening)) = self.queue.pop_first() {
                self.happen(happening);
            }
        } else if let Some((_, n)) = tick {
            self.input(n, Input::Tick);
        }
        true
    }

    pub fn status(&self, n: usize) -> Option<Status> {
        Some(self.nodes[n].core.as_ref()?.status(self.now))
    }

    /// The one node on which all of a group runs and which says that it is started.
    pub fn owner(&self, group: &str) -> Option<usize> {
        let mut owners = (0..self.nodes.len()).filter(|&n| {
            let Some(status) = self.status(n) else {
                return false;
            };
            let says = |g: &cluster::status::GroupStatus| {
                g.name == group
                    && g.state == "started"
                    && g.owner.as_deref() == Some(&self.nodes[n].name)
            };
            status.groups.iter().any(says)
        });
        let first = owners.next();
        if owners.next().is_some() { None } else { first }
    }

    pub fn runs(&self, n: usize) -> Vec<&str> {
        self.nodes[n].running.iter().map(String::as_str).collect()
    }

    fn say(&mut self, n: usize, text: &str) {
        let line = format!("{} {} {text}", self.now, self.nodes[n].name);
        self.log.push(line);
    }

    pub fn timeline(&self) -> String {
        self.log.join("\n")
    }

    /// Whether the record has a line with this text.
    pub fn said(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }

    /// Lines of the record with this text since line `from`.
    pub fn lines(&self, from: usize, text: &str) -> Vec<&String> {
        self.log[from..]
            .iter()
            .filter(|line| line.contains(text))
            .collect()
    }

    #[track_caller]
    pub fn expect_owner(&self, n: usize) {
        let found = self.owner("g");
        assert_eq!(found, Some(n), "\n{}", self.timeline());
        assert_eq!(
            self.runs(n),
            ["vip1", "vip2", "web"],
            "\n{}",
            self.timeline()
        );
        for (other, node) in self.nodes.iter().enumerate() {
            assert!(
                other == n || node.running.is_empty(),
                "{} runs too\n{}",
                node.name,
                self.timeline()
            );
        }
    }

    #[track_caller]
    pub fn expect_no_overlap(&self) {
        assert!(
            self.overlaps.is_empty(),
            "{:?}\n{}",
            self.overlaps,
            self.timeline()
        );
    }
}
