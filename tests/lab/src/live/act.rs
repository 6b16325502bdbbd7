//! What can be done to the pair: faults, repairs, orders.

use std::fmt;

use super::ground::STRANGER;
use crate::net::Lan;
use crate::power;

/// The nodes, by number.
pub const NODES: [&str; 2] = ["a", "b"];

/// The services of the pair, in the order of their resources.
pub const SERVICES: [&str; 3] = ["web", "db", "data"];

/// The one whose agent is of the class OCF.
pub const OCF: &str = "db";

/// How a service's agent misbehaves in one of its operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It says that it failed, and did nothing.
    Fails,
    /// It never ends.
    Hangs,
    /// It says that all is well, and did nothing.
    Lies,
    /// It takes a second.
    Slow,
    /// It leaves a process behind that keeps its output open.
    Forks,
    /// It never ends, and does not hear TERM.
    Deaf,
    /// It writes megabytes before it does its work.
    Floods,
    /// It does nothing and ends with this code, which an OCF agent may.
    Code(u8),
    /// It is killed by a signal before it does anything.
    Dies,
}

/// One thing done; nodes are numbers into [`NODES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// SIGKILL to hbd.
    Kill(usize),
    /// hbd is started.
    Start(usize),
    /// SIGTERM to hbd: it leaves in order.
    Leave(usize),
    /// The machine loses its power.
    PowerOff(usize),
    /// The machine boots, and hbd with it.
    Boot(usize),
    /// SIGSTOP to hbd, until it is thawed.
    Freeze(usize),
    /// SIGCONT.
    Thaw(usize),
    /// SIGSTOP, and SIGCONT after these milliseconds.
    Pause(usize, u64),
    /// hbd gets the processor now and then only, for these milliseconds.
    Starve(usize, u64),
    /// Busy processes on the node for these milliseconds.
    Hog(usize, u64),
    /// Nothing gets from this node to the other one on this LAN.
    CutOneWay(usize, Lan),
    /// Nothing passes between the nodes on this LAN.
    Cut(Lan),
    /// Nothing passes between the nodes at all.
    CutAll,
    /// Nothing gets from this node to the other one at all.
    CutAllOneWay(usize),
    /// The node's cable to this LAN is dead: nobody is reached by it.
    Cable(usize, Lan),
    /// This part (percent) of all packets between the nodes is lost.
    Loss(u8),
    /// The node's plug is pulled out of this LAN: it sees its carrier go.
    Unplug(usize, Lan),
    /// It is put back.
    Plug(usize, Lan),
    /// Nothing passes between this node and these machines, which are no nodes.
    CutOutside(usize, &'static [&'static str]),
    /// Nothing passes between either node and this machine, which is no node.
    CutMachine(&'static str),
    /// All cables are whole again.
    Heal,
    /// The disk with hbd's state is full.
    FillDisk(usize),
    /// It has room again.
    FreeDisk(usize),
    /// The state files are cut off after this part (percent); only while hbd does not run.
    Tear(usize, u64),
    /// A service's operation on a node goes wrong from now on.
    Mood(usize, &'static str, &'static str, Mood),
    /// A service dies on whatever node it runs.
    Die(&'static str),
    /// The program that is told of alerts on the node never ends from now on.
    AlertsHang(usize),
    /// All services of the node behave again, and what is told of alerts.
    Behave(usize),
    /// The node's wall clock is set wrong by these seconds.
    Clock(usize, i64),
    /// Somebody removes the address by hand, wherever it is.
    TakeAddress,
    /// Somebody changes its prefix by hand, where it is; it lives for a second, lest it outlive a daemon that is dead.
    ChangeAddress,
    /// Somebody sets the address by hand on a node, if it is not there.
    SetAddress(usize),
    /// A machine that is no node sets the address, and says so by ARP.
    Twin,
    /// It has it no more.
    NoTwin,
    /// The power switch answers like this from now on when it is to switch the node off.
    Switch(usize, power::Mood),
    /// The way to the power switch is broken, as its monitor sees it; or it is mended.
    SwitchBroken(bool),
    /// Whatever keeps hbd from running on the node ends: the switch may have been at work.
    Mend(usize),
    /// These members of the etcd are killed.
    KillMembers(&'static [&'static str]),
    /// These members of the etcd are stopped by SIGSTOP.
    StopMembers(&'static [&'static str]),
    /// These members of the etcd run again.
    MendMembers(&'static [&'static str]),
    /// Garbage arrives on the heartbeat port.
    Flood(usize),
    /// An operator's command on a node; true: it is waited for.
    Order(usize, Vec<&'static str>, bool),
    /// Nothing, for these milliseconds.
    Wait(u64),
}

impl Act {
    /// The word it is counted under.
    pub fn kind(&self) -> &'static str {
        match self {
            Act::Kill(_) => "hbd killed",
            Act::Start(_) => "hbd started",
            Act::Leave(_) => "hbd told to leave",
            Act::PowerOff(_) => "power failure",
            Act::Boot(_) => "boot",
            Act::Freeze(_) => "frozen until thawed",
            Act::Thaw(_) => "thawed",
            Act::Pause(_, ms) if *ms < super::DEADTIME_MS => "pause shorter than deadtime",
            Act::Pause(..) => "pause longer than deadtime",
            Act::Starve(..) => "starved in bursts",
            Act::Hog(..) => "busy processor",
            Act::CutOneWay(..) => "one link cut one way",
            Act::Cut(_) => "one link cut",
            Act::CutAll => "all links cut",
            Act::CutAllOneWay(_) => "all links cut one way",
            Act::Cable(..) => "cable dead",
            Act::Loss(_) => "packets lost",
            Act::Unplug(..) => "plug pulled",
            Act::Plug(..) => "plug put back",
            Act::CutOutside(_, [_]) => "cut from one machine outside",
            Act::CutOutside(..) => "cut from all outside",
            Act::CutMachine(_) => "machine outside cut off",
            Act::Heal => "heal",
            Act::FillDisk(_) => "disk full",
            Act::FreeDisk(_) => "disk has room",
            Act::Tear(..) => "state files torn",
            Act::Mood(_, _, _, Mood::Fails) => "agent fails",
            Act::Mood(_, _, _, Mood::Hangs) => "agent hangs",
            Act::Mood(_, _, _, Mood::Lies) => "agent lies",
            Act::Mood(_, _, _, Mood::Slow) => "agent slow",
            Act::Mood(_, _, _, Mood::Forks) => "agent forks",
            Act::Mood(_, _, _, Mood::Deaf) => "agent deaf",
            Act::Mood(_, _, _, Mood::Floods) => "agent floods",
            Act::Mood(_, _, _, Mood::Code(_)) => "agent ends with an odd code",
            Act::Mood(_, _, _, Mood::Dies) => "agent killed by a signal",
            Act::AlertsHang(_) => "alerts hang",
            Act::Die(_) => "service dies",
            Act::Behave(_) => "agents behave",
            Act::Clock(..) => "wall clock set",
            Act::TakeAddress => "address removed by hand",
            Act::ChangeAddress => "address changed by hand",
            Act::SetAddress(_) => "address set by hand",
            Act::Twin => "address on another machine",
            Act::NoTwin => "address there no more",
            Act::Switch(_, power::Mood::Works) => "switch works",
            Act::Switch(_, power::Mood::Fails) => "switch fails",
            Act::Switch(_, power::Mood::Hangs) => "switch hangs",
            Act::Switch(_, power::Mood::Denies) => "switch cuts and denies it",
            Act::Switch(_, power::Mood::Lies) => "switch lies",
            Act::SwitchBroken(true) => "switch not reached",
            Act::SwitchBroken(false) => "switch reached again",
            Act::Mend(_) => "node mended",
            Act::KillMembers([_]) => "a member of etcd killed",
            Act::KillMembers(_) => "all of etcd killed",
            Act::StopMembers([_]) => "a member of etcd stopped",
            Act::StopMembers(_) => "all of etcd stopped",
            Act::MendMembers(_) => "etcd mended",
            Act::Flood(_) => "garbage",
            Act::Order(_, words, _) => match words.first() {
                Some(&"standby") => "order: standby",
                Some(&"online") => "order: online",
                Some(&"move") => "order: move",
                Some(&"takeover") => "order: takeover",
                Some(&"failback") => "order: failback",
                Some(&"maintenance") => "order: maintenance",
                Some(&"cleanup") => "order: cleanup",
                Some(&"fence-ack") => "order: fence-ack",
                _ => "order: reload",
            },
            Act::Wait(_) => "wait",
        }
    }

    /// True if it may move nothing on a pair that is well (L5, S9, S10, S14).
    pub fn moves_nothing(&self) -> bool {
        match self {
            Act::CutOneWay(..) | Act::Cut(_) | Act::Heal | Act::Clock(..) | Act::Flood(_) => true,
            Act::FillDisk(_) | Act::FreeDisk(_) | Act::AlertsHang(_) | Act::Wait(_) | Act::Hog(..) => true,
            Act::Unplug(_, lan) | Act::Plug(_, lan) => *lan == Lan::Heartbeat,
            Act::CutOutside(..) | Act::CutMachine(_) | Act::Switch(..) | Act::SwitchBroken(_) => true,
            Act::KillMembers(_) | Act::StopMembers(_) | Act::MendMembers(_) => true,
            Act::Pause(_, ms) => *ms <= super::DEADTIME_MS / 3,
            Act::Order(_, words, _) => words == &["reload"],
            _ => self.is_about_an_address(),
        }
    }

    /// True if, where it moves nothing, it may cost the client nothing either.
    pub fn costs_nothing(&self) -> bool {
        self.moves_nothing() && !self.is_about_an_address()
    }

    /// A stranger's hand on the address: it is put right, which takes up to a second.
    fn is_about_an_address(&self) -> bool {
        matches!(self, Act::TakeAddress | Act::ChangeAddress | Act::SetAddress(_) | Act::Twin | Act::NoTwin)
    }

    /// The node it is done to, where it is one.
    pub fn node(&self) -> Option<usize> {
        match self {
            Act::Kill(n) | Act::Start(n) | Act::Leave(n) | Act::PowerOff(n) | Act::Boot(n) => Some(*n),
            Act::Freeze(n) | Act::Thaw(n) | Act::Pause(n, _) | Act::Starve(n, _) | Act::Hog(n, _) => Some(*n),
            Act::Unplug(n, _) | Act::Plug(n, _) | Act::FillDisk(n) | Act::FreeDisk(n) => Some(*n),
            Act::Tear(n, _) | Act::Mood(n, ..) | Act::AlertsHang(n) | Act::Behave(n) => Some(*n),
            Act::Clock(n, _) | Act::SetAddress(n) | Act::Flood(n) | Act::Order(n, ..) => Some(*n),
            Act::Mend(n) => Some(*n),
            _ => None,
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = |n: &usize| NODES[*n];
        let other = |n: &usize| NODES[1 - *n];
        match self {
            Act::Kill(n) => write!(f, "kill -9 hbd on {}", node(n)),
            Act::Start(n) => write!(f, "start hbd on {}", node(n)),
            Act::Leave(n) => write!(f, "SIGTERM to hbd on {}", node(n)),
            Act::PowerOff(n) => write!(f, "power failure of {}", node(n)),
            Act::Boot(n) => write!(f, "boot {}", node(n)),
            Act::Freeze(n) => write!(f, "SIGSTOP hbd on {}", node(n)),
            Act::Thaw(n) => write!(f, "SIGCONT hbd on {}", node(n)),
            Act::Pause(n, ms) => write!(f, "pause hbd on {} for {ms} ms", node(n)),
            Act::Starve(n, ms) => write!(f, "starve hbd on {} for {ms} ms", node(n)),
            Act::Hog(n, ms) => write!(f, "busy processes on {} for {ms} ms", node(n)),
            Act::CutOneWay(n, lan) => write!(f, "cut {} -> {} on {}", node(n), other(n), lan.interface()),
            Act::Cut(lan) => write!(f, "cut a <-> b on {}", lan.interface()),
            Act::CutAll => write!(f, "cut a <-> b on all links"),
            Act::CutAllOneWay(n) => write!(f, "cut {} -> {} on all links", node(n), other(n)),
            Act::Cable(n, lan) => write!(f, "cable {} of {} is dead", lan.interface(), node(n)),
            Act::Loss(percent) => write!(f, "{percent} % of the packets between a and b are lost"),
            Act::Unplug(n, lan) => write!(f, "{} of {} is unplugged", lan.interface(), node(n)),
            Act::Plug(n, lan) => write!(f, "{} of {} is plugged in", lan.interface(), node(n)),
            Act::CutOutside(n, machines) => write!(f, "cut {} <-> {}", node(n), machines.join(" ")),
            Act::CutMachine(machine) => write!(f, "cut a, b <-> {machine}"),
            Act::Heal => write!(f, "heal all links"),
            Act::FillDisk(n) => write!(f, "fill the state disk of {}", node(n)),
            Act::FreeDisk(n) => write!(f, "free the state disk of {}", node(n)),
            Act::Tear(n, percent) => write!(f, "state files of {} torn at {percent} %", node(n)),
            Act::Mood(n, service, op, mood) => write!(f, "{op} of {service} on {} {mood:?}", node(n)),
            Act::Die(service) => write!(f, "{service} dies where it runs"),
            Act::AlertsHang(n) => write!(f, "what is told of alerts on {} hangs", node(n)),
            Act::Behave(n) => write!(f, "all services of {} behave", node(n)),
            Act::Clock(n, seconds) => write!(f, "wall clock of {} wrong by {seconds} s", node(n)),
            Act::TakeAddress => write!(f, "the address is removed by hand"),
            Act::ChangeAddress => write!(f, "the prefix of the address is changed by hand"),
            Act::SetAddress(n) => write!(f, "the address is set on {} by hand", node(n)),
            Act::Twin => write!(f, "{STRANGER} takes the address too"),
            Act::NoTwin => write!(f, "{STRANGER} gives it up"),
            Act::Switch(n, mood) => write!(f, "the power switch, asked for {}: {mood:?}", node(n)),
            Act::SwitchBroken(true) => write!(f, "the power switch cannot be reached"),
            Act::SwitchBroken(false) => write!(f, "the power switch can be reached"),
            Act::Mend(n) => write!(f, "hbd runs on {} again, if it did not", node(n)),
            Act::KillMembers(members) => write!(f, "kill -9 etcd on {}", members.join(" ")),
            Act::StopMembers(members) => write!(f, "SIGSTOP etcd on {}", members.join(" ")),
            Act::MendMembers(members) => write!(f, "etcd runs on {} again", members.join(" ")),
            Act::Flood(n) => write!(f, "garbage to the heartbeat port of {}", node(n)),
            Act::Order(n, words, waits) => {
                let wait = if *waits { "" } else { " --no-wait" };
                write!(f, "on {}: hbctl {}{wait}", node(n), words.join(" "))
            }
            Act::Wait(ms) => write!(f, "wait {ms} ms"),
        }
    }
}
