//! A random walk over everything that can happen to a pair and its witness, an etcd of three members: the same seed gives the
//! same steps. `LENT_SEED` and `LENT_STEPS` make it another, and longer.
//!
//! Throughout nobody sees the service run twice. After each few steps all faults end, and then there is one owner and all
//! are well. While nothing but the witness was troubled, nothing has moved.
//!
//! Not among the faults is what nobody survives without a watchdog: an hbd that is killed or frozen for longer than a lease
//! lives while its service goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::etcd::{Etcd, Guard};
use lab::live::dice::Dice;
use lab::net::{Cut, Lan};
use lab::pair::{Pair, other};
use lab::scenario::{check, until};
use lab::{Result, agent};
use nix::sys::signal::Signal;

use super::witness::{WEB, is_good, make, scenario};

const NODES: [&str; 2] = ["a", "b"];
const MEMBERS: [&str; 3] = ["w1", "w2", "w3"];
const STEPS: u64 = 14;
/// Steps between two calms, at most.
const TROUBLE: u64 = 5;

/// What is broken now.
#[derive(Default)]
struct Faults {
    off: BTreeSet<&'static str>,
    dead: BTreeSet<&'static str>,
    stopped: BTreeSet<&'static str>,
    cuts: Vec<Cut>,
    /// Since the last calm only the witness was troubled.
    witness_only: bool,
}

struct Walk<'p> {
    pair: &'p Pair,
    etcd: &'p Etcd<'p>,
    dice: Dice,
    faults: Faults,
}

impl Walk<'_> {
    fn step(&mut self) -> Result<()> {
        let (pair, etcd) = (self.pair, self.etcd);
        let (node, member) = (self.dice.of(&NODES), self.dice.of(&MEMBERS));
        let lan = self.dice.of(&[Lan::Service, Lan::Heartbeat]);
        let runs = !self.faults.dead.contains(member) && !self.faults.stopped.contains(member);
        let up = !self.faults.off.contains(node);
        match self.dice.below(12) {
            0 | 1 if runs => {
                etcd.kill(member);
                self.faults.dead.insert(member);
            }
            2 | 3 if runs => {
                etcd.signal(member, Signal::SIGSTOP);
                self.faults.stopped.insert(member);
            }
            4 => self.mend(member)?,
            5 => self.cut(Cut::between(node, member, Lan::Service))?,
            6 => MEMBERS.iter().try_for_each(|one| self.cut(Cut::between(node, one, Lan::Service)))?,
            7 => {
                self.faults.witness_only = false;
                self.cut(Cut::between("a", "b", lan))?;
            }
            8 => {
                self.faults.witness_only = false;
                [Lan::Service, Lan::Heartbeat]
                    .iter()
                    .try_for_each(|lan| self.cut(Cut::between("a", "b", *lan)))?;
            }
            9 if up && self.faults.off.is_empty() => {
                self.faults.witness_only = false;
                pair.world.power_off(node)?;
                self.faults.off.insert(node);
            }
            10 if up => {
                // It may be refused.
                self.faults.witness_only = false;
                pair.hbctl(node, &["--no-wait", "move", "vip", "--to", self.dice.of(&NODES)])?;
            }
            11 if up => {
                let ms = self.dice.between(100, 1200);
                self.faults.witness_only &= ms < 700;
                pair.signal(node, Signal::SIGSTOP)?;
                std::thread::sleep(Duration::from_millis(ms));
                pair.signal(node, Signal::SIGCONT)?;
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(self.dice.below(7000)));
        Ok(())
    }

    fn cut(&mut self, cut: Cut) -> Result<()> {
        self.faults.cuts.push(cut);
        self.pair.world.recut(self.faults.cuts.clone())
    }

    fn mend(&mut self, member: &'static str) -> Result<()> {
        if self.faults.dead.remove(member) {
            self.etcd.start_member(member)?;
        }
        if self.faults.stopped.remove(member) {
            self.etcd.signal(member, Signal::SIGCONT);
        }
        Ok(())
    }

    /// All faults end: all become well, with one owner; which one, and under which epoch.
    fn calm(&mut self) -> Result<(String, u64)> {
        let pair = self.pair;
        MEMBERS.iter().try_for_each(|member| self.mend(member))?;
        self.faults.cuts.clear();
        pair.world.heal()?;
        for node in std::mem::take(&mut self.faults.off) {
            pair.boot(node)?;
        }
        self.faults.witness_only = true;
        let mut owner = (String::new(), 0);
        until("all are well again, and agree", || {
            let seen = NODES.map(|node| {
                let status = pair.status(node).filter(|s| is_good(s) && s.sees(other(node), "up"))?;
                let group = status.group("vip").filter(|group| group.state == "started")?;
                Some((group.owner.clone()?, group.epoch))
            });
            let [Some(one), Some(two)] = seen else { return Ok(false) };
            owner = one.clone();
            Ok(one == two && agent::runners(&pair.world, WEB)? == [one.0])
        })?;
        pair.owned_by(&owner.0)?;
        Ok(owner)
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn a_random_walk_with_a_witness() {
    let (seed, steps) = (number("LENT_SEED", 1), number("LENT_STEPS", STEPS));
    scenario(
        || make(3, ""),
        |pair| {
            agent::never_twice(&pair.world, WEB, || {
                let etcd = Etcd::start(&pair.world, &MEMBERS, Guard::Open)?;
                pair.start_both()?;
                let mut walk = Walk { pair, etcd: &etcd, dice: Dice::new(seed), faults: Faults::default() };
                let (mut before, mut since) = (walk.calm()?, 0);
                for step in 1..=steps {
                    pair.world.timeline.note(format!("seed {seed}, step {step}"));
                    walk.step()?;
                    since += 1;
                    if since < TROUBLE && step < steps && walk.dice.chance(70) {
                        continue;
                    }
                    let alone = walk.faults.witness_only;
                    let now = walk.calm()?;
                    check(!alone || now == before, || {
                        format!("the witness alone was troubled, and {before:?} became {now:?}")
                    })?;
                    (before, since) = (now, 0);
                }
                Ok(())
            })
        },
    );
}
