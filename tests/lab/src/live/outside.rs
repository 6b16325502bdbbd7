//! What stands around the pair of a walk, at work: the power switch, the etcd, and strangers with a hand on addresses.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::act::NODES;
use super::ground::{Ground, MEMBERS, STRANGER};
use super::judge::GROUPS;
use super::service;
use crate::etcd::{self, Etcd, Guard};
use crate::net::World;
use crate::pair::{Pair, ip};
use crate::power::{self, Mood, Switch, Use};
use crate::scenario::check;
use crate::{LabError, Result};

/// A life of hbd fences the other node so often within an hour, and a walk is shorter.
const FENCES: usize = 3;

/// Who has seen nothing outside for so long knows it, and what it had begun before is over.
const BLIND: Duration = Duration::from_secs(6);

/// What there is of it on this ground.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outside<'w> {
    switch: Option<&'w Switch>,
    etcd: Option<&'w Etcd<'w>>,
}

/// Sets up what the ground has, for as long as `work` needs it.
///
/// # Errors
/// It could not be set up, or those of `work`.
pub fn with(ground: Ground, pair: &Pair, work: impl FnOnce(Outside<'_>) -> Result<()>) -> Result<()> {
    if ground.lends() {
        check(etcd::available(), || "this ground needs etcd (Debian: etcd-server, etcd-client)".to_owned())?;
        let etcd = Etcd::start(&pair.world, &MEMBERS, Guard::Open)?;
        return work(Outside { switch: None, etcd: Some(&etcd) });
    }
    if !ground.fences() {
        return work(Outside::default());
    }
    power::install(&pair.world)?;
    let tell = |used: &Use| tell(&pair.world, used);
    power::with_told_switch(pair, &tell, |switch| work(Outside { switch: Some(switch), etcd: None }))
}

/// Written down before whoever asked can know: what runs on the node has ended, or it has not, and that was a lie.
fn tell(world: &World, used: &Use) -> Result<()> {
    if !world.is_up(&used.node) {
        return service::mark(world, &format!("off {}", used.node));
    }
    if used.mood == Mood::Lies { service::mark(world, "liar") } else { Ok(()) }
}

impl Outside<'_> {
    /// The switch answers like this for a node from now on.
    ///
    /// # Errors
    /// This ground has none.
    pub fn set_switch(&self, node: &str, mood: Mood) -> Result<()> {
        let switch = self.switch.ok_or_else(|| LabError::new("there is no power switch here"))?;
        switch.set_for(node, mood);
        Ok(())
    }

    /// All uses of the switch so far.
    pub fn uses(&self) -> Vec<Use> {
        self.switch.map(Switch::uses).unwrap_or_default()
    }

    /// Members of the etcd end, stop, or run again.
    ///
    /// # Errors
    /// This ground has none, or one does not start.
    pub fn members(&self, members: &[&str], what: Members) -> Result<()> {
        let etcd = self.etcd.ok_or_else(|| LabError::new("there is no etcd here"))?;
        members.iter().try_for_each(|member| match what {
            Members::Killed => {
                etcd.kill(member);
                Ok(())
            }
            Members::Stopped => {
                etcd.signal(member, Signal::SIGSTOP);
                Ok(())
            }
            Members::Thawed => {
                etcd.signal(member, Signal::SIGCONT);
                Ok(())
            }
            Members::Started => etcd.start_member(member),
        })
    }
}

/// What is done to members of the etcd.
#[derive(Debug, Clone, Copy)]
pub enum Members {
    /// SIGKILL.
    Killed,
    /// SIGSTOP.
    Stopped,
    /// SIGCONT.
    Thawed,
    /// Started again, with the data that is there.
    Started,
}

/// No life of hbd has fenced more often than the core allows, and none that has seen no ping point for a while. `lives` are the
/// uses before the present life of each node's, `blind` since when it sees none.
///
/// # Errors
/// One has.
pub fn judge_fences(uses: &[Use], lives: [usize; 2], blind: [Option<Instant>; 2]) -> Result<()> {
    for ((node, earlier), blind) in NODES.iter().zip(lives).zip(blind) {
        let seeing = |one: &Use| one.by != *node || blind.is_none_or(|since| one.at <= since + BLIND);
        let wrong = uses.iter().find(|one| !seeing(one));
        check(wrong.is_none(), || format!("S6: {wrong:?}, by who sees no ping point"))?;
        let done = |one: &&Use| one.by == *node && one.cut && one.mood == Mood::Works;
        let fences = uses.iter().skip(earlier).filter(done).count();
        check(fences <= FENCES, || format!("S6: one life of hbd on {node} has fenced {fences} times"))?;
    }
    Ok(())
}

/// The address the strangers are after, with its prefix.
fn vip() -> String {
    format!("{}/16", GROUPS[0].vip)
}

/// Somebody removes the address on a node. Where it is not, there is nothing to remove.
///
/// # Errors
/// The node is off.
pub fn take_address(world: &World, node: &str) -> Result<()> {
    world.exec(node, &["ip", "addr", "del", &vip(), "dev", "eth0"]).map(drop)
}

/// Somebody changes its prefix. Where it is not, there is nothing to change.
///
/// # Errors
/// The node is off.
pub fn change_address(world: &World, node: &str) -> Result<()> {
    let vip = GROUPS[0].vip;
    let script = format!(
        "ip addr del {vip}/16 dev eth0 2>/dev/null && ip addr add {vip}/24 dev eth0 valid_lft 1 preferred_lft 1"
    );
    world.exec(node, &["sh", "-c", &script]).map(drop)
}

/// Somebody sets it. Where it is, that is refused.
///
/// # Errors
/// The node is off.
pub fn set_address(world: &World, node: &str) -> Result<()> {
    world.exec(node, &["ip", "addr", "add", &vip(), "dev", "eth0"]).map(drop)
}

/// A machine that is no node has it from now on and says so, or has it no more.
///
/// # Errors
/// The machine is off.
pub fn twin(world: &World, there: bool) -> Result<()> {
    let address = ip(GROUPS[0].vip);
    if !there {
        return world.remove_address(STRANGER, "eth0", address, 16);
    }
    world.add_address(STRANGER, "eth0", address, 16)?;
    let words = ["arping", "-q", "-U", "-c", "1", "-I", "eth0", GROUPS[0].vip];
    world.exec(STRANGER, &words).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_by_who_sees_nothing_is_caught() {
        let used = |after| Use {
            by: "a".to_owned(),
            node: "b".to_owned(),
            mood: Mood::Fails,
            cut: false,
            at: Instant::now() + after,
        };
        let blind = [Some(Instant::now()), None];
        assert!(judge_fences(&[used(BLIND * 2)], [0, 0], blind).is_err());
        assert!(judge_fences(&[used(BLIND / 2)], [0, 0], blind).is_ok(), "it was under way");
        assert!(judge_fences(&[used(BLIND * 2)], [0, 0], [None, blind[0]]).is_ok(), "the other one is blind");
    }

    #[test]
    fn a_life_that_fences_too_often_is_caught() {
        let one =
            |mood| Use { by: "a".to_owned(), node: "b".to_owned(), mood, cut: true, at: Instant::now() };
        let four = vec![one(Mood::Works); 4];
        assert!(judge_fences(&four, [0, 0], [None; 2]).is_err());
        assert!(judge_fences(&four, [1, 0], [None; 2]).is_ok(), "one was of the life before");
        assert!(judge_fences(&four[..3], [0, 0], [None; 2]).is_ok());
        assert!(judge_fences(&[one(Mood::Denies), four[0].clone()], [0, 0], [None; 2]).is_ok());
    }
}
