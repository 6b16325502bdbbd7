//! What IPVS would not do, in words an operator can act on. The kernel itself has none: a bare errno.

use crate::netlink::{self, Reason};

/// A request that was refused, by the kernel or before it was asked, or not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}{}", hint(.advice))]
pub struct Error {
    /// What was tried: "add real server 10.0.0.3:80 to 10.0.0.5:80/tcp".
    pub what: String,
    /// Why it did not work.
    pub reason: Reason,
    /// What that means here, and what to do; empty when there is nothing to say.
    pub advice: String,
}

fn hint(advice: &str) -> String {
    if advice.is_empty() { String::new() } else { format!(": {advice}") }
}

impl Error {
    /// A request that makes no sense, found before the kernel was asked.
    pub(super) fn invalid(what: impl Into<String>, sentence: impl Into<String>) -> Error {
        Error { what: what.into(), reason: Reason::Invalid(sentence.into()), advice: String::new() }
    }

    pub(super) fn errno(what: impl Into<String>, errno: i32, advice: impl Into<String>) -> Error {
        let advice = if errno == libc::EPERM { PRIVILEGE.into() } else { advice.into() };
        Error { what: what.into(), reason: Reason::Errno(errno), advice }
    }

    /// The errno, if the kernel (or the socket) gave one.
    pub fn raw_errno(&self) -> Option<i32> {
        match self.reason {
            Reason::Errno(errno) => Some(errno),
            _ => None,
        }
    }

    /// Whether the change is there already, or what it was about is gone: somebody else changed the table, and reading
    /// it again tells.
    pub fn is_stale(&self) -> bool {
        matches!(self.raw_errno(), Some(libc::EEXIST | libc::ESRCH | libc::ENOENT))
    }
}

impl From<netlink::Error> for Error {
    fn from(error: netlink::Error) -> Error {
        let advice = if error.raw_errno() == Some(libc::EPERM) { PRIVILEGE } else { "" };
        Error { what: error.what, reason: error.reason, advice: advice.into() }
    }
}

const PRIVILEGE: &str = "run as root or give the process CAP_NET_ADMIN";
