//! Programs that are no resource agents: those that tell of an event, and those kept alive beside the daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::output::{CAPTURE, Chatter, Label};
use super::process::{self, Call, End, Secret};
use super::{Runner, sentence};

/// What there is to run, and how.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it is for, one word: `alert`, `respawn`.
    pub purpose: &'static str,
    /// Its whole path.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// All of its environment but `PATH`, `LANG`, `LC_ALL`, `HOME` and `TERM`.
    pub env: Vec<(String, String)>,
    /// What it finds on its standard input, [`Program::INPUT`] bytes at most; `None`: `/dev/null`.
    pub input: Option<Vec<u8>>,
    /// User and group it runs as, without supplementary groups; `None`: as the daemon.
    pub user: Option<(u32, u32)>,
    /// Lines of its output that are logged; as of an agent's operation, unless given.
    pub max_lines: Option<usize>,
    /// Bound on all of it.
    pub timeout: Duration,
}

impl Program {
    /// What its standard input may hold at most, bytes.
    pub const INPUT: usize = super::spawn::PIPE;
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramEnd {
    /// It ended by itself: its exit code, and a sentence.
    Exit(i32, String),
    /// It was ended as told.
    Told,
    /// It was not started, killed, or ended at its bound: why.
    Failed(String),
}

impl Runner {
    /// Runs it to its end, to its bound, or until `told` is ready, whichever comes first; what it writes is logged.
    /// Bounded as [`Runner::run`]; dropping the future kills it with its process group.
    pub async fn program(&self, program: &Program, told: impl Future<Output = ()>) -> ProgramEnd {
        let fixed =
            super::environment::PLAIN.iter().map(|(key, value)| (OsString::from(key), OsString::from(value)));
        let own = program.env.iter().map(|(key, value)| (OsString::from(key), OsString::from(value)));
        let name = program.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let call = Call {
            program: program.path.clone(),
            args: program.args.iter().map(OsString::from).collect(),
            input: program.input.clone().map(|input| Secret(Zeroizing::new(input))),
            user: program.user,
            env: fixed.chain(own).collect(),
            scratch: self.settings.scratch.clone(),
            at_work: self.settings.at_work.clone(),
            label: Label {
                secrets: Default::default(),
                group: String::new(),
                resource: name,
                action: program.purpose,
                chatter: Chatter::Plain,
                max_lines: program.max_lines.unwrap_or(self.settings.max_lines),
                capture: CAPTURE,
            },
            timeout: program.timeout,
        };
        let ended = process::execute_until(call, told).await;
        let text = sentence(&program.path, program.purpose, &ended, None);
        match ended.end {
            End::Exit(code) => ProgramEnd::Exit(code, text),
            End::Told => ProgramEnd::Told,
            End::Signal(_) | End::TimedOut | End::Broken(_) => ProgramEnd::Failed(text),
        }
    }
}
