//! `hb-load-agent`: tells a director how busy the real server it runs on is.
//!
//! One line of HAProxy's agent-check text on a TCP port, and the same as JSON over HTTP on another:
//!
//! ```text
//! ready up 75%
//! ```

mod cli;
pub mod measure;
mod serve;
pub mod utmp;

use std::io;
use std::path::{Path, PathBuf};

pub use cli::{command_line, main};
use measure::{Busy, Limits, Sample};
pub use serve::{Ports, serve};

/// What the administrator may say in the state file, and how long it may be.
const LONGEST_STATE: usize = 200;

/// What the agent tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Of what.
    pub busy: Busy,
    /// The sample behind it.
    pub sample: Sample,
    /// The administrator's words; `ready up` without.
    pub state: Option<String>,
}

impl Report {
    /// The agent's line.
    pub fn line(&self) -> String {
        match &self.state {
            // What stands behind '#' is the reason, to the end of the line.
            Some(state) => match state.split_once('#') {
                Some((words, reason)) => format!("{} {}% #{reason}\n", words.trim(), self.busy.percent()),
                None => format!("{state} {}%\n", self.busy.percent()),
            },
            None => format!("ready up {}%\n", self.busy.percent()),
        }
    }

    /// The same as JSON, with what it comes from.
    pub fn json(&self) -> String {
        let Sample { processors, load, memory, sessions, .. } = self.sample;
        let share = |share: Option<f64>| share.map(|share| (share * 1000.0).round() / 1000.0);
        let report = serde_json::json!({
            "percent": self.busy.percent(),
            "state": self.state.as_deref().unwrap_or("ready up"),
            "busy": {
                "cpu": share(self.busy.cpu),
                "queue": share(self.busy.queue),
                "memory": share(self.busy.memory),
                "sessions": share(self.busy.sessions),
            },
            "processors": processors,
            "load": load,
            "memory_available_kib": memory.map(|(free, _)| free),
            "memory_kib": memory.map(|(_, all)| all),
            "sessions": sessions,
        });
        format!("{report}\n")
    }
}

/// Measures this machine from time to time.
#[derive(Debug)]
pub struct Meter {
    limits: Limits,
    state_file: Option<PathBuf>,
    before: Sample,
}

impl Meter {
    /// Takes the first sample, which the first report is measured from.
    pub fn new(limits: Limits, state_file: Option<PathBuf>) -> Meter {
        Meter { limits, state_file, before: Sample::take() }
    }

    /// Since the last report.
    pub fn report(&mut self) -> Report {
        let sample = Sample::take();
        let busy = Busy::between(&self.before, &sample, &self.limits);
        self.before = sample;
        Report { busy, sample, state: self.state_file.as_deref().and_then(state) }
    }
}

/// The first line of the state file, if there is one with words of an agent in it. Words that are none would make
/// the whole line worthless: then it is a drain, since somebody wanted something; and so it is of a file that cannot be read.
fn state(file: &Path) -> Option<String> {
    let drain = |why: &str| Some(format!("drain #{} {}", file.display(), why.replace('#', " ")));
    let start = match crate::load::start_of(file, 4 * LONGEST_STATE) {
        Ok(Some(start)) => start,
        Ok(None) => return drain("cannot be read: it is no plain file"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return drain(&format!("cannot be read: {error}")),
    };
    let text = String::from_utf8_lossy(&start);
    let line: String =
        text.lines().next()?.trim().chars().filter(|c| !c.is_control()).take(LONGEST_STATE).collect();
    if line.is_empty() {
        return None;
    }
    match crate::load::text::read(&line) {
        Ok(_) => Some(line),
        Err(_) => drain(&format!("is not understood: {line}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Wish, text};

    #[test]
    fn what_it_says_is_understood() {
        let mut report = Report::default();
        let reading = text::read(&report.line()).unwrap();
        assert_eq!((reading.percent, reading.state), (Some(100.0), Some(Wish::Up)));
        report.busy.cpu = Some(0.6);
        report.state = Some("drain #disk #1 is changed".to_owned());
        assert_eq!(report.line(), "drain 40% #disk #1 is changed\n");
        let reading = text::read(&report.line()).unwrap();
        assert_eq!((reading.percent, reading.state), (Some(40.0), Some(Wish::Drain)));
        let reading = text::from_json(report.json().as_bytes(), "percent", None).unwrap();
        assert_eq!(reading.percent, Some(40.0));
        let reading = text::from_json(report.json().as_bytes(), "busy.cpu", Some(1)).unwrap();
        assert_eq!(reading.percent, Some(40.0));
    }

    #[test]
    fn the_administrator_has_the_first_word() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state");
        let mut meter = Meter::new(Limits::default(), Some(file.clone()));
        assert!(meter.report().line().starts_with("ready up "));
        std::fs::write(&file, "maint\n").unwrap();
        assert!(meter.report().line().starts_with("maint "));
        std::fs::write(&file, "plaese stop\n").unwrap();
        let reading = text::read(&meter.report().line()).unwrap();
        assert_eq!(reading.state, Some(Wish::Drain));
        assert!(reading.why.unwrap().contains("not understood: plaese stop"));
        std::fs::write(&file, "").unwrap();
        assert!(meter.report().line().starts_with("ready up "));
    }

    #[test]
    fn a_state_that_cannot_be_read_is_a_drain_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state");
        let mut meter = Meter::new(Limits::default(), Some(file.clone()));
        let mut said = || text::read(&meter.report().line()).unwrap();
        std::fs::write(&file, [0xff; 1 << 20]).unwrap();
        assert_eq!(said().state, Some(Wish::Drain));
        std::fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reading = said();
        assert_eq!(reading.state, Some(Wish::Drain));
        assert!(reading.why.unwrap().ends_with("cannot be read: it is no plain file"));
    }
}
