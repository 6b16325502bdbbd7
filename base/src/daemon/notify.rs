//! Talking to the service manager: sd_notify(3), from scratch.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// From the environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    ///
    /// # Errors
    /// If `NOTIFY_SOCKET` is there but cannot be used; the daemon goes on without.
    pub fn from_env() -> io::Result<Notifier> {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(Notifier::default()) };
        let value = |name: &str| std::env::var(name).ok();
        let watchdog =
            watchdog(value("WATCHDOG_USEC").as_deref(), value("WATCHDOG_PID").as_deref(), std::process::id());
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Notifier { socket: Some((socket, address(&name)?)), watchdog })
    }

    /// Within what time the manager wants to hear [`Notifier::alive`], if it does; say it twice as often.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Whether anybody listens.
    pub fn connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Start-up is complete; also said at the end of a reload.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// A reload has begun; [`Notifier::ready`] must follow.
    pub fn reloading(&self) {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
            .map(Duration::from)
            .unwrap_or_default();
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// Leaving in order has begun.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// The loop turns.
    pub fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// What `systemctl status` shows; one line.
    pub fn status(&self, text: &str) {
        self.say(&format!("STATUS={}", text.replace('\n', " ")));
    }

    fn say(&self, text: &str) {
        if let Some((socket, to)) = &self.socket
            && let Err(error) = socket.send_to_addr(text.as_bytes(), to)
        {
            tracing::debug!("the service manager was not told {text:?}: {error}");
        }
    }
}

/// `/path`, or `@name` for an abstract socket.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("NOTIFY_SOCKET={}: neither a path nor an abstract socket", name.display()),
        )),
    }
}

/// The watchdog's time, if it is meant for this process.
fn watchdog(usec: Option<&str>, pid: Option<&str>, me: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(me)) {
        return None;
    }
    let usec = usec?.parse().ok().filter(|&usec: &u64| usec > 0)?;
    Some(Duration::from_micros(usec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_ours_only_if_the_pid_is() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(watchdog(Some("1000000"), None, 7), second);
        assert_eq!(watchdog(Some("1000000"), Some("7"), 7), second);
        assert_eq!(watchdog(Some("1000000"), Some("8"), 7), None);
        assert_eq!(watchdog(Some("1000000"), Some("x"), 7), None);
        assert_eq!(watchdog(Some("0"), None, 7), None);
        assert_eq!(watchdog(Some("soon"), None, 7), None);
        assert_eq!(watchdog(None, Some("7"), 7), None);
    }

    fn heard(at: &UnixDatagram, notifier: &Notifier) -> Vec<String> {
        notifier.ready();
        notifier.status("a\nb");
        notifier.reloading();
        let mut buffer = [0; 256];
        (0..3)
            .map(|_| {
                let length = at.recv(&mut buffer).unwrap();
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            })
            .collect()
    }

    #[test]
    fn both_kinds_of_socket_are_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("da-notify-{}", std::process::id());
        let on_disk = UnixDatagram::bind(&path).unwrap();
        let abstract_one = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (socket, text) in [(on_disk, path.into_os_string()), (abstract_one, format!("@{name}").into())] {
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let to = address(&text).unwrap();
            let notifier = Notifier { socket: Some((UnixDatagram::unbound().unwrap(), to)), watchdog: None };
            let said = heard(&socket, &notifier);
            assert_eq!(said[..2], ["READY=1", "STATUS=a b"]);
            assert!(said[2].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{}", said[2]);
        }
    }

    #[test]
    fn an_address_of_another_kind_is_an_error() {
        assert!(address(OsStr::new("vsock:2:1234")).is_err());
        assert!(address(OsStr::new("")).is_err());
    }

    #[test]
    fn nobody_to_tell_is_no_trouble() {
        Notifier::default().ready();
        let gone = address(OsStr::new("/nonexistent/notify")).unwrap();
        Notifier { socket: Some((UnixDatagram::unbound().unwrap(), gone)), watchdog: None }.alive();
    }
}
