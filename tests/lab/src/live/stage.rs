//! The pair on which a plan is carried out: does what each act says, and writes down what the ledger must know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::act::{Act, NODES};
use super::disk::Disks;
use super::judge::GROUPS;
use super::model::Model;
use super::service;
use crate::command::Output;
use crate::hbd::config::address;
use crate::net::{CLIENT, Lan};
use crate::pair::{Pair, ip};
use crate::{LabError, Result};

/// No operator's command that is waited for takes longer.
const ORDER_BOUND: &str = "15s";
/// An hbd that was just started may not have its socket yet.
const FRESH: Duration = Duration::from_secs(20);
/// hbd leaves in order within this, even with agents that hang.
const LEAVE_BOUND: Duration = Duration::from_secs(60);

/// The pair and the faults in force.
#[derive(Debug)]
pub struct Stage {
    // Before the world: it must be unmounted before the world's folder goes.
    disks: Disks,
    /// The pair.
    pub pair: Arc<Pair>,
    /// The faults in force.
    pub model: Model,
    /// Nodes whose daemon, when it was last asked before it was killed or frozen, knew nobody who could take over.
    pub alone: [bool; 2],
    /// What was said of standby or maintenance may be undone by something that is still under way.
    unsure: bool,
    marked_talk: bool,
    /// When the hbd of each node was last started.
    started: [Option<Instant>; 2],
}

impl Stage {
    /// A pair that is well, with the groups of the live lab.
    ///
    /// # Errors
    /// It could not be made, or did not become well.
    pub fn new() -> Result<Stage> {
        let pair = Pair::with(|mut settings| {
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
                        Some("fencing".to_owned());
                }
            }
            settings.more += service::ALERTS;
            for node in NODES {
                settings.more +=
                    &format!("[[fence]]\nnode = \"{node}\"\nagent = \"/bin/false\"\nmonitor = \"0s\"\n");
            }
            settings
        })?
        .with_wall_clocks()?;
        let disks = Disks::new(&pair.world)?;
        for node in NODES {
            service::install(&pair.world, node)?;
            pair.settings.install(&pair.world, node)?;
        }
        let pair = Arc::new(pair);
        let (model, alone) = (Model::default(), [false; 2]);
        let mut stage =
            Stage { disks, pair, model, alone, unsure: false, marked_talk: true, started: [None; 2] };
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
        self.pair.start_echo(node)?;
        self.start(n)
    }

    fn start(&mut self, n: usize) -> Result<()> {
        self.mark("up", NODES[n])?;
        self.started[n] = Some(Instant::now());
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
    pub fn well(&mut self) {
        self.unsure = false;
        self.model.agents_misbehaved = false;
    }

    /// Does one thing; an order that is to be waited for comes back as something to be run beside the rest.
    ///
    /// # Errors
    /// It could not be done, which is the lab's fault or a violation; the sentence says which.
    pub fn act(&mut self, act: &Act) -> Result<Option<Order>> {
        self.pair.world.timeline.note(format!("== {act}"));
        let before = self.model.clone();
        self.model.apply(act);
        let away = matches!(act, Act::Pause(..) | Act::Starve(..) | Act::Hog(..));
        if away || !self.model.talk() || self.model.loss > 0 {
            self.mark_apart()?;
        }
        match act {
            Act::Kill(n) | Act::Freeze(n) | Act::Pause(n, _) | Act::Starve(n, _) if before.live(*n) => {
                self.alone[*n] = self.is_alone(*n);
            }
            _ => {}
        }
        let world = &self.pair.world;
        match act {
            Act::Kill(n) => {
                self.mark("down", NODES[*n])?;
                self.pair.crash(NODES[*n])?;
            }
            Act::Start(n) => self.start(*n)?,
            Act::Leave(n) => self.leave(*n)?,
            Act::PowerOff(n) => {
                if before.nodes[*n].frozen {
                    // Its nsenter is stopped with it, and would keep the machine from ending.
                    self.pair.crash(NODES[*n])?;
                }
                world.power_off(NODES[*n])?;
                self.mark("off", NODES[*n])?;
            }
            Act::Boot(n) => self.boot(*n)?,
            Act::Freeze(n) => self.pair.signal(NODES[*n], Signal::SIGSTOP)?,
            Act::Thaw(n) => self.pair.signal(NODES[*n], Signal::SIGCONT)?,
            Act::Pause(n, ms) => self.bursts(*n, *ms, *ms, 0)?,
            Act::Starve(n, ms) => self.bursts(*n, *ms, 250, 8)?,
            Act::Hog(n, ms) => hog(&self.pair, *n, *ms)?,
            Act::CutOneWay(..) | Act::Cut(_) | Act::CutAll | Act::CutAllOneWay(_) => {
                world.recut(self.model.cuts())?;
            }
            Act::Cable(..) | Act::Loss(_) | Act::Heal => world.recut(self.model.cuts())?,
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
            Act::Die(service) => {
                for n in (0..2).filter(|n| self.model.nodes[*n].powered) {
                    service::die(world, NODES[n], service)?;
                }
            }
            Act::AlertsHang(n) => service::hang_alerts(world, NODES[*n])?,
            Act::Behave(n) => service::behave(world, NODES[*n])?,
            Act::Clock(n, seconds) => self.pair.set_wall_clock(NODES[*n], *seconds)?,
            Act::TakeAddress => self.take_address()?,
            Act::ChangeAddress => self.change_address()?,
            Act::Flood(n) => flood(&self.pair, *n)?,
            Act::Order(n, words, waits) => return self.order(*n, words, *waits),
            Act::Wait(ms) => thread::sleep(Duration::from_millis(*ms)),
        }
        Ok(None)
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
        let code = self.pair.daemon(node, |daemon| daemon.terminate(LEAVE_BOUND))?;
        self.pair.world.timeline.note(format!("{node}: hbd left with {code}"));
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

    fn take_address(&self) -> Result<()> {
        for n in (0..2).filter(|n| self.model.nodes[*n].powered) {
            // Where it is not, there is nothing to remove.
            let vip = format!("{}/16", GROUPS[0].vip);
            self.pair.world.exec(NODES[n], &["ip", "addr", "del", &vip, "dev", "eth0"])?;
        }
        Ok(())
    }

    fn change_address(&self) -> Result<()> {
        for n in (0..2).filter(|n| self.model.nodes[*n].powered) {
            let vip = GROUPS[0].vip;
            // Where it is not, there is nothing to change.
            let script = format!(
                "ip addr del {vip}/16 dev eth0 2>/dev/null && ip addr add {vip}/24 dev eth0 valid_lft 1 preferred_lft 1"
            );
            self.pair.world.exec(NODES[n], &["sh", "-c", &script])?;
        }
        Ok(())
    }

    fn order(&mut self, n: usize, words: &[&'static str], waits: bool) -> Result<Option<Order>> {
        let about = *words.get(1).unwrap_or(&NODES[n]);
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
