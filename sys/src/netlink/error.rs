//! What went wrong, in words an operator can act on.

use std::time::Duration;

use nix::errno::Errno;

/// A request the kernel refused, or did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}{}{}", said(.kernel), advice(.reason))]
pub struct Error {
    /// What was tried: "add 10.77.1.1/16 on interface 4".
    pub what: String,
    /// Why it did not work.
    pub reason: Reason,
    /// The kernel's own words (extended acknowledgement), if it had any.
    pub kernel: Option<String>,
}

/// Why a request did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The kernel's errno, positive.
    #[error("{}", name(*.0))]
    Errno(i32),
    /// No answer came in time; whether the request was carried out is not known.
    #[error("no answer from the kernel within {0:?}")]
    Deadline(Duration),
    /// The table kept changing while it was read.
    #[error("the table kept changing while it was read ({0} times)")]
    Unsettled(u32),
    /// The request makes no sense, found before the kernel was asked.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    pub(crate) fn errno(what: impl Into<String>, errno: Errno) -> Error {
        Error { what: what.into(), reason: Reason::Errno(errno as i32), kernel: None }
    }

    /// The errno, if the kernel (or the socket) gave one: `Some(libc::ENODEV)`.
    pub fn raw_errno(&self) -> Option<i32> {
        match self.reason {
            Reason::Errno(errno) => Some(errno),
            _ => None,
        }
    }

    /// Whether the interface is not there (any more).
    pub fn is_interface_gone(&self) -> bool {
        matches!(self.raw_errno(), Some(libc::ENODEV | libc::ENXIO))
    }
}

fn name(number: i32) -> String {
    let errno = Errno::from_raw(number);
    if errno == Errno::UnknownErrno {
        return format!("error {number}");
    }
    format!("{} ({errno:?})", errno.desc())
}

fn said(kernel: &Option<String>) -> String {
    kernel.as_ref().map(|text| format!("; the kernel says: {text}")).unwrap_or_default()
}

/// What to do about the common ones.
fn advice(reason: &Reason) -> &'static str {
    let Reason::Errno(errno) = reason else {
        return "";
    };
    match *errno {
        libc::EPERM => "; run as root or give the process CAP_NET_ADMIN",
        libc::EACCES => "; IPv6 is switched off there (sysctl net.ipv6.conf.NAME.disable_ipv6)",
        libc::ENODEV | libc::ENXIO => "; the interface is gone: check its name with `ip link`",
        libc::EEXIST => "; the address is there already",
        libc::EADDRNOTAVAIL => "; the address is not on that interface, or cannot be",
        libc::EADDRINUSE => "; the address is in use on this machine",
        libc::ENOBUFS | libc::ENOMEM => {
            "; the kernel is short of memory, or too many addresses changed at once: it will be tried again"
        }
        libc::EINVAL | libc::ERANGE => "; the address, prefix length or label is invalid",
        libc::ENETDOWN => "; bring the interface up (`ip link set NAME up`)",
        libc::EAFNOSUPPORT | libc::EOPNOTSUPP => {
            "; this kernel or interface has that address family switched off"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_why_and_what_to_do() {
        let error = Error {
            what: "add 10.77.1.1/16 on interface 4".into(),
            reason: Reason::Errno(libc::ENODEV),
            kernel: Some("Unknown device".into()),
        };
        assert_eq!(
            error.to_string(),
            "add 10.77.1.1/16 on interface 4: No such device (ENODEV); the kernel says: Unknown device; \
             the interface is gone: check its name with `ip link`"
        );
        assert!(error.is_interface_gone());
        let error = Error::errno("list links", Errno::EPERM);
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
        let error = Error { what: "x".into(), reason: Reason::Errno(4095), kernel: None };
        assert_eq!(error.to_string(), "x: error 4095");
        let error =
            Error { what: "x".into(), reason: Reason::Deadline(Duration::from_secs(5)), kernel: None };
        assert_eq!(error.to_string(), "x: no answer from the kernel within 5s");
        assert_eq!(error.raw_errno(), None);
    }
}
