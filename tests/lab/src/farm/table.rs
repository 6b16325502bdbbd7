//! Watches one service of the kernel's table, closely: when which real server came, went, or got another weight.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sys::ipvs::{Ipvs, Protocol, ServiceKey};

use crate::clock::monotonic_ns;
use crate::{LabError, Result};

/// Prints `NS ADDRESS WEIGHT` (or `gone`) for every change of the TCP service, until `stop`.
///
/// # Errors
/// This kernel has no IPVS, or does not answer.
pub fn watch(service: SocketAddr, pause: Duration, stop: &AtomicBool) -> Result<()> {
    let failed = |error: sys::ipvs::Error| LabError(error.to_string());
    let mut ipvs = Ipvs::open().map_err(failed)?;
    let key = ServiceKey::Address(Protocol::Tcp, service);
    let mut known: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let found: BTreeMap<SocketAddr, u32> = ipvs
            .destinations(&key)
            .map_err(failed)?
            .into_iter()
            .map(|state| (state.destination.address, state.destination.weight))
            .collect();
        let now = monotonic_ns();
        for (address, weight) in &found {
            if known.get(address) != Some(weight) {
                println!("{now} {address} {weight}");
            }
        }
        for address in known.keys().filter(|address| !found.contains_key(address)) {
            println!("{now} {address} gone");
        }
        known = found;
        std::thread::sleep(pause);
    }
    Ok(())
}

/// How many real servers all services have, and how many of them have this weight: `TOTAL OF_WEIGHT`.
///
/// # Errors
/// This kernel has no IPVS, or does not answer.
pub fn count(weight: u32) -> Result<(usize, usize)> {
    let failed = |error: sys::ipvs::Error| LabError(error.to_string());
    let mut ipvs = Ipvs::open().map_err(failed)?;
    let (mut total, mut of_weight) = (0, 0);
    for service in ipvs.services().map_err(failed)? {
        for state in ipvs.destinations(&service.service.key).map_err(failed)? {
            total += 1;
            of_weight += usize::from(state.destination.weight == weight);
        }
    }
    Ok((total, of_weight))
}
