//! A visitor of a web service: fetches a page again and again, and says when it could not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::monotonic_ns;
use crate::error::Context;
use crate::{LabError, Result};

/// Between two visits.
const PAUSE: Duration = Duration::from_millis(10);
/// One visit takes no longer than this, connecting and reading each.
const PATIENCE: Duration = Duration::from_millis(200);
/// Longest page read.
const PAGE: u64 = 4096;

/// One visit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// When it began, `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// The page, or why there was none.
    pub page: std::result::Result<String, String>,
}

/// Visits `target` until `stop`, and writes down every visit.
///
/// # Errors
/// The record cannot be written.
pub fn visit(target: SocketAddr, stop: &AtomicBool, json: &Path) -> Result<()> {
    let mut visits = Vec::new();
    eprintln!("started");
    while !stop.load(Ordering::Relaxed) {
        let at_ns = monotonic_ns();
        let page = fetch(target).map_err(|e| e.to_string());
        visits.push(Visit { at_ns, end_ns: monotonic_ns(), page });
        std::thread::sleep(PAUSE);
    }
    let text = serde_json::to_string(&visits).context(|| "no JSON".to_owned())?;
    std::fs::write(json, text).context(|| format!("cannot write {}", json.display()))
}

fn fetch(target: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE).context(|| "no connection".to_owned())?;
    stream.set_read_timeout(Some(PATIENCE)).context(|| "no timeout".to_owned())?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").context(|| "the request was not taken".to_owned())?;
    let mut answer = String::new();
    stream.take(PAGE).read_to_string(&mut answer).context(|| "no answer".to_owned())?;
    let page = answer.split_once("\r\n\r\n").map(|(_, page)| page.trim().to_owned());
    page.filter(|page| !page.is_empty()).ok_or_else(|| LabError("an empty answer".to_owned()))
}

/// The longest time without a page: how long, in milliseconds, and who served before and after.
pub fn longest_outage(visits: &[Visit]) -> Option<(f64, String, String)> {
    let mut longest: Option<(f64, String, String)> = None;
    let mut last: Option<&Visit> = None;
    let mut failed_since: Option<u64> = None;
    for visit in visits {
        match &visit.page {
            Err(_) => failed_since = failed_since.or(Some(visit.at_ns)),
            Ok(page) => {
                if let (Some(since), Some(before)) = (failed_since.take(), last) {
                    let length = visit.end_ns.saturating_sub(since) as f64 / 1e6;
                    let before = before.page.clone().unwrap_or_default();
                    if longest.as_ref().is_none_or(|(longest, _, _)| length > *longest) {
                        longest = Some((length, before, page.clone()));
                    }
                }
                last = Some(visit);
            }
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(ms: u64, page: std::result::Result<&str, &str>) -> Visit {
        let page = page.map(str::to_owned).map_err(str::to_owned);
        Visit { at_ns: ms * 1_000_000, end_ns: (ms + 1) * 1_000_000, page }
    }

    #[test]
    fn the_longest_outage_is_from_the_first_failure_to_the_next_page() {
        let visits = [
            visit(0, Ok("a")),
            visit(10, Err("x")),
            visit(20, Ok("a")),
            visit(30, Err("x")),
            visit(200, Err("x")),
            visit(400, Ok("b")),
        ];
        assert_eq!(longest_outage(&visits), Some((371.0, "a".to_owned(), "b".to_owned())));
        assert_eq!(longest_outage(&visits[..1]), None);
    }
}
