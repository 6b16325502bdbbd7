//! What the daemon around a core does: inputs in, actions out, datagrams and the disk.

use std::rc::Rc;

use cluster::{Action, Command, CommandId, Input, Reply};

use super::clock::NEVER;
use super::machine::{Item, Newest, Write};
use super::wire::{Packet, SECRET, spoil_of};
use super::{Happening, World};
use crate::check::Sight;

/// Datagrams the sockets of a stopped process keep; later ones are lost.
const BACKLOG: usize = 200;
/// What a datagram needs on the first link; the n-th is n times as slow.
const DELAY: u64 = 200_000;

impl World {
    /// Gives a core something; if its process is stopped, that waits.
    pub fn feed(&mut self, n: usize, item: Item) {
        let machine = &mut self.machines[n];
        if machine.core.is_none() {
            return;
        }
        if machine.frozen.is_some() {
            let packet = |item: &Item| matches!(item, Item::Packet(..));
            if !packet(&item) || machine.backlog.iter().filter(|item| packet(item)).count() < BACKLOG {
                machine.backlog.push_back(match item {
                    Item::Packet(link, packet, _) => Item::Packet(link, packet, true),
                    other => other,
                });
            }
            return;
        }
        machine.inbox.push_back(item);
        if machine.busy {
            return;
        }
        machine.busy = true;
        while let Some(item) = self.machines[n].inbox.pop_front() {
            self.handle(n, item);
        }
        self.machines[n].busy = false;
    }

    fn handle(&mut self, n: usize, item: Item) {
        if self.machines[n].core.is_none() {
            return;
        }
        let input = match item {
            Item::Packet(link, packet, waited) => {
                if packet.forged && !self.is_merely_late(n, &packet) {
                    return self.handle_forged(n, link, &packet);
                }
                self.note_heard(n, &packet);
                self.sight(&Sight::Heard { n, packet: &packet, waited });
                Input::Datagram { link, bytes: packet.bytes.clone() }
            }
            Item::Input(input) => input,
        };
        let actions = self.step_core(n, input);
        self.act(n, actions);
        self.pet(n);
    }

    fn step_core(&mut self, n: usize, input: Input) -> Vec<Action> {
        self.events += 1;
        let ticks = &mut self.machines[n].ticks;
        ticks.1 = if ticks.0 == self.now { ticks.1 + 1 } else { 0 };
        ticks.0 = self.now;
        if ticks.1 > super::BUSY {
            let name = self.machines[n].name.clone();
            self.blame("BUSY", format!("{name} gives itself work without end"));
            return Vec::new();
        }
        let now = self.local(n);
        let machine = &mut self.machines[n];
        let Some(core) = machine.core.as_mut() else { return Vec::new() };
        let actions = core.handle(now, input);
        machine.wake = core.deadline().map_or(NEVER, |at| machine.clock.when(at));
        actions
    }

    fn note_heard(&mut self, n: usize, packet: &Packet) {
        let Some(message) = &packet.message else { return };
        let boot = self.machines[n].boot;
        if !message.echoes.iter().any(|echo| echo.boot == boot) {
            // Not proven fresh, so not believed: it may come again and be the first of its kind.
            return;
        }
        let at = self.local(n);
        let newest = &mut self.machines[n].heard[packet.from];
        if newest.boot != message.boot || newest.sequence < message.sequence {
            *newest = Newest {
                incarnation: message.incarnation,
                boot: message.boot,
                sequence: message.sequence,
                at,
            };
        }
    }

    /// A recorded datagram that had never come in before is no replay: the wire was slow.
    fn is_merely_late(&self, n: usize, packet: &Packet) -> bool {
        let Some(message) = &packet.message else { return false };
        let newest = &self.machines[n].heard[packet.from];
        // What was sent before this life began cannot be proof of anything to it.
        packet.from != n
            && packet.sent >= self.machines[n].born
            && (message.incarnation > newest.incarnation
                || newest.boot == message.boot && newest.sequence < message.sequence)
    }

    /// What is due is done first, so that whatever comes after is the forged datagram's doing.
    fn handle_forged(&mut self, n: usize, link: usize, packet: &Rc<Packet>) {
        let due = self.step_core(n, Input::Tick);
        self.act(n, due);
        let before = self.status(n);
        let life = self.machines[n].life;
        let actions = self.step_core(n, Input::Datagram { link, bytes: packet.bytes.clone() });
        if self.machines[n].life == life {
            let after = self.status(n);
            self.sight(&Sight::Forged { n, actions: &actions, before: &before, after: &after });
        }
        self.act(n, actions);
    }

    fn act(&mut self, n: usize, actions: Vec<Action>) {
        let life = self.machines[n].life;
        for action in actions {
            if self.machines[n].life != life {
                return;
            }
            if let Some(crash) = &mut self.machines[n].crash {
                if crash.after == 0 {
                    return self.crash_here(n);
                }
                crash.after -= 1;
            }
            self.sight(&Sight::Acts { n, action: &action });
            self.carry_out(n, action);
        }
    }

    fn carry_out(&mut self, n: usize, action: Action) {
        match action {
            Action::Send(bytes) => self.send(n, bytes),
            Action::Drain => {
                let machine = &mut self.machines[n];
                for item in std::mem::take(&mut machine.backlog) {
                    match item {
                        Item::Packet(..) => machine.inbox.push_back(item),
                        Item::Input(_) => machine.backlog.push_back(item),
                    }
                }
                machine.inbox.push_back(Item::Input(Input::Drained));
            }
            Action::Run(run) => self.op_begins(n, run),
            Action::Cancel(id) => self.op_is_cancelled(n, id),
            Action::Fence { id, node } => self.fence_begins(n, id, &node),
            Action::Witness { id, ask } => self.witness_is_asked(n, id, ask),
            Action::Lease { groups, leased } => self.lease(n, &groups, leased),
            Action::Announce { group } => {
                self.announced.push((n, group));
                let name = self.settings.groups.iter().find(|g| proto::GroupId::of(&g.name) == group);
                let name = name.map(|group| group.name.clone());
                self.say(n, || format!("announces {}", name.unwrap_or_default()));
            }
            Action::Evict { resources, .. } => self.evict(n, &resources),
            Action::Persist { serial, state } => self.persist(n, serial, state),
            Action::Event(event) => {
                if event.why.contains(SECRET) {
                    self.blame("S20", format!("a secret in an event: {}", event.why));
                }
                self.say(n, || {
                    let change = match (&event.from, &event.to) {
                        (Some(from), Some(to)) => format!("{from} -> {to}: "),
                        _ => String::new(),
                    };
                    format!("{} {}: {change}{}", event.kind, event.subject, event.why)
                });
            }
            Action::Reply { command, reply } => {
                self.say(n, || format!("replies to {}: {reply:?}", command.0));
                if !matches!(reply, Reply::Progress(_)) {
                    self.sight(&Sight::Replied { id: command.0 });
                }
            }
            Action::Exit => {
                self.say(n, || "hbd exits".to_owned());
                self.disarm(n);
                self.end_process(n, true);
                let back = std::mem::replace(&mut self.machines[n].leaving, NEVER);
                self.back(n, back);
            }
        }
    }

    fn send(&mut self, from: usize, bytes: Vec<u8>) {
        if self.trace.packets() {
            let hash = proto::fnv64(proto::FNV64, &bytes);
            self.say(from, || format!("sends {} bytes, {hash:016x}", bytes.len()));
        }
        let message = match self.wire.keys.open(self.wire.cluster, &bytes) {
            Ok(message) => message,
            Err(why) => return self.blame("S9", format!("a message cannot be read: {why}")),
        };
        self.sight(&Sight::Sent { n: from, message: &message });
        let packet = Rc::new(Packet { bytes, from, sent: self.now, message: Some(message), forged: false });
        self.wire.keep(&packet);
        for to in (0..self.machines.len()).filter(|&to| to != from) {
            for link in 0..self.wire.links {
                if !self.wire.is_cut(from, to, link) {
                    self.travel(to, link, &packet);
                }
            }
        }
    }

    fn travel(&mut self, to: usize, link: usize, packet: &Rc<Packet>) {
        let noise = self.wire.noise;
        let mut times = 1;
        let mut packet = Rc::clone(packet);
        let mut delay = DELAY * (1 + link as u64);
        if self.wire.noises > 0 {
            let dice = &mut self.wire_dice;
            if dice.below(1000) < noise.lost {
                return;
            }
            if dice.below(1000) < noise.twice {
                times = 2;
            }
            if dice.below(1000) < noise.spoiled {
                packet = Rc::new(spoil_of(&packet, dice.next()));
            }
            if noise.jitter > 0 {
                delay += dice.below(noise.jitter);
            }
        }
        for _ in 0..times {
            self.at(delay, Happening::Arrives { to, link, packet: Rc::clone(&packet) });
            if times > 1 {
                delay += self.wire_dice.below(noise.jitter.max(1000));
            }
        }
    }

    fn persist(&mut self, n: usize, serial: u64, state: cluster::Durable) {
        let machine = &mut self.machines[n];
        machine.disk.writes.push_back(Write { serial, state });
        if machine.disk.writes.len() == 1 {
            let (time, life) = (machine.disk.time, machine.life);
            self.at(time, Happening::Written { node: n, life });
        }
    }

    pub(super) fn written(&mut self, n: usize, life: u32) {
        let machine = &mut self.machines[n];
        if machine.life != life {
            return;
        }
        if machine.frozen.is_some() {
            // The thread that writes is stopped with the rest; it looks again later.
            return self.at(super::clock::MS, Happening::Written { node: n, life });
        }
        let Some(write) = machine.disk.writes.pop_front() else { return };
        let error = machine.disk.fails.then(|| "no space left".to_owned());
        if error.is_none() {
            machine.disk.state = write.state;
        }
        if !machine.disk.writes.is_empty() {
            let time = machine.disk.time;
            self.at(time, Happening::Written { node: n, life });
        }
        self.feed(n, Item::Input(Input::Persisted { serial: write.serial, error }));
    }

    /// An operator types a command.
    pub fn command(&mut self, n: usize, command: Command) {
        if self.machines[n].core.is_none() {
            return;
        }
        self.commands += 1;
        self.fences_ordered |= matches!(command, Command::Fence { .. });
        let id = self.commands;
        self.say(n, || format!("is told {id}: {command:?}"));
        self.sight(&Sight::Given { n, id, command: &command });
        self.feed(n, Item::Input(Input::Command { id: CommandId(id), by: "root".to_owned(), command }));
    }
}
