//! A machine: its power, its processes, its resources, and a kernel that keeps leases.

use super::*;

impl World {
    /// The daemon is killed; what runs goes on.
    pub fn kill(&mut self, n: usize) {
        self.say(n, "hbd is killed");
        self.end_process(n, false);
    }

    /// Power failure: nothing runs any more.
    pub fn power_off(&mut self, n: usize) {
        self.say(n, "loses power");
        self.end_process(n, false);
        self.nodes[n].running.clear();
        self.nodes[n].leases.clear();
        self.nodes[n].off = true;
        self.nodes[n].petted = None;
    }

    /// The process is gone: what it had in hand was just done, or never will be.
    pub(super) fn end_process(&mut self, n: usize, in_order: bool) {
        let gone: Vec<(Time, u64)> = self
            .queue
            .iter()
            .filter(|(_, happening)| happening.within() == Some(n))
            .map(|(at, _)| *at)
            .collect();
        for at in gone {
            let done = in_order || self.throw(2) == 0;
            match self.queue.remove(&at) {
                Some(Happening::Written { state, .. }) if done && !self.nodes[n].disk_fails => {
                    self.nodes[n].disk = state;
                }
                Some(Happening::Ends { run, .. }) if done => {
                    self.carry_out(n, &run);
                }
                _ => {}
            }
        }
        let node = &mut self.nodes[n];
        node.core = None;
        node.life += 1;
        node.frozen = false;
        node.backlog.clear();
        node.stalled.clear();
        node.inbox.clear();
        node.held.clear();
    }

    /// The fence device of a node is used.
    pub(super) fn use_device(&mut self, target: usize) -> FenceOutcome {
        let device = self.devices.get(&target).copied().unwrap_or(Device::Works);
        if matches!(device, Device::Works | Device::WorksUnsaid) {
            self.power_off(target);
        }
        match device {
            Device::Works | Device::Lies => FenceOutcome::Confirmed { by: "device".to_owned() },
            Device::Fails | Device::WorksUnsaid => FenceOutcome::Failed("timed out".to_owned()),
        }
    }

    pub fn freeze(&mut self, n: usize) {
        self.nodes[n].frozen = true;
        self.say(n, "is frozen");
    }

    pub fn thaw(&mut self, n: usize) {
        if !std::mem::take(&mut self.nodes[n].frozen) {
            return;
        }
        self.say(n, "is thawed");
        for (begun, run) in std::mem::take(&mut self.nodes[n].stalled) {
            self.op_ends(n, begun, run);
        }
        self.input(n, Input::Tick);
        while let Some(input) = self.nodes[n].backlog.pop_front() {
            // A real loop takes its time.
            self.now = self.now + Duration::from_nanos(1000);
            self.input(n, input);
        }
    }

    pub fn mood(&mut self, n: usize, resource: &str, mood: Mood) {
        self.nodes[n].moods.insert(resource.to_owned(), mood);
    }

    fn mood_of(&self, n: usize, name: &str) -> Mood {
        let mood = self.nodes[n].moods.get(name);
        mood.copied().unwrap_or(Mood::Good)
    }

    pub fn resource_name(&self, key: ResourceKey) -> String {
        self.catalog.get(&key).map(|r| r.name.clone()).unwrap_or_else(|| format!("key{}", key.0))
    }

    fn is_address(&self, key: ResourceKey) -> bool {
        self.catalog.get(&key).is_some_and(|r| r.address)
    }

    pub(super) fn begin(&mut self, n: usize, run: Run) {
        let names: Vec<String> = run.resources.iter().map(|key| self.resource_name(*key)).collect();
        self.say(n, &format!("{:?} {}", run.op, names.join(" ")));
        let hangs = names.iter().any(|name| match self.mood_of(n, name) {
            Mood::Hangs => true,
            Mood::HangsWhenLookedAt => run.op == OpKind::Status,
            _ => false,
        });
        let time = if hangs { run.timeout } else { self.op_time };
        let (node, begun) = (n, self.now);
        self.at(time, Happening::Ends { node, begun, run });
    }

    pub(super) fn op_ends(&mut self, n: usize, begun: Time, run: Run) {
        // Agents are processes of their own; addresses are set by the daemon itself.
        let own_work = run.resources.iter().all(|key| self.is_address(*key));
        if self.nodes[n].frozen && own_work {
            self.nodes[n].stalled.push((begun, run));
            return;
        }
        let late = own_work && self.now.since(begun) > run.timeout && run.op == OpKind::Start;
        let results =
            if late { vec![OpResult::TimedOut; run.resources.len()] } else { self.carry_out(n, &run) };
        let id = run.id;
        self.input(n, Input::OpDone { id, results });
    }

    /// An agent at work is ended, if it has not ended by itself.
    pub(super) fn cancel(&mut self, n: usize, id: OpId) {
        let this = |happening: &Happening| matches!(happening, Happening::Ends { node, run, .. } if *node == n && run.id == id);
        let at = self.queue.iter().find(|(_, happening)| this(happening)).map(|(at, _)| *at);
        if let Some(Happening::Ends { run, .. }) = at.and_then(|at| self.queue.remove(&at)) {
            self.say(n, &format!("agent {} is ended", id.0));
            let results = vec![OpResult::Failed("ended".to_owned()); run.resources.len()];
            self.input(n, Input::OpDone { id, results });
        }
    }

    /// A resource dies by itself.
    pub fn dies(&mut self, n: usize, resource: &str) {
        self.say(n, &format!("{resource} dies"));
        self.nodes[n].running.remove(resource);
    }

    fn carry_out(&mut self, n: usize, run: &Run) -> Vec<OpResult> {
        let each = run.resources.iter();
        let results = each.map(|key| self.do_op(n, *key, run)).collect();
        self.audit();
        results
    }

    fn do_op(&mut self, n: usize, key: ResourceKey, run: &Run) -> OpResult {
        let name = self.resource_name(key);
        let mood = self.mood_of(n, &name);
        let all_the_same = self.half_done && self.throw(2) == 0;
        let lease = self.is_address(key).then(|| run.leased.then(|| self.now + LEASE));
        let node = &mut self.nodes[n];
        let good = match (run.op, mood) {
            (OpKind::Status, Mood::Hangs | Mood::HangsWhenLookedAt) => return OpResult::TimedOut,
            (OpKind::Status, Mood::Hopeless) if node.running.contains(&name) => {
                return OpResult::Hopeless("not installed".to_owned());
            }
            (OpKind::Status, Mood::Misconfigured) if node.running.contains(&name) => {
                return OpResult::Misconfigured("not configured".to_owned());
            }
            (OpKind::Status, _) if node.running.contains(&name) => {
                node.held.extend(lease.map(|_| name));
                return OpResult::Running;
            }
            (OpKind::Status, _) => {
                node.held.remove(&name);
                return OpResult::NotRunning;
            }
            (_, Mood::Hangs) => false,
            (OpKind::Start, mood) => !matches!(mood, Mood::FailsStart | Mood::Hopeless | Mood::Misconfigured),
            (OpKind::Stop, mood) => mood != Mood::FailsStop,
        };
        if run.op == OpKind::Stop {
            node.held.remove(&name);
        }
        if good || all_the_same {
            node.leases.remove(&name);
            if run.op == OpKind::Stop {
                node.running.remove(&name);
            } else {
                node.running.insert(name.clone());
                if let Some(lease) = lease {
                    node.leases.extend(lease.map(|end| (name.clone(), end)));
                    node.held.insert(name);
                }
            }
        }
        match (good, mood) {
            (true, _) => OpResult::Ok,
            (false, Mood::Hangs) => OpResult::TimedOut,
            (false, Mood::Hopeless) => OpResult::Hopeless("not installed".to_owned()),
            (false, Mood::Misconfigured) => OpResult::Misconfigured("not configured".to_owned()),
            (false, _) => OpResult::Failed("told to fail".to_owned()),
        }
    }

    /// Renews what the daemon holds of these groups, putting back what is missing.
    pub(super) fn lease(&mut self, n: usize, groups: &[proto::GroupId], leased: bool) {
        let end = leased.then(|| self.now + LEASE);
        let node = &mut self.nodes[n];
        let of = |group: &&GroupSettings| groups.contains(&proto::GroupId::of(&group.name));
        for resource in node.groups.iter().filter(of).flat_map(|g| &g.resources) {
            if !node.held.contains(&resource.name) {
                continue;
            }
            node.running.insert(resource.name.clone());
            match end {
                Some(end) => node.leases.insert(resource.name.clone(), end),
                None => node.leases.remove(&resource.name),
            };
        }
        self.audit();
    }

    /// The kernel takes away what nobody renewed.
    pub(super) fn end_leases(&mut self) {
        for n in 0..self.nodes.len() {
            let ended: Vec<String> = self.nodes[n]
                .leases
                .iter()
                .filter(|(_, end)| **end <= self.now)
                .map(|(name, _)| name.clone())
                .collect();
            for name in ended {
                self.nodes[n].leases.remove(&name);
                self.nodes[n].running.remove(&name);
                self.say(n, &format!("kernel takes {name} away"));
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
}
