//! The conversation with the daemon: one request out, bounded lines back, never longer than asked for.

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::protocol::{Answer, MAX_ANSWER, MAX_LINE};
use crate::terminal::fail::Fail;
use crate::terminal::{age, text};

/// Bound on connecting and on sending the request.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom a tool talks to, for its messages.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The daemon's name, also of its systemd unit.
    pub daemon: &'static str,
    /// The tool's.
    pub tool: &'static str,
    /// Who may talk to the daemon besides root, if the socket does not tell.
    pub others: &'static str,
}

impl Peer {
    /// What to do after a conversation that broke off.
    fn check(&self) -> String {
        format!("; see `{} status` and `journalctl -u {}`", self.tool, self.daemon)
    }
}

/// What [`Conversation::next`] brings.
#[derive(Debug)]
pub enum Heard {
    /// The daemon said this.
    Answer(Answer),
    /// Nothing was said until the time given.
    Nothing,
}

/// One connection to the daemon.
#[derive(Debug)]
pub struct Conversation {
    peer: Peer,
    stream: UnixStream,
    path: PathBuf,
    /// Bytes read and not yet taken as a line.
    buffer: Vec<u8>,
    /// How many of them are known to hold no line end.
    scanned: usize,
}

impl Conversation {
    /// Connects to the socket of `peer` at `path` and sends `request`.
    ///
    /// # Errors
    /// Why that cannot be done, and what to do.
    pub fn begin(peer: Peer, path: &Path, request: &impl Serialize) -> Result<Conversation, Fail> {
        let stream = connect(path).map_err(|error| cannot_connect(&peer, path, &error))?;
        let (path, buffer) = (path.to_owned(), Vec::new());
        let mut conversation = Conversation { peer, stream, path, buffer, scanned: 0 };
        conversation.send(request)?;
        Ok(conversation)
    }

    fn send(&mut self, request: &impl Serialize) -> Result<(), Fail> {
        let mut bytes = serde_json::to_vec(request)
            .map_err(|error| Fail::Usage(format!("the request cannot be written as JSON: {error}")))?;
        if bytes.len() > MAX_LINE {
            return Err(Fail::Usage(format!("the request is longer than {MAX_LINE} bytes")));
        }
        bytes.push(b'\n');
        match self.stream.write_all(&bytes) {
            Ok(()) => Ok(()),
            // It closed before it had heard us out: what it had to say may still be there to be read.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                Ok(())
            }
            Err(error) if is_timeout(&error) => Err(Fail::Refused(format!(
                "{} on {} takes no requests (waited {}): is it hung or frozen?",
                self.peer.daemon,
                self.path.display(),
                age::show_duration(SEND_TIMEOUT)
            ))),
            Err(error) => Err(Fail::Refused(format!(
                "cannot send to {} on {}: {error}",
                self.peer.daemon,
                self.path.display()
            ))),
        }
    }

    /// The next answer, or [`Heard::Nothing`] at `until` (`None`: waits for ever).
    ///
    /// # Errors
    /// When the conversation broke off, or what was said cannot be understood.
    pub fn next(&mut self, until: Option<Instant>) -> Result<Heard, Fail> {
        loop {
            if let Some(line) = self.take_line()? {
                return self.understand(&line).map(Heard::Answer);
            }
            let left = match until {
                None => None,
                Some(until) => match until.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => Some(left),
                    _ => return Ok(Heard::Nothing),
                },
            };
            if !self.fill(left)? {
                return Ok(Heard::Nothing);
            }
        }
    }

    /// Reads once, for at most `left`; whether anything came.
    fn fill(&mut self, left: Option<Duration>) -> Result<bool, Fail> {
        let broken = |error: &io::Error, peer: &Peer, path: &Path| {
            let (daemon, check) = (peer.daemon, peer.check());
            Fail::Refused(format!("the connection to {daemon} on {} broke: {error}{check}", path.display()))
        };
        self.stream.set_read_timeout(left).map_err(|error| broken(&error, &self.peer, &self.path))?;
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(self.ended()),
            Ok(length) => {
                self.buffer.extend_from_slice(&chunk[..length]);
                Ok(true)
            }
            Err(error) if is_timeout(&error) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(broken(&error, &self.peer, &self.path)),
        }
    }

    /// The first whole line of the buffer, without its end.
    fn take_line(&mut self) -> Result<Option<Vec<u8>>, Fail> {
        let found = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n');
        let length = found.map_or(self.buffer.len(), |at| self.scanned + at);
        if length > MAX_ANSWER {
            return Err(Fail::Refused(format!(
                "{0} on {1} sent a line longer than {MAX_ANSWER} bytes: this is no answer of {0}'s",
                self.peer.daemon,
                self.path.display()
            )));
        }
        if found.is_none() {
            self.scanned = length;
            return Ok(None);
        }
        let mut line: Vec<u8> = self.buffer.drain(..=length).collect();
        line.pop();
        self.scanned = 0;
        Ok(Some(line))
    }

    fn understand(&self, line: &[u8]) -> Result<Answer, Fail> {
        serde_json::from_slice(line).map_err(|error| {
            let shown = text::shorten(&text::line(&String::from_utf8_lossy(line)), 120);
            Fail::Refused(format!(
                "cannot understand the answer of {} on {} ({error}): {shown:?}; are {0} and {2} of one version?",
                self.peer.daemon,
                self.path.display(),
                self.peer.tool
            ))
        })
    }

    fn ended(&self) -> Fail {
        let how = if self.buffer.is_empty() { "before its answer" } else { "in the middle of its answer" };
        Fail::Refused(format!(
            "{} on {} closed the connection {how}: it was stopped or has crashed{}",
            self.peer.daemon,
            self.path.display(),
            self.peer.check()
        ))
    }
}

/// Asks a question that has one answer, and waits for the answer's data for `limit` at most.
///
/// # Errors
/// Why there is none.
pub fn ask(peer: Peer, path: &Path, request: &impl Serialize, limit: Duration) -> Result<Value, Fail> {
    let until = Instant::now() + limit;
    let mut conversation = Conversation::begin(peer, path, request)?;
    loop {
        match conversation.next(Some(until))? {
            Heard::Nothing => return Err(silent(&peer, path, limit)),
            Heard::Answer(Answer::Done { data, .. }) => return Ok(data),
            Heard::Answer(Answer::Refused { reason }) => return Err(Fail::Refused(reason)),
            // Each renews nothing: the limit is for the whole answer.
            Heard::Answer(Answer::Progress { .. } | Answer::Item { .. }) if Instant::now() < until => {}
            Heard::Answer(_) => return Err(silent(&peer, path, limit)),
        }
    }
}

/// The daemon has not answered within `limit`.
pub fn silent(peer: &Peer, path: &Path, limit: Duration) -> Fail {
    Fail::Refused(format!(
        "{0} on {1} did not answer within {2}: is it hung, frozen or very busy? see `systemctl status {0}`",
        peer.daemon,
        path.display(),
        age::show_duration(limit)
    ))
}

/// Connects in bounded time: a frozen daemon's full backlog would hold a plain connect for ever. The send
/// timeout bounds it (socket(7), SO_SNDTIMEO; for Unix sockets connect(2) keeps to it).
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    socket.connect(&socket2::SockAddr::unix(path)?)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn cannot_connect(peer: &Peer, path: &Path, error: &io::Error) -> Fail {
    let (shown, daemon) = (path.display(), peer.daemon);
    match error.kind() {
        io::ErrorKind::NotFound => Fail::NoDaemon(format!(
            "no {daemon} is running here: there is no socket {shown}; see `systemctl status {daemon}`, or name the socket with --socket"
        )),
        io::ErrorKind::ConnectionRefused => Fail::NoDaemon(format!(
            "no {daemon} is listening on {shown}: the socket was left behind by one that is gone, or it is none; \
             see `systemctl status {daemon}`, or name the socket with --socket"
        )),
        io::ErrorKind::PermissionDenied => Fail::Refused(format!(
            "permission denied on {shown}: only root and members of {} may talk to {daemon}; use sudo or ask to be added",
            group_of(peer, path)
        )),
        io::ErrorKind::InvalidInput => {
            Fail::Usage(format!("{shown} cannot be the path of a socket: {error}"))
        }
        _ if is_timeout(error) => Fail::Refused(format!(
            "{daemon} on {shown} accepts no connections (waited {}): is it hung or frozen? see `systemctl status {daemon}`",
            age::show_duration(SEND_TIMEOUT)
        )),
        _ => Fail::NoDaemon(format!(
            "cannot connect to {daemon} on {shown}: {error}; see `systemctl status {daemon}`"
        )),
    }
}

/// The group that may use the socket, as far as this user can see.
fn group_of(peer: &Peer, path: &Path) -> String {
    let unknown = || peer.others.to_owned();
    let Ok(meta) = std::fs::metadata(path) else {
        return unknown();
    };
    if meta.gid() == 0 {
        return unknown();
    }
    match nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(meta.gid())) {
        Ok(Some(group)) => format!("the group {}", group.name),
        _ => format!("the group with id {}", meta.gid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HBD: Peer = Peer { daemon: "hbd", tool: "hbctl", others: "the group hbd" };

    /// A conversation and the daemon's end of it.
    fn pair() -> (Conversation, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        (
            Conversation { peer: HBD, stream: ours, path: "/t.sock".into(), buffer: Vec::new(), scanned: 0 },
            theirs,
        )
    }

    fn reason(result: Result<Heard, Fail>) -> String {
        match result {
            Err(Fail::Refused(reason)) => reason,
            other => panic!("no refusal: {other:?}"),
        }
    }

    #[test]
    fn lines_may_come_in_any_pieces() {
        let (mut us, mut hbd) = pair();
        hbd.write_all(br#"{"answer":"progress","text":"one"}"#).unwrap();
        assert!(matches!(us.next(Some(Instant::now() + Duration::from_millis(5))), Ok(Heard::Nothing)));
        hbd.write_all(b"\n{\"answer\":\"done\"}\n").unwrap();
        let first = us.next(None).unwrap();
        assert!(matches!(first, Heard::Answer(Answer::Progress { text }) if text == "one"));
        assert!(matches!(us.next(None).unwrap(), Heard::Answer(Answer::Done { .. })));
        drop(hbd);
        assert!(reason(us.next(None)).contains("before its answer"));
    }

    #[test]
    fn an_answer_cut_off_is_said_so() {
        let (mut us, mut hbd) = pair();
        hbd.write_all(b"{\"answer\":\"do").unwrap();
        drop(hbd);
        assert!(reason(us.next(None)).contains("in the middle of its answer"));
    }

    #[test]
    fn garbage_is_shown_without_its_control_characters() {
        let (mut us, mut hbd) = pair();
        hbd.write_all(b"\x1b[2Jboo \xff\n").unwrap();
        let reason = reason(us.next(None));
        assert!(reason.contains("cannot understand") && !reason.contains('\x1b'), "{reason}");
    }

    #[test]
    fn a_line_without_end_is_not_collected_for_ever() {
        let (mut us, mut hbd) = pair();
        let writer = std::thread::spawn(move || {
            let block = vec![b'x'; 1 << 20];
            // Ends by itself: with a broken pipe as soon as the reader has had enough.
            for _ in 0..80 {
                if hbd.write_all(&block).is_err() {
                    return;
                }
            }
        });
        assert!(reason(us.next(None)).contains("longer than"));
        assert!(us.buffer.len() <= MAX_ANSWER + 16 * 1024);
        drop(us);
        writer.join().unwrap();
    }

    #[test]
    fn the_errors_of_connecting_say_what_to_do() {
        let path = Path::new("/run/hbd/hbd.sock");
        let of = |kind: io::ErrorKind| cannot_connect(&HBD, path, &io::Error::from(kind));
        let cases = [
            (io::ErrorKind::NotFound, 3, "systemctl status hbd"),
            (io::ErrorKind::ConnectionRefused, 3, "--socket"),
            (io::ErrorKind::PermissionDenied, 1, "group"),
            (io::ErrorKind::WouldBlock, 1, "frozen"),
            (io::ErrorKind::InvalidInput, 2, "path of a socket"),
        ];
        for (kind, code, word) in cases {
            let fail = of(kind);
            assert_eq!(fail.exit_code(), code, "{kind}");
            let (Fail::NoDaemon(text) | Fail::Refused(text) | Fail::Usage(text)) = fail else {
                panic!("{kind}")
            };
            assert!(text.contains(word) && text.contains("/run/hbd/hbd.sock"), "{kind}: {text}");
        }
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_a_mistake_of_usage() {
        let path = PathBuf::from("/tmp").join("x".repeat(200));
        let fail = Conversation::begin(HBD, &path, &"status").expect_err("connected");
        assert_eq!(fail.exit_code(), 2);
    }
}
