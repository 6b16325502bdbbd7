//! How daemons and machines end and come back.

use cluster::status::NodeStatus;
use cluster::{Core, Durable, Input, Settings};

use super::clock::{Clock, MS, NEVER, S};
use super::machine::{Item, Real};
use super::wire::keyring;
use super::{Happening, World};
use crate::check::Sight;
use crate::dice::Dice;

impl World {
    /// Starts the daemon (and the machine, if it is off).
    pub fn boot(&mut self, n: usize) {
        if self.machines[n].core.is_some() {
            return;
        }
        self.boots += 1;
        self.end_orphans(n);
        let boot = Dice::new(self.setup.seed ^ self.boots, 5).next();
        if self.machines[n].off {
            let first = S + self.dice.below(50 * S);
            self.machines[n].clock = Clock::new(self.now, first, self.setup.ppm[n]);
        }
        self.note_resources();
        let settings = Settings { me: self.machines[n].name.clone(), ..self.settings.clone() };
        let local = self.local(n);
        let machine = &mut self.machines[n];
        let restored = machine.disk.state.clone();
        machine.core = Some(Core::new(settings.clone(), keyring(self.setup.strong), restored, boot, local));
        machine.settings = settings;
        machine.life += 1;
        machine.boot = boot;
        machine.born = self.now;
        machine.off = false;
        machine.lease = None;
        machine.asks.clear();
        machine.frozen = None;
        machine.unleased = false;
        machine.wake = self.now;
        machine.heard.fill(super::machine::Newest::default());
        self.tidy(n);
        let running = self.running(n).join(" ");
        self.say(n, || format!("hbd starts; running here: {running}"));
        self.sight(&Sight::Booted { n });
        self.feed(n, Item::Input(Input::Tick));
        self.tell_ground(n);
    }

    /// Whoever takes a resource out of the configuration of a daemon that does not run has stopped it there: nobody else
    /// could know of it.
    fn tidy(&mut self, n: usize) {
        let machine = &mut self.machines[n];
        for (key, real) in machine.real.iter_mut().enumerate() {
            let mut ours = machine.settings.groups.iter().flat_map(|group| &group.resources);
            if !ours.any(|resource| resource.key.0 as usize == key) {
                (real.on, real.lease) = (false, None);
            }
        }
        machine.note_leases();
        self.sight(&Sight::Truth);
    }

    /// Gives a node the newest configuration.
    pub fn reload(&mut self, n: usize) {
        self.note_resources();
        let machine = &mut self.machines[n];
        if machine.core.is_none() || machine.settings.groups == self.settings.groups {
            return;
        }
        let settings = Settings { me: machine.name.clone(), ..self.settings.clone() };
        machine.settings = settings.clone();
        self.say(n, || "reads its configuration again".to_owned());
        self.feed(n, Item::Input(Input::Reload(Box::new(settings))));
        self.tell_ground(n);
    }

    /// The daemon is killed; what runs goes on.
    pub fn kill(&mut self, n: usize) {
        if self.machines[n].core.is_some() {
            self.say(n, || "hbd is killed".to_owned());
            self.end_process(n, false);
        }
    }

    /// Power failure: nothing runs any more.
    pub fn power_off(&mut self, n: usize) {
        if self.machines[n].off {
            return;
        }
        self.say(n, || "loses power".to_owned());
        self.end_process(n, false);
        let machine = &mut self.machines[n];
        machine.ops.clear();
        for real in &mut machine.real {
            (real.on, real.lease, real.held, real.lied) = (false, None, false, false);
            real.stray = None;
        }
        machine.next_lease = NEVER;
        machine.bites = NEVER;
        machine.off = true;
        self.sight(&Sight::Truth);
    }

    /// What a crash armed between two actions does.
    pub(super) fn crash_here(&mut self, n: usize) {
        let Some(crash) = self.machines[n].crash.take() else { return };
        if crash.power {
            self.power_off(n)
        } else {
            self.kill(n)
        }
        self.back(n, crash.back);
    }

    /// Has the daemon started again after some time.
    pub fn back(&mut self, n: usize, after: u64) {
        let life = self.machines[n].life;
        if after < NEVER {
            self.at(after, Happening::Boot { node: n, life });
        }
    }

    /// The process is gone: what it had in hand was just done, or never will be.
    pub(super) fn end_process(&mut self, n: usize, in_order: bool) {
        if self.machines[n].core.is_none() {
            return;
        }
        self.note_leaselessness(n);
        let choice = self.dice.next();
        let machine = &mut self.machines[n];
        let mut writes = std::mem::take(&mut machine.disk.writes);
        let landed = if in_order { writes.len() } else { choice as usize % (writes.len() + 1) };
        writes.truncate(landed);
        if let Some(write) = writes.pop_back().filter(|_| !machine.disk.fails) {
            machine.disk.state = write.state;
        }
        machine.core = None;
        machine.life += 1;
        let ran_until = machine.frozen.take().unwrap_or(self.now);
        machine.backlog.clear();
        machine.inbox.clear();
        machine.stalled.clear();
        machine.wake = NEVER;
        machine.crash = None;
        machine.silent_since = self.now;
        self.orphan_ops(n);
        // What it had in hand may have been a start under the kind of lease that was right when it began.
        self.machines[n].unleased |= self.has_bare_addresses(n);
        for real in &mut self.machines[n].real {
            real.held = false;
        }
        self.sight(&Sight::Died { n, ran_until });
    }

    /// Whether a daemon that ends or stops now leaves its addresses without a lease, because nobody could have taken over.
    fn note_leaselessness(&mut self, n: usize) {
        let alone = self.status(n).is_some_and(|status| {
            let heir = |node: &NodeStatus| node.state == "init" || node.state == "up" && !node.standby;
            status.maintenance || !status.nodes.iter().any(heir)
        });
        // The core may have heard of a peer in this very moment, and its next action would have been the lease.
        self.machines[n].unleased |= alone || self.has_bare_addresses(n);
    }

    /// Whether an address is set on a machine without a lease.
    fn has_bare_addresses(&self, n: usize) -> bool {
        let bare = |(real, known): (&Real, &super::Known)| known.address && real.on && real.lease.is_none();
        self.machines[n].real.iter().zip(&self.catalog).any(bare)
    }

    /// The process is stopped; the machine goes on.
    pub fn freeze(&mut self, n: usize) {
        if !self.machines[n].awake() {
            return;
        }
        self.note_leaselessness(n);
        let now = self.now;
        let machine = &mut self.machines[n];
        machine.frozen = Some(now);
        machine.silent_since = now;
        machine.freezes += 1;
        self.say(n, || "hbd is stopped (SIGSTOP)".to_owned());
        self.sight(&Sight::Slept { n });
    }

    /// The process goes on.
    pub fn thaw(&mut self, n: usize) {
        let Some(since) = self.machines[n].frozen.take() else { return };
        self.machines[n].unleased = false;
        self.say(n, || "hbd goes on (SIGCONT)".to_owned());
        self.sight(&Sight::Woke { n, slept: self.now - since });
        for serial in std::mem::take(&mut self.machines[n].stalled) {
            self.op_ends(n, serial);
        }
        let freezes = self.machines[n].freezes;
        self.at(MS, Happening::Look { node: n, freezes });
        self.feed(n, Item::Input(Input::Tick));
        while let Some(item) = self.machines[n].backlog.pop_front() {
            // A real loop takes its time.
            self.now += 1000;
            self.feed(n, item);
        }
    }

    /// Its state is lost: the file is gone, or unreadable.
    pub fn lose_state(&mut self, n: usize) {
        self.machines[n].disk.state = Durable::default();
        self.say(n, || "its state on disk is lost".to_owned());
        self.sight(&Sight::StateLost { n });
    }
}

impl World {
    /// Asks a daemon to leave in order; it is started again some time after it has ended.
    pub fn leave(&mut self, n: usize, back: u64) {
        self.machines[n].leaving = back;
        self.feed(n, Item::Input(Input::Stop));
    }

    /// The disk is not to be relied on for a while.
    pub fn disk_trouble(&mut self, n: usize) {
        self.sight(&Sight::DiskTrouble { n });
    }

    /// The operator's word, given only for a machine that is really without power.
    pub fn fence_acks(&mut self) {
        for n in 0..self.machines.len() {
            let Some(status) = self.status(n).filter(|_| self.machines[n].awake()) else { continue };
            for other in 0..self.machines.len() {
                let name = self.machines[other].name.clone();
                let asked = |sentence: &String| sentence.contains(&format!("fence-ack {name}"));
                if other != n && self.machines[other].off && status.degraded.iter().any(asked) {
                    self.sight(&Sight::Acknowledged { n, other });
                    self.command(n, cluster::Command::FenceAck { node: name });
                }
            }
        }
    }
}
