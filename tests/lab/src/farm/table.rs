//! The kernel's whole table, counted.

use sys::ipvs::Ipvs;

use crate::{LabError, Result};

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
