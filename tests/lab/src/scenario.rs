//! What scenarios have in common: they run where the lab can, and tell their timeline when they fail.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::clock::wait_for;
use crate::net::CLIENT;
use crate::pair::{BOUND, Pair, ip};
use crate::{LabError, Result, agent};

/// Runs a scenario on a pair. A failure panics while the world still stands, so that it tells its timeline.
///
/// # Panics
/// The scenario failed.
pub fn scenario(make: impl FnOnce() -> Result<Pair>, work: impl FnOnce(&Pair) -> Result<()>) {
    if !crate::available() {
        return;
    }
    let pair = match make() {
        Ok(pair) => pair,
        Err(e) => panic!("the pair could not be made: {e}"),
    };
    if let Err(e) = work(&pair) {
        panic!("{e}");
    }
}

/// The judgement of a scenario: `fact` holds, or the scenario fails with `said`.
///
/// # Errors
/// It does not hold.
pub fn check(fact: bool, said: impl FnOnce() -> String) -> Result<()> {
    if fact { Ok(()) } else { Err(LabError(said())) }
}

/// Waits until `question` says yes, for at most [`BOUND`].
///
/// # Errors
/// It never did, or it failed: the last failure is in the error.
pub fn until(what: &str, mut question: impl FnMut() -> Result<bool>) -> Result<()> {
    let mut last = String::new();
    let found = wait_for(what, BOUND, Duration::from_millis(20), || match question() {
        Ok(true) => Some(()),
        Ok(false) => None,
        Err(e) => {
            last = format!("; {e}");
            None
        }
    });
    found.map_err(|e| LabError(format!("{e}{last}")))
}

/// Looks for the whole of `window`, again and again, and wants `fact` to hold each time. The window is the experiment:
/// long enough for the wrong thing to happen.
///
/// # Errors
/// It did not hold once.
pub fn throughout(what: &str, window: Duration, mut fact: impl FnMut() -> Result<()>) -> Result<()> {
    let begin = Instant::now();
    loop {
        fact().map_err(|e| LabError(format!("{what}, after {:?}: {e}", begin.elapsed())))?;
        if begin.elapsed() >= window {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the client gets an answer from an address.
///
/// # Errors
/// It got none within [`BOUND`].
pub fn served(pair: &Pair, address: &str) -> Result<()> {
    let ping = ["ping", "-c", "1", "-W", "1", address];
    until(&format!("the client is served by {address}"), || Ok(pair.world.exec(CLIENT, &ping)?.ok()))
}

/// Waits until a service of the [`agent`] runs on this node and nowhere else.
///
/// # Errors
/// It did not come to that within [`BOUND`].
pub fn serves(pair: &Pair, service: &str, node: &str) -> Result<()> {
    let wanted = [node.to_owned()];
    until(&format!("{service} runs on {node} alone"), || {
        let runners = agent::runners(&pair.world, service)?;
        check(runners == wanted, || format!("it runs on {runners:?}")).map(|()| true)
    })
}

/// Seconds an address of a node is still valid for; `None` if it is not there. Without end is `u64::MAX`.
///
/// # Errors
/// The node could not be asked.
pub fn valid_for(pair: &Pair, node: &str, address: &str) -> Result<Option<u64>> {
    /// What ip prints for "forever".
    const FOREVER: u64 = u32::MAX as u64;
    let address: IpAddr = ip(address);
    let info = crate::audit::address_info(&pair.world, node, address)?;
    let Some(info) = info else { return Ok(None) };
    match info["valid_life_time"].as_u64() {
        Some(FOREVER) => Ok(Some(u64::MAX)),
        Some(seconds) => Ok(Some(seconds)),
        None => Err(LabError(format!("ip says no lifetime: {info}"))),
    }
}
