//! A check as the configuration has it, asked of a server on this machine.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use base::config::problem::Report;
use base::config::table::{ROOT, Table};
use director::check::{Outcome, Spec, Target, parse, run};
use director::table::Protocol;
use toml::de::DeTable;

/// Long enough for a busy machine: only a broken check takes it.
pub const LONG: Duration = Duration::from_secs(30);
/// For checks that are to be late.
pub const SHORT: Duration = Duration::from_millis(300);

/// The check in `text`, the keys of a check's table line by line.
pub fn spec(text: &str) -> Spec {
    let table = DeTable::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let report = Report::new(Path::new("check.toml"), text);
    let root = Table::new(ROOT.to_owned(), table.span(), table.get_ref(), &report);
    let spec = parse::read(&root, &report);
    root.finish();
    let problems = report.into_problems();
    assert_eq!(problems.errors(), 0, "{}\n{text}", problems.render(false));
    spec.expect("a check without errors can be used")
}

/// What is wrong with the check in `text`.
pub fn refused(text: &str) -> String {
    let table = DeTable::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let report = Report::new(Path::new("check.toml"), text);
    let root = Table::new(ROOT.to_owned(), table.span(), table.get_ref(), &report);
    let _ = parse::read(&root, &report);
    root.finish();
    let problems = report.into_problems();
    assert_ne!(problems.errors(), 0, "{text}");
    problems.render(false)
}

/// Port `port` of this machine.
pub fn here(port: u16) -> Target {
    Target { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port, protocol: Protocol::Tcp, service: None }
}

/// The same, of a virtual service over UDP.
pub fn here_udp(port: u16) -> Target {
    Target { protocol: Protocol::Udp, ..here(port) }
}

/// Asks, and has all the time there is.
pub async fn ask(text: &str, target: &Target) -> Outcome {
    run(&spec(text), target, LONG).await
}

/// Asks; it must be good.
pub async fn good(text: &str, target: &Target) -> Outcome {
    let outcome = ask(text, target).await;
    assert_eq!(outcome.result, Ok(()), "{text}");
    outcome
}

/// Asks; it must fail, and say `why`.
pub async fn bad(text: &str, target: &Target, why: &str) -> Outcome {
    let outcome = ask(text, target).await;
    match &outcome.result {
        Err(said) if said.contains(why) => outcome,
        other => panic!("{text}\nmust fail with \"{why}\", and is {other:?}"),
    }
}
