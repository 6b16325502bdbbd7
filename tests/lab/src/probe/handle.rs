//! A probe running in a world's client, driven from a test.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::echo::PORT;
use super::report::Summary;
use crate::clock::wait_for;
use crate::error::Context;
use crate::net::process::Process;
use crate::net::space::lab_program;
use crate::net::{CLIENT, World};
use crate::{LabError, Result};

/// A running probe. Dropping it kills it; [`ProbeHandle::finish`] gives its results.
#[derive(Debug)]
pub struct ProbeHandle {
    process: Process,
    json: PathBuf,
    /// Every probe as a line; see [`super::report::write_csv`]. Complete after [`ProbeHandle::finish`].
    pub csv: PathBuf,
}

impl ProbeHandle {
    /// Starts asking `targets` (port 7), one probe per `interval` in turn, from the client.
    ///
    /// # Errors
    /// The probe could not be started.
    pub fn start(world: &World, label: &str, targets: &[IpAddr], interval: Duration) -> Result<ProbeHandle> {
        ProbeHandle::start_for(world, label, targets, interval, &["--duration", "300s"])
    }

    /// As [`ProbeHandle::start`], with these further words for `lab probe`.
    ///
    /// # Errors
    /// The probe could not be started.
    pub fn start_for(
        world: &World,
        label: &str,
        targets: &[IpAddr],
        interval: Duration,
        more: &[&str],
    ) -> Result<ProbeHandle> {
        let program = lab_program()?.display().to_string();
        let folder = world.dir_of(CLIENT);
        let json = folder.join(format!("{label}.json"));
        let csv = folder.join(format!("{label}.csv"));
        let interval = format!("{}us", interval.as_micros());
        // The prober must be given the processor when it asks for it, whatever else the test runs.
        let mut words = vec!["nice", "-n", "-19", &program, "probe", "--until-eof", "--interval", &interval];
        words.extend(more);
        let (json_name, csv_name) = (json.display().to_string(), csv.display().to_string());
        words.extend(["--json", &json_name, "--csv", &csv_name]);
        let names: Vec<String> = targets.iter().map(|t| SocketAddr::new(*t, PORT).to_string()).collect();
        words.extend(names.iter().map(String::as_str));
        let process = world.spawn(CLIENT, label, &words)?;
        wait_for("the first probe", Duration::from_secs(5), Duration::from_millis(1), || {
            process.log_text().contains("started").then_some(())
        })
        .map_err(|e| LabError(format!("{e}; it said: {}", process.log_text())))?;
        Ok(ProbeHandle { process, json, csv })
    }

    /// The prober's pid as the host sees it.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends the probe and gives what it saw.
    ///
    /// # Errors
    /// It did not end, or left no result.
    pub fn finish(mut self) -> Result<Summary> {
        self.process.close_stdin();
        let said = |p: &Process| format!("the probe ended without a result; it said: {}", p.log_text());
        if self.process.wait(Duration::from_secs(20))?.is_none() {
            return Err(LabError(said(&self.process)));
        }
        let text = std::fs::read_to_string(&self.json).context(|| said(&self.process))?;
        serde_json::from_str(&text).context(|| format!("{} is no summary", self.json.display()))
    }
}

/// Starts the responder on a node, on port 7 of all its addresses.
///
/// # Errors
/// The node is off or the responder did not come up.
pub fn start_echo(world: &World, node: &str) -> Result<Process> {
    let program = lab_program()?.display().to_string();
    let words =
        ["nice", "-n", "-19", &program, "echo", "--name", node, "--bind", "0.0.0.0:7", "--bind", "[::]:7"];
    let process = world.spawn(node, "echo", &words)?;
    wait_for("the responder", Duration::from_secs(5), Duration::from_millis(1), || {
        process.log_text().contains("answering").then_some(())
    })
    .map_err(|e| LabError(format!("{e}; it said: {}", process.log_text())))?;
    Ok(process)
}
