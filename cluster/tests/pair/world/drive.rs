//! What the driver of a core does: inputs in, actions out, datagrams and the disk.

use super::*;

impl World {
    /// Starts the daemon.
    pub fn boot(&mut self, n: usize) {
        self.boots += 1;
        let boot = 0x5151 + self.boots * 7919;
        let core = Core::new(self.settings_of(n), keyring(), self.nodes[n].disk.clone(), boot, self.now);
        self.note_resources();
        let groups = self.settings.groups.clone();
        let node = &mut self.nodes[n];
        node.core = Some(core);
        node.groups = groups;
        node.life += 1;
        node.lease = None;
        node.asks.clear();
        node.boot = boot;
        node.off = false;
        node.exited = false;
        self.say(n, "boots");
        self.input(n, Input::Tick);
    }

    /// Gives node `n` the world's settings as they are now.
    pub fn reload(&mut self, n: usize) {
        self.note_resources();
        let settings = self.settings_of(n);
        self.nodes[n].groups.clone_from(&settings.groups);
        self.input(n, Input::Reload(Box::new(settings)));
    }

    pub fn cut_all(&mut self) {
        for link in 0..2 {
            self.cut.insert((0, 1, link));
            self.cut.insert((1, 0, link));
        }
    }

    /// No message passes between node `n` and any other.
    pub fn cut_off(&mut self, n: usize) {
        for other in (0..self.nodes.len()).filter(|&other| other != n) {
            for link in 0..2 {
                self.cut.insert((n, other, link));
                self.cut.insert((other, n, link));
            }
        }
    }

    pub fn command(&mut self, n: usize, command: Command) -> u64 {
        self.next_command += 1;
        let id = self.next_command;
        self.input(n, Input::Command { id: CommandId(id), by: "root".to_owned(), command });
        id
    }

    /// The last word on a command, if there is one.
    pub fn verdict(&self, id: u64) -> Option<&Reply> {
        self.replies.get(&id)?.iter().find(|reply| !matches!(reply, Reply::Progress(_)))
    }

    /// Runs until a command has its last word.
    #[track_caller]
    pub fn finish(&mut self, id: u64) -> Reply {
        self.run_until(30_000, |w| w.verdict(id).is_some());
        self.verdict(id).cloned().unwrap_or(Reply::Refused("no answer".to_owned()))
    }

    /// Gives a core an input; if its process is frozen, the input waits.
    pub fn input(&mut self, n: usize, input: Input) {
        let node = &mut self.nodes[n];
        if node.core.is_none() {
            return;
        }
        if node.frozen {
            let datagram = |input: &Input| matches!(input, Input::Datagram { .. });
            let waiting = node.backlog.iter().filter(|i| datagram(i)).count();
            if !datagram(&input) || waiting < BACKLOG {
                node.backlog.push_back(input);
            }
            return;
        }
        node.inbox.push_back(input);
        if node.busy {
            return;
        }
        self.nodes[n].busy = true;
        while let Some(input) = self.nodes[n].inbox.pop_front() {
            let now = self.now;
            let Some(core) = self.nodes[n].core.as_mut() else {
                continue;
            };
            let actions = core.handle(now, input);
            self.act(n, actions);
            self.pet(n);
        }
        self.nodes[n].busy = false;
    }

    fn act(&mut self, n: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(bytes) => self.send(n, bytes),
                Action::Drain => {
                    let node = &mut self.nodes[n];
                    let waiting = std::mem::take(&mut node.backlog);
                    for input in waiting {
                        match input {
                            Input::Datagram { .. } => node.inbox.push_back(input),
                            other => node.backlog.push_back(other),
                        }
                    }
                    node.inbox.push_back(Input::Drained);
                }
                Action::Run(run) => self.begin(n, run),
                Action::Cancel(id) => self.cancel(n, id),
                Action::Lease { groups, leased } => self.lease(n, &groups, leased),
                Action::Announce { group } => {
                    let name = self.group_name(group);
                    self.say(n, &format!("announces {name}"));
                }
                Action::Evict { resources, why, .. } => {
                    for name in resources.iter().map(|key| self.resource_name(*key)).collect::<Vec<_>>() {
                        self.say(n, &format!("evicts {name}: {why}"));
                    }
                }
                Action::Persist { serial, state } => {
                    let node = n;
                    let written = Happening::Written { node, serial, state };
                    // One write after the other.
                    let mine = |happening: &Happening| matches!(happening, Happening::Written { node, .. } if *node == n);
                    let last = self
                        .queue
                        .iter()
                        .filter(|(_, happening)| mine(happening))
                        .map(|((at, _), _)| *at)
                        .max();
                    let wait = last.map_or(Duration::ZERO, |last| last.since(self.now));
                    self.at(self.fsync.max(wait), written);
                }
                Action::Witness { id, ask } => self.ask_witness(n, id, ask),
                Action::Fence { id, node } => {
                    self.say(n, &format!("fences {node}"));
                    if let Some(target) = self.nodes.iter().position(|other| other.name == node) {
                        let life = self.nodes[n].life;
                        self.at(self.fence_time, Happening::Fenced { by: n, life, id, target });
                    }
                }
                Action::Event(event) => {
                    let change = match (&event.from, &event.to) {
                        (Some(from), Some(to)) => format!("{from} -> {to}: "),
                        _ => String::new(),
                    };
                    let line = format!("{} {}: {change}{}", event.kind, event.subject, event.why);
                    self.say(n, &line);
                }
                Action::Reply { command, reply } => {
                    self.say(n, &format!("replies to {}: {reply:?}", command.0));
                    self.replies.entry(command.0).or_default().push(reply);
                }
                Action::Exit => {
                    self.say(n, "exits");
                    self.nodes[n].exited = true;
                    self.disarm(n);
                    self.end_process(n, true);
                }
            }
        }
    }

    fn send(&mut self, from: usize, bytes: Vec<u8>) {
        self.captured.push(bytes.clone());
        for to in (0..self.nodes.len()).filter(|&to| to != from) {
            for link in 0..self.settings.links.len() {
                self.sent += 1;
                let dice =
                    (self.sent.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695) >> 33) % 997;
                let lost = self.keep_one_in > 0 && !dice.is_multiple_of(self.keep_one_in);
                if !lost && !self.cut.contains(&(from, to, link)) {
                    let arrives = Happening::Arrives { node: to, link, bytes: bytes.clone() };
                    let jitter = if self.jitter > 0 { self.throw(self.jitter) } else { 0 };
                    self.at(DELAY * (1 + link as u32) + Duration::from_micros(jitter), arrives);
                }
            }
        }
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives { node, link, bytes } => {
                self.input(node, Input::Datagram { link, bytes });
            }
            Happening::Fenced { by, life, id, target } => {
                if self.nodes[by].life == life {
                    let outcome = self.use_device(target);
                    self.input(by, Input::FenceDone { id, outcome });
                }
            }
            Happening::Asked { node, life, id, ask, lease } => self.witness_hears(node, life, id, ask, lease),
            Happening::Answered { node, life, id, answer, lease } => {
                self.witness_answers(node, life, id, answer, lease)
            }
            Happening::GivesUp { node, life, id } => {
                let answer = WitnessAnswer::Failed("no answer in time".to_owned());
                let lease = self.nodes[node].lease;
                self.witness_answers(node, life, id, answer, lease);
            }
            Happening::Bites { node, pets } => self.watchdog_bites(node, pets),
            Happening::Ends { node, begun, run } => self.op_ends(node, begun, run),
            Happening::Written { node, serial, state } => {
                let error = self.nodes[node].disk_fails.then(|| "no space left".to_owned());
                if error.is_none() {
                    self.nodes[node].disk = state;
                }
                self.input(node, Input::Persisted { serial, error });
            }
        }
    }
}
