//! Why a tool ends with something else than success.

use std::io::{self, Write};

use super::text;

/// A reason to end; each has its exit code.
#[derive(Debug)]
pub enum Fail {
    /// The daemon refused, or something failed: the reason, a plain sentence (exit code 1).
    Refused(String),
    /// Wrong usage or a bad configuration (exit code 2).
    Usage(String),
    /// A bad configuration, rendered as a compiler does: no prefix (exit code 2).
    BadConfig(String),
    /// No daemon to talk to (exit code 3).
    NoDaemon(String),
    /// Whoever reads our output has had enough, e.g. `| head` (exit code 0).
    PipeClosed,
}

impl Fail {
    /// What the shell gets.
    pub fn exit_code(&self) -> u8 {
        match self {
            Fail::PipeClosed => 0,
            Fail::Refused(_) => 1,
            Fail::Usage(_) | Fail::BadConfig(_) => 2,
            Fail::NoDaemon(_) => 3,
        }
    }

    /// Says it on stderr, in the name of `tool`.
    pub fn say(&self, tool: &str) {
        let mut stderr = io::stderr().lock();
        // Nobody is left to tell if stderr is gone: the exit code says it.
        let _ = match self {
            Fail::PipeClosed => Ok(()),
            Fail::BadConfig(text) => writeln!(stderr, "{}", text.trim_end()),
            Fail::Refused(text) | Fail::Usage(text) | Fail::NoDaemon(text) => {
                writeln!(stderr, "{tool}: {}", text::block(text).trim_end())
            }
        };
    }
}

/// A failure to write our own output.
impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Fail {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Fail::PipeClosed,
            _ => Fail::Refused(format!("cannot write the output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_the_exit_code_the_manual_promises() {
        assert_eq!(Fail::Refused("no".into()).exit_code(), 1);
        assert_eq!(Fail::Usage("no".into()).exit_code(), 2);
        assert_eq!(Fail::BadConfig("no".into()).exit_code(), 2);
        assert_eq!(Fail::NoDaemon("no".into()).exit_code(), 3);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let fail = Fail::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(fail.exit_code(), 0);
        let full = Fail::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit_code(), 1);
    }
}
