//! The director on a kernel with IPVS: the four installations it was asked to serve, every way to a real server, and
//! changes under a running load. tests/vm/director runs these in a virtual machine.

mod coda;
mod ime;
mod load;
mod print;
mod ways;
mod web;

use lab::farm::{Farm, available};
use lab::hbd::config::Settings;
use lab::{LabError, Result};

/// Runs a scenario on a farm. A failure panics while the machines still stand, so that it tells its timeline, and
/// what the daemons wrote.
fn on_farm(make: impl FnOnce() -> Result<Farm>, work: impl FnOnce(&Farm) -> Result<()>) {
    if !available() {
        return;
    }
    let farm = match make() {
        Ok(farm) => farm,
        Err(error) => panic!("the farm could not be made: {error}"),
    };
    if let Err(error) = work(&farm) {
        for node in ["a", "b"] {
            for label in ["director", "hbd"] {
                let log = std::fs::read_to_string(farm.world().log_path(node, label)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                eprintln!("--- {label} on {node}:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
        }
        panic!("{error}");
    }
}

/// The group of a director: these addresses, then the director itself.
fn group(settings: Settings, addresses: &[&str]) -> Settings {
    let mut resources: Vec<String> =
        addresses.iter().map(|address| format!("\"IPaddr::{address}\"")).collect();
    resources.push("{ agent = \"director\", args = [\"/etc/hbd/director.toml\"], monitor = \"5s\" }".into());
    let words: Vec<&str> = resources.iter().map(String::as_str).collect();
    settings.group("director", Some("a"), &words)
}

/// `fact` holds, or the scenario fails with `said`.
fn check(fact: bool, said: impl FnOnce() -> String) -> Result<()> {
    if fact { Ok(()) } else { Err(LabError(said())) }
}

/// Addresses of clients that nobody has seen yet, each in a network of its own: `172.<16+round>.N.1`.
fn strangers(round: u8, count: u8) -> Vec<String> {
    (0..count).map(|number| format!("172.{}.{number}.1", 16 + round)).collect()
}

/// Gives the client the addresses of so many rounds of [`strangers`], and everybody else the way back.
fn invite_strangers(farm: &Farm, rounds: u8, count: u8) -> Result<()> {
    let lines: Vec<String> = (0..rounds)
        .flat_map(|round| strangers(round, count))
        .map(|address| format!("addr add {address}/32 dev eth0"))
        .collect();
    farm.world().exec_with("client", &["ip", "-batch", "-"], &(lines.join("\n") + "\n"))?.success()?;
    let others: Vec<&str> = farm.reals().iter().map(String::as_str).chain(["a", "b"]).collect();
    others.iter().try_for_each(|name| farm.shell(name, "ip route replace 172.16.0.0/12 dev eth0").map(drop))
}
