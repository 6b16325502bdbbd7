//! The pair on which a plan is carried out: does what each act says, and writes down what the ledger must know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::act::{Act, NODES};
use super::disk::Disks;
use super::ground::{Ground, MEMBERS};
use super::judge::GROUPS;
use super::model::Model;
use super::outside::{self, Members, Outside};
use super::service;
use crate::command::Output;
use crate::hbd::config::address;
use crate::net::{CLIENT, Lan, World};
use crate::pair::{Pair, ip};
use crate::scenario::check;
use crate::{LabError, Result};

/// No operator's command that is waited for takes longer.
const ORDER_BOUND: &str = "15s";
/// An hbd that was just started may not have its socket yet.
const FRESH: Duration = Duration::from_secs(20);
/// hbd leaves in order within this, even with agents that hang.
const LEAVE_BOUND: Duration = Duration::from_secs(60);

/// The pair and the faults in force.
#[derive(Debug)]
pub struct Stage<'w> {
    disks: Disks,
    /// The pair.
    pub pair: Arc<Pair>,
    /// What it stands on.
    pub ground: Ground,
    outside: Outside<'w>,
    /// The faults in force.
    pub model: Model,
    /// Nodes whose daemon, when it was last asked before it was killed or frozen, knew nobody who could take over.
    pub alone: [bool; 2],
    /// Nodes on which somebody set an address: it has no end, and goes when hbd looks.
    strange: [bool; 2],
    /// Uses of the power switch before the present life of each node's hbd.
    lives: [usize; 2],
    /// What was said of standby or maintenance may be undone by something that is still under way.
    unsure: bool,
    marked_talk: bool,
    /// Since when each node sees no ping point, and its hbd runs undisturbed.
    blind: [Option<Instant>; 2],
    /// When the hbd of each node was last started.
    started: [Option<Instant>; 2],
}

/// A pair with the groups of the live lab, configured for a ground; nothing of it runs.
///
/// # Errors
/// It could not be made.
pub fn pair(ground: Ground) -> Result<Arc<Pair>> {
    let pair = Pair::beside(ground.machines(), |mut settings| {
        settings.keepalive = "200ms".to_owned();
        settings.deadtime = format!("{}ms", super::DEADTIME_MS);
        settings.initdead = "3s".to_owned();
        for (group, preferred) in GROUPS.iter().zip(NODES) {
            let mut resources = vec![address(group.vip, 16, "eth0")];
            resources.extend(group.services.iter().map(|name| service::resource(name)));
            let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
            settings = settings.group(group.name, Some(preferred), &resources);
            if !group.on_silence {
                settings.groups.last_mut().unwrap_or(&mut Default::default()).requires =
                    Some(ground.requires().to_owned());
            }
        }
        settings.more += service::ALERTS;
        ground.settle(&mut settings);
        settings
    })?;
    Ok(Arc::new(pair.with_wall_clocks()?))
}

impl<'w> Stage<'w> {
    /// Boots a pair.
    ///
    /// # Errors
    /// It could not be done.
    pub fn new(pair: Arc<Pair>, ground: Ground, outside: Outside<'w>) -> Result<Stage<'w>> {
        let disks = Disks::new(&pair.world, &NODES)?;
        for node in NODES {
            service::install(&pair.world, node)?;
            pair.settings.install(&pair.world, node)?;
        }
        let mut stage = Stage {
            disks,
            pair,
            ground,
            outside,
            model: Model::default(),
            alone: [false; 2],
            strange: [false; 2],
            lives: [0; 2],
            unsure: false,
            marked_talk: true,
            blind: [None; 2],
            started: [None; 2],
        };
        for (n, node) in NODES.iter().enumerate() {
            stage.pair.world.power_off(node)?;
            stage.boot(n)?;
        }
        Ok(stage)
    }

    fn boot(&mut self, n: usize) -> Result<()> {
        let node = NODES[n];
        self.pair.world.boot(node)?;
        self.disks.attach(&self.pair.world, node)?;
        service::attach(&self.pair.world, node)?;
        self.pair.start_echo(node)?;
        self.start(n)
    }

    fn start(&mut self, n: usize) -> Result<()> {
        self.mark("up", NODES[n])?;
        self.started[n] = Some(Instant::now());
        // What it sees it does not know yet.
        self.blind[n] = self.blind[n].map(|_| Instant::now());
        self.lives[n] = self.outside.uses().len();
        self.pair.start_again(NODES[n])
    }

    fn mark(&self, word: &str, about: &str) -> Result<()> {
        service::mark(&self.pair.world, &format!("{word} {about}"))
    }

    /// Notes that the nodes no longer hear each other for sure.
    fn mark_apart(&mut self) -> Result<()> {
        if self.marked_talk {
            self.marked_talk = false;
            self.mark("talk", "no")?;
        }
        Ok(())
    }

    /// The audit was content: what the nodes say now is so until something is done.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub fn settled(&mut self, sights: &super::judge::Sights) -> Result<()> {
        if self.model.talk() && self.model.loss == 0 && !self.marked_talk {
            self.marked_talk = true;
            self.mark("talk", "yes")?;
        }
        if self.unsure || self.model.nodes.iter().any(|node| node.disk_full) {
            return Ok(());
        }
        let said: Vec<_> = (0..2).filter_map(|n| sights.status(n)).collect();
        for status in said.iter().filter(|status| status.standby && self.model.talk()) {
            self.mark("standby", &status.node)?;
        }
        if said.len() == 2 && said.iter().all(|status| status.maintenance) && self.model.talk() {
            service::mark(&self.pair.world, "frozen")?;
        }
        Ok(())
    }

    /// All is well: nothing is under way any more.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub fn well(&mut self) -> Result<()> {
        self.unsure = false;
        self.strange = [false; 2];
        self.model.settle();
        service::mark(&self.pair.world, "well")
    }

    /// Nodes whose addresses have no end, should their daemons be dead.
    pub fn endless(&self) -> [bool; 2] {
        [0, 1].map(|n| self.alone[n] || self.strange[n])
    }

    /// Sees whom the power switch has switched off meanwhile. True if it was at work.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub fn sync(&mut self) -> Result<bool> {
        let mut off = false;
        for (n, node) in NODES.iter().enumerate() {
            if self.model.nodes[n].powered && !self.pair.world.is_up(node) {
                self.model.apply(&Act::PowerOff(n));
                self.mark_apart()?;
                off = true;
            }
        }
        Ok(off)
    }

    /// Whatever fault is in force ends: what the power switch did, too.
    ///
    /// # Errors
    /// It cannot be done.
    pub fn repair(&mut self) -> Result<()> {
        self.sync()?;
        self.model.repairs().iter().try_for_each(|act| self.act(act).map(drop))
    }

    /// The switch was used as the rules allow.
    ///
    /// # Errors
    /// It was not.
    pub fn judge_fences(&self) -> Result<()> {
        outside::judge_fences(&self.outside.uses(), self.lives, self.blind)
    }

    /// How often the power switch was used.
    pub fn fences(&self) -> usize {
        self.outside.uses().len()
    }

    /// Does one thing; an order that is to be waited for comes back as something to be run beside the rest.
    ///
    /// # Errors
    /// It could not be done, which is the lab's fault or a violation; the sentence says which.
    pub fn act(&mut self, act: &Act) -> Result<Option<Order>> {
        self.pair.world.timeline.note(format!("== {act}"));
        self.sync()?;
        if self.ground.fences() && !self.model.allows(act) {
            self.pair.world.timeline.note("not any more: the power switch was at work".to_owned());
            return Ok(None);
        }
        let done = self.carry_out(act);
        // The switch may take a node away at any moment; what then fails does not matter.
        let gone = act.node().is_some_and(|n| !self.pair.world.is_up(NODES[n]));
        if done.is_err() && self.ground.fences() && gone { self.sync().map(|_| None) } else { done }
    }

    fn carry_out(&mut self, act: &Act) -> Result<Option<Order>> {
        let before = self.model.clone();
        self.model.apply(act);
        self.mark_before(act, &before)?;
        let world = &self.pair.world;
        match act {
            Act::Kill(n) => {
                self.mark("down", NODES[*n])?;
                self.pair.crash(NODES[*n])?;
            }
            Act::Start(n) => self.start(*n)?,
            Act::Leave(n) => self.leave(*n)?,
            Act::PowerOff(n) => {
                self.pair.power_off(NODES[*n])?;
                self.mark("off", NODES[*n])?;
            }
            Act::Boot(n) => self.boot(*n)?,
            Act::Mend(n) => self.mend(*n, &before)?,
            Act::Freeze(n) => self.pair.signal(NODES[*n], Signal::SIGSTOP)?,
            Act::Thaw(n) => self.thaw(*n)?,
            Act::Pause(n, ms) => self.bursts(*n, *ms, *ms, 0)?,
            Act::Starve(n, ms) => self.bursts(*n, *ms, 250, 8)?,
            Act::Hog(n, ms) => hog(&self.pair, *n, *ms)?,
            Act::CutOneWay(..) | Act::Cut(_) | Act::CutAll | Act::CutAllOneWay(_) | Act::Cable(..) => {
                world.recut(self.model.cuts())?;
            }
            Act::CutOutside(..) | Act::CutMachine(_) | Act::Loss(_) | Act::Heal => {
                world.recut(self.model.cuts())?;
            }
            Act::Unplug(n, lan) => world.unplug(NODES[*n], *lan)?,
            Act::Plug(n, lan) => world.plug(NODES[*n], *lan)?,
            Act::FillDisk(n) => {
                self.mark("forget", NODES[*n])?;
                self.disks.fill(NODES[*n])?;
            }
            Act::FreeDisk(n) => {
                self.unsure = true;
                self.disks.free(NODES[*n]);
            }
            Act::Tear(n, percent) => {
                self.unsure = true;
                self.mark("forget", NODES[*n])?;
                self.disks.tear(NODES[*n], *percent)?;
            }
            Act::Mood(n, service, op, mood) => service::mood(world, NODES[*n], service, op, *mood)?,
            Act::Die(service) => self.on_each(|world, node| service::die(world, node, service))?,
            Act::AlertsHang(n) => service::hang_alerts(world, NODES[*n])?,
            Act::Behave(n) => service::behave(world, NODES[*n])?,
            Act::Clock(n, seconds) => self.pair.set_wall_clock(NODES[*n], *seconds)?,
            Act::TakeAddress => self.on_each(outside::take_address)?,
            Act::ChangeAddress => self.on_each(outside::change_address)?,
            Act::SetAddress(n) => {
                outside::set_address(world, NODES[*n])?;
                self.strange[*n] = true;
            }
            Act::Twin | Act::NoTwin => outside::twin(world, self.model.twin)?,
            Act::Switch(n, mood) => self.outside.set_switch(NODES[*n], *mood)?,
            Act::SwitchBroken(broken) => crate::power::set_broken(world, *broken)?,
            Act::KillMembers(members) => self.outside.members(members, Members::Killed)?,
            Act::StopMembers(members) => self.outside.members(members, Members::Stopped)?,
            Act::MendMembers(members) => {
                for member in MEMBERS.iter().filter(|member| members.contains(member)) {
                    self.outside.members(&[member], before.mends(member))?;
                }
            }
            Act::Flood(n) => flood(&self.pair, *n)?,
            Act::Order(n, words, waits) => return self.order(*n, words, *waits),
            Act::Wait(ms) => thread::sleep(Duration::from_millis(*ms)),
        }
        Ok(None)
    }

    /// What the ledger must know before it is done.
    fn mark_before(&mut self, act: &Act, before: &Model) -> Result<()> {
        let away = matches!(act, Act::Pause(..) | Act::Starve(..) | Act::Hog(..));
        if away || !self.model.talk() || self.model.loss > 0 {
            self.mark_apart()?;
        }
        match act {
            Act::Kill(n) | Act::Freeze(n) | Act::Pause(n, _) | Act::Starve(n, _) if before.live(*n) => {
                self.alone[*n] = self.is_alone(*n);
                if !act.moves_nothing() {
                    self.mark("mute", NODES[*n])?;
                }
            }
            _ => {}
        }
        self.mark_blind()
    }

    /// Notes who sees no ping point from now on, or sees one again.
    fn mark_blind(&mut self) -> Result<()> {
        for n in (0..2).filter(|_| self.ground.points()) {
            let blind = self.model.points(n) == 0;
            if blind != self.blind[n].is_some() {
                self.blind[n] = blind.then(Instant::now);
                self.mark(if blind { "blind" } else { "sees" }, NODES[n])?;
            }
        }
        Ok(())
    }

    /// Whatever keeps hbd from running on the node ends.
    fn mend(&mut self, n: usize, before: &Model) -> Result<()> {
        let was = &before.nodes[n];
        match (was.powered, was.daemon, was.frozen) {
            (false, ..) => self.boot(n),
            (_, false, _) => self.start(n),
            (.., true) => self.thaw(n),
            _ => Ok(()),
        }
    }

    fn thaw(&mut self, n: usize) -> Result<()> {
        self.blind[n] = self.blind[n].map(|_| Instant::now());
        self.pair.signal(NODES[n], Signal::SIGCONT)
    }

    fn on_each(&self, work: impl Fn(&World, &str) -> Result<()>) -> Result<()> {
        let world = &self.pair.world;
        for node in (0..2).filter(|n| self.model.nodes[*n].powered).map(|n| NODES[n]) {
            let done = work(world, node);
            if world.is_up(node) {
                done?;
            }
        }
        Ok(())
    }

    /// True if a node says that nobody could take over from it, so that its addresses have no end.
    fn is_alone(&self, n: usize) -> bool {
        self.pair.status(NODES[n]).is_none_or(|status| {
            let peer = status.peer(NODES[1 - n]);
            status.maintenance
                || !peer.is_some_and(|p| p.state == "up" && !p.standby)
                || self.model.agents_misbehaved
        })
    }

    fn leave(&mut self, n: usize) -> Result<()> {
        let node = NODES[n];
        self.alone[n] = true;
        self.mark("down", node)?;
        self.mark("ordered", node)?;
        self.pair.signal(node, Signal::SIGTERM)?;
        let begin = Instant::now();
        // Not held for all that time: the power switch may need it.
        while self.pair.daemon(node, |daemon| daemon.process().wait(Duration::from_millis(20)))?.is_none() {
            check(begin.elapsed() < LEAVE_BOUND, || {
                format!("hbd on {node} did not end within {LEAVE_BOUND:?}")
            })?;
            thread::sleep(Duration::from_millis(20));
        }
        self.pair.world.timeline.note(format!("{node}: hbd left"));
        Ok(())
    }

    /// SIGSTOP for `off` ms and SIGCONT for `on` ms, again and again for `total` ms.
    fn bursts(&self, n: usize, total: u64, off: u64, on: u64) -> Result<()> {
        for _ in 0..total.div_ceil(off + on).max(1) {
            for (signal, ms) in [(Signal::SIGSTOP, off), (Signal::SIGCONT, on)] {
                self.pair.daemon(NODES[n], |daemon| {
                    daemon.process().signal(signal);
                    Ok(())
                })?;
                thread::sleep(Duration::from_millis(ms));
            }
        }
        Ok(())
    }

    fn order(&mut self, n: usize, words: &[&'static str], waits: bool) -> Result<Option<Order>> {
        let about = *words.get(1).unwrap_or(&NODES[n]);
        self.mark("ordered", NODES[n])?;
        match words[0] {
            "online" => {
                self.unsure = true;
                self.mark("online", about)?;
            }
            "maintenance" if about == "off" => {
                self.unsure = true;
                service::mark(&self.pair.world, "unfrozen")?;
            }
            "fence-ack" => self.mark("ack", about)?,
            _ => {}
        }
        let fresh = self.started[n].is_some_and(|at| at.elapsed() < FRESH);
        let order = Order { node: NODES[n], words: words.to_vec(), waits, fresh };
        if waits {
            return Ok(Some(order));
        }
        order.judged(&self.pair, true)?;
        Ok(None)
    }
}

/// An operator's command.
#[derive(Debug, Clone)]
pub struct Order {
    node: &'static str,
    words: Vec<&'static str>,
    waits: bool,
    /// Its hbd was just started.
    fresh: bool,
}

impl Order {
    /// Gives it, and judges its end (L7): a result or a reason, in bounded time. `calm`: nothing hits the node meanwhile.
    ///
    /// # Errors
    /// It ended otherwise.
    pub fn judged(&self, pair: &Pair, calm: bool) -> Result<()> {
        let mut line = vec!["--timeout", ORDER_BOUND];
        if !self.waits {
            line.push("--no-wait");
        }
        line.extend(&self.words);
        let said = pair.hbctl(self.node, &line);
        let good = |output: &Output| match output.code {
            0 => true,
            1 => !output.stderr.trim().is_empty(),
            3 => self.fresh && !output.stderr.trim().is_empty(),
            _ => false,
        };
        match said {
            Ok(output) if good(&output) => Ok(()),
            // Its machine or its daemon went under it; a command may end in any way then.
            Ok(output) if !calm && output.code != 2 => Ok(()),
            Err(_) if !calm => Ok(()),
            Ok(output) => Err(LabError(format!("L7: no result and no reason: {output:?}"))),
            Err(e) => Err(LabError(format!("L7: {e}"))),
        }
    }
}

fn hog(pair: &Pair, n: usize, ms: u64) -> Result<()> {
    let seconds = format!("{}.{:03}", ms / 1000, ms % 1000);
    let words = ["timeout", "-s", "KILL", &seconds, "sh", "-c", "while :; do :; done"];
    let mut all = [pair.world.spawn(NODES[n], "hog", &words)?, pair.world.spawn(NODES[n], "hog", &words)?];
    for process in &mut all {
        process.wait(Duration::from_millis(ms) + LEAVE_BOUND)?;
    }
    Ok(())
}

/// From the client, who is no member: to the port of the unicast link.
fn flood(pair: &Pair, n: usize) -> Result<()> {
    let program = crate::net::space::lab_program()?.display().to_string();
    let target = SocketAddr::from((pair.world.machine(NODES[n])?.ipv4(Lan::Service), 694)).to_string();
    pair.world.must(CLIENT, &[&program, "flood", "--count", "2000", &target]).map(drop)
}

/// The addresses a client asks.
pub fn asked() -> Vec<std::net::IpAddr> {
    GROUPS.iter().map(|group| ip(group.vip)).take(1).collect()
}
