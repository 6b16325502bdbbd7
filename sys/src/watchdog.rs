//! The machine's watchdog (the kernel's `Documentation/watchdog/watchdog-api.rst`): a clock that resets the machine when
//! nobody winds it up in time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

/// The requests of <linux/watchdog.h>, which the libc crate does not have.
mod request {
    #![allow(missing_docs)]
    nix::ioctl_read!(get_timeout, b'W', 7, libc::c_int);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
}
use request::{get_timeout, set_timeout};

/// What tells the driver that the close that follows is meant.
const MAGIC: &[u8] = b"V";

/// An open watchdog: from now on the machine is reset unless it is petted in time.
///
/// Dropping it, or the end of the process, does **not** stop it; only [`Watchdog::disarm`] does.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    timeout: Duration,
}

impl Watchdog {
    /// Opens the device, which starts it, and sets its timeout (whole seconds).
    ///
    /// # Errors
    /// There is no such device, somebody else has it open (`ResourceBusy`), or it cannot do this timeout; then it is
    /// stopped again if it can be.
    pub fn open(path: &Path, timeout: Duration) -> io::Result<Watchdog> {
        let device = OpenOptions::new().write(true).open(path)?;
        let mut watchdog = Watchdog { device, timeout };
        match watchdog.set(timeout) {
            Ok(set) => {
                watchdog.timeout = set;
                Ok(watchdog)
            }
            Err(error) => {
                let _ = watchdog.disarm();
                Err(error)
            }
        }
    }

    fn set(&self, timeout: Duration) -> io::Result<Duration> {
        let mut seconds = libc::c_int::try_from(timeout.as_secs()).unwrap_or(libc::c_int::MAX);
        let fd = self.device.as_raw_fd();
        // SAFETY: the descriptor is open, and WDIOC_SETTIMEOUT reads and writes one int where the pointer shows.
        unsafe { set_timeout(fd, &raw mut seconds) }?;
        // SAFETY: as above; WDIOC_GETTIMEOUT writes one int. A driver may round what it is asked for.
        unsafe { get_timeout(fd, &raw mut seconds) }?;
        Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    }

    /// The timeout the device really has: drivers round.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Winds it up again. May block for as long as the device takes.
    ///
    /// # Errors
    /// Those of the device.
    pub fn pet(&mut self) -> io::Result<()> {
        // Any byte but the magic one does.
        self.device.write_all(b"\0")
    }

    /// Stops it, where the driver lets itself be stopped (not with `nowayout`).
    ///
    /// # Errors
    /// Those of the device; it goes on then.
    pub fn disarm(mut self) -> io::Result<()> {
        self.device.write_all(MAGIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_watchdog_is_refused() {
        let second = Duration::from_secs(1);
        let missing = Watchdog::open(Path::new("/nonexistent/watchdog"), second).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let other = Watchdog::open(Path::new("/dev/null"), second).unwrap_err();
        assert_eq!(other.raw_os_error(), Some(libc::ENOTTY));
    }
}
