//! Asking for the load.

use std::time::Duration;

use super::{Reading, Source, Target};

/// Asks `source` for the load of `target`, for `deadline` at most.
///
/// # Errors
/// A plain sentence: why there is no reading.
pub async fn read(source: &Source, target: &Target, deadline: Duration) -> Result<Reading, String> {
    let asked = tokio::time::timeout(deadline, ask(source, target));
    asked
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {}", base::config::duration::show(deadline))))
}

async fn ask(source: &Source, _: &Target) -> Result<Reading, String> {
    Err(format!("loads of this source are not read by this version: {source:?}"))
}
