//! What is explored: what may go wrong in one history, and how long it is.

use std::fmt;
use std::time::Duration;

use cluster::Requires;

/// What may go wrong in one history, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Datagrams lost.
    pub losses: u8,
    /// Deaths of a node.
    pub deaths: u8,
    /// Operations that fail.
    pub failures: u8,
    /// Orders to move the group to the other node, or to go on standby.
    pub orders: u8,
    /// Requests to the witness or to a fence device that are not answered, whether they are done or not.
    pub silences: u8,
}

/// What is explored.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The budget.
    pub budget: Budget,
    /// Length of a history.
    pub time: Duration,
    /// What the group requires.
    pub requires: Requires,
    /// There is a fence device for each node.
    pub fence: bool,
    /// From a pair that runs and has the group on its first node; else from two machines that are switched on.
    pub settled: bool,
    /// A dead node is started again only when nothing is under way: booting takes longer than a datagram.
    pub slow: bool,
    /// States after which it is given up.
    pub most: usize,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = if self.settled { "a pair that runs" } else { "power on" };
        let requires = format!("{:?}", self.requires).to_lowercase();
        write!(f, "requires {requires}, from {from}, {:?}", self.time)?;
        let Budget { losses, deaths, failures, orders, silences } = self.budget;
        let figures = [
            (losses, "lost"),
            (deaths, "dead"),
            (failures, "failed"),
            (orders, "ordered"),
            (silences, "unanswered"),
        ];
        for (figure, name) in figures.into_iter().filter(|(figure, _)| *figure > 0) {
            write!(f, ", {figure} {name}")?;
        }
        f.write_str(if self.fence { ", fence devices" } else { "" })?;
        f.write_str(if self.slow { ", slow to boot" } else { "" })
    }
}

fn one(settled: bool, requires: Requires, budget: (u8, u8, u8, u8), ms: u64) -> Bounds {
    let (losses, deaths, failures, orders) = budget;
    let budget = Budget { losses, deaths, failures, orders, silences: 0 };
    Bounds {
        budget,
        time: Duration::from_millis(ms),
        requires,
        fence: false,
        settled,
        slow: false,
        most: 20_000_000,
    }
}

/// With fence devices, where so many requests are not answered.
fn fenced(bounds: Bounds, silences: u8) -> Bounds {
    Bounds { fence: true, ..unanswered(bounds, silences) }
}

/// Where a node is started again only when nothing is under way.
fn slow(bounds: Bounds) -> Bounds {
    Bounds { slow: true, ..bounds }
}

/// With so many requests that are not answered.
fn unanswered(bounds: Bounds, silences: u8) -> Bounds {
    Bounds { budget: Budget { silences, ..bounds.budget }, ..bounds }
}

/// Bounds for an ordinary run of the tests: a hand-over, in every order.
#[cfg(test)]
pub fn small() -> Vec<Bounds> {
    vec![one(true, Requires::Fencing, (0, 0, 0, 1), 600), one(true, Requires::Witness, (0, 0, 0, 1), 100)]
}

/// The bounds of the full exploration: see `docs/simulator.md`.
pub fn all() -> Vec<Bounds> {
    let (certain, nothing, witness) = (Requires::Fencing, Requires::Nothing, Requires::Witness);
    vec![
        one(false, certain, (0, 0, 0, 0), 600),
        one(true, certain, (0, 0, 0, 1), 600),
        one(true, certain, (1, 0, 0, 1), 600),
        one(true, certain, (2, 0, 0, 1), 600),
        one(true, certain, (0, 0, 1, 1), 600),
        one(true, certain, (0, 0, 0, 2), 600),
        one(true, certain, (0, 1, 0, 0), 600),
        one(true, certain, (0, 1, 0, 1), 600),
        one(true, nothing, (0, 1, 0, 0), 1800),
        one(false, certain, (1, 0, 0, 0), 600),
        // With devices: a death is then a matter of seconds, and the dead come back when all is quiet.
        unanswered(one(true, witness, (0, 0, 0, 0), 1700), 2),
        unanswered(one(true, witness, (0, 0, 0, 1), 100), 1),
        slow(one(true, witness, (0, 1, 0, 0), 1700)),
        slow(unanswered(one(true, witness, (0, 1, 0, 0), 1100), 1)),
        slow(fenced(one(true, certain, (0, 1, 0, 0), 2600), 2)),
        slow(fenced(one(true, certain, (1, 1, 0, 0), 1800), 1)),
        slow(fenced(one(true, certain, (0, 2, 0, 0), 1800), 1)),
    ]
}
