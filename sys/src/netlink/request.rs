//! The shapes of a conversation with the kernel: a burst of changes, a dump, a question with one answer.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::socket::{DATAGRAM, Socket, Trouble};
use super::wire::{Message, Messages, Refusal, Writer, verdict};
use super::{Error, Reason};

/// With which part of the kernel, and how many requests go out in one send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Talk {
    protocol: SockProtocol,
    burst: usize,
}

impl Talk {
    /// rtnetlink. 1,000 addresses are two bursts.
    pub(crate) const ROUTE: Talk = Talk { protocol: SockProtocol::NetlinkRoute, burst: 500 };
    /// Generic netlink. So few that their answers fit the receive buffer everybody gets, were all of them refused: its
    /// requests need not bear repetition.
    pub(crate) const GENERIC: Talk = Talk { protocol: SockProtocol::NetlinkGeneric, burst: 100 };
}

/// How long a conversation may take in all.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often a dump is begun anew because the table changed meanwhile.
const ATTEMPTS: u32 = 10;

/// What to do with a dump during which the table changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// Read it again.
    Needed,
    /// Good enough.
    Waived,
}

/// The socket with its sequence numbers.
#[derive(Debug)]
pub(crate) struct Requests {
    burst: usize,
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// Sequence numbers of one burst, which may wrap around.
#[derive(Clone, Copy)]
struct Numbers {
    first: u32,
    count: usize,
}

impl Numbers {
    /// The place in the burst of the request with that number; `None` for any other number.
    fn place(self, sequence: u32) -> Option<usize> {
        usize::try_from(sequence.wrapping_sub(self.first)).ok().filter(|place| *place < self.count)
    }
}

impl Requests {
    pub(crate) fn open(talk: Talk) -> Result<Requests, Error> {
        let socket = Socket::open(talk.protocol, &[])?;
        Ok(Requests { burst: talk.burst, socket, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    fn numbers(&mut self, count: usize) -> Numbers {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
        Numbers { first, count }
    }

    /// Has the kernel carry out `count` requests, in order, each of which may fail by itself.
    ///
    /// `write(place, writer, sequence)` writes one of them. Many go out in one send, and only the last one
    /// asks for an
    /// acknowledgement: errors are answered in any case, and a thousand acknowledgements would overflow the receive
    /// buffer. If it overflows all the same (everything refused, and no right to a larger buffer), the burst is
    /// repeated request by request, so all requests must bear repetition.
    ///
    /// # Errors
    /// Only for a broken or silent socket; `what` then says what was tried.
    pub(crate) fn burst(
        &mut self,
        what: &str,
        count: usize,
        write: impl Fn(usize, &mut Writer, u32),
    ) -> Result<Vec<Result<(), Refusal>>, Error> {
        let deadline = Instant::now() + DEADLINE;
        let mut results = Vec::with_capacity(count);
        while results.len() < count {
            let from = results.len();
            let size = self.burst.min(count - from);
            match self.exchange(from, size, &write, deadline) {
                Ok(answers) => results.extend(answers),
                Err(Trouble::Errno(Errno::ENOBUFS)) => {
                    self.socket.drain(&mut self.buffer, deadline);
                    for place in from..from + size {
                        let one = self.exchange(place, 1, &write, deadline);
                        results.extend(one.map_err(|trouble| failed(what, &trouble))?);
                    }
                }
                Err(trouble) => return Err(failed(what, &trouble)),
            }
        }
        Ok(results)
    }

    fn exchange(
        &mut self,
        from: usize,
        count: usize,
        write: &impl Fn(usize, &mut Writer, u32),
        deadline: Instant,
    ) -> Result<Vec<Result<(), Refusal>>, Trouble> {
        let numbers = self.numbers(count);
        let mut writer = Writer::default();
        for place in 0..count {
            write(from + place, &mut writer, numbers.first.wrapping_add(u32::try_from(place).unwrap_or(0)));
        }
        writer.flag(libc::NLM_F_ACK.cast_unsigned() as u16);
        self.socket.send(writer.bytes()).map_err(Trouble::Errno)?;

        let mut answers = vec![Ok(()); count];
        loop {
            let length = self.socket.receive(&mut self.buffer, deadline)?;
            for message in Messages::new(&self.buffer[..length]) {
                let Some(place) = numbers.place(message.sequence) else {
                    continue;
                };
                let Some(answer) = verdict(&message) else {
                    continue;
                };
                answers[place] = answer;
                if place == count - 1 {
                    return Ok(answers);
                }
            }
        }
    }

    /// Asks one question: the first thing that `parse` makes of the answer, if there is any.
    pub(crate) fn ask<T>(
        &mut self,
        what: &str,
        kind: u16,
        body: &[u8],
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let deadline = Instant::now() + DEADLINE;
        let numbers = self.numbers(1);
        let mut writer = Writer::default();
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        writer.message(kind, flags.cast_unsigned() as u16, numbers.first, body);
        self.socket.send(writer.bytes()).map_err(|errno| Error::errno(what, errno))?;
        let mut found = None;
        loop {
            let length =
                self.socket.receive(&mut self.buffer, deadline).map_err(|trouble| failed(what, &trouble))?;
            let ours = |message: &Message<'_>| numbers.place(message.sequence).is_some();
            for message in Messages::new(&self.buffer[..length]).filter(ours) {
                match verdict(&message) {
                    Some(Ok(())) => return Ok(found),
                    Some(Err(refusal)) => return Err(refused(what, refusal)),
                    None => found = found.or_else(|| parse(message.body)),
                }
            }
        }
    }

    /// Reads a table: all that `parse` makes of its messages of type `wanted`.
    pub(crate) fn dump<T>(
        &mut self,
        what: &str,
        (request, wanted): (u16, u16),
        header: &[u8],
        consistency: Consistency,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let deadline = Instant::now() + DEADLINE;
        for _ in 0..ATTEMPTS {
            let numbers = self.numbers(1);
            let mut writer = Writer::default();
            let flags = libc::NLM_F_REQUEST | libc::NLM_F_DUMP;
            writer.message(request, flags.cast_unsigned() as u16, numbers.first, header);
            self.socket.send(writer.bytes()).map_err(|errno| Error::errno(what, errno))?;
            match self.rows(numbers, wanted, deadline, &parse) {
                Ok(Rows { rows, settled }) if settled || consistency == Consistency::Waived => {
                    return Ok(rows);
                }
                Ok(_) => {}
                Err(Stop::Trouble(Trouble::Errno(Errno::ENOBUFS))) => {
                    self.socket.drain(&mut self.buffer, deadline)
                }
                Err(Stop::Trouble(trouble)) => return Err(failed(what, &trouble)),
                Err(Stop::Refused(refusal)) => return Err(refused(what, refusal)),
            }
        }
        Err(Error { what: what.into(), reason: Reason::Unsettled(ATTEMPTS), kernel: None })
    }

    fn rows<T>(
        &mut self,
        numbers: Numbers,
        wanted: u16,
        deadline: Instant,
        parse: &impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Rows<T>, Stop> {
        let mut rows = Vec::new();
        let mut settled = true;
        loop {
            let length = self.socket.receive(&mut self.buffer, deadline).map_err(Stop::Trouble)?;
            let mut messages = Messages::new(&self.buffer[..length]);
            for message in messages.by_ref().filter(|message| numbers.place(message.sequence).is_some()) {
                settled &= i32::from(message.flags) & libc::NLM_F_DUMP_INTR == 0;
                match verdict(&message) {
                    Some(Ok(())) => return Ok(Rows { rows, settled }),
                    Some(Err(refusal)) => return Err(Stop::Refused(refusal)),
                    None if message.kind == wanted => rows.extend(parse(message.body)),
                    None => {}
                }
            }
            settled &= !messages.damaged();
        }
    }
}

struct Rows<T> {
    rows: Vec<T>,
    settled: bool,
}

enum Stop {
    Trouble(Trouble),
    Refused(Refusal),
}

fn failed(what: &str, trouble: &Trouble) -> Error {
    let reason = match trouble {
        Trouble::Errno(errno) => Reason::Errno(*errno as i32),
        Trouble::Late => Reason::Deadline(DEADLINE),
    };
    Error { what: what.into(), reason, kernel: None }
}

/// A refusal, told as an [`Error`].
pub(crate) fn refused(what: impl Into<String>, refusal: Refusal) -> Error {
    Error { what: what.into(), reason: Reason::Errno(refusal.errno), kernel: refusal.text }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::option;

    /// Asks for the removal of an address on an interface that does not exist: refused, with or without privilege.
    fn hopeless(_place: usize, writer: &mut Writer, sequence: u32) {
        let key = super::super::AddressKey {
            ifindex: i32::MAX.cast_unsigned(),
            ip: std::net::Ipv4Addr::LOCALHOST.into(),
            prefix: 32,
        };
        super::super::address::write_remove(writer, sequence, &key);
    }

    #[test]
    fn an_overflowing_receive_buffer_costs_time_and_no_answer() {
        let mut requests = Requests::open(Talk::ROUTE).expect("open");
        // The smallest buffer the kernel gives holds a few answers, not five hundred.
        option::set(requests.socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &1).expect("option");
        let whole = requests.exchange(0, Talk::ROUTE.burst, &hopeless, Instant::now() + DEADLINE);
        assert_eq!(whole, Err(Trouble::Errno(Errno::ENOBUFS)), "the buffer was meant to overflow");
        requests.socket.drain(&mut requests.buffer, Instant::now() + DEADLINE);

        let answers = requests.burst("try", Talk::ROUTE.burst + 7, hopeless).expect("the socket works");
        assert_eq!(answers.len(), Talk::ROUTE.burst + 7);
        for answer in answers {
            let refusal = answer.expect_err("there is no such interface");
            assert!([libc::ENODEV, libc::EPERM].contains(&refusal.errno), "{refusal:?}");
        }
    }

    #[test]
    fn numbers_wrap_around() {
        let mut requests = Requests::open(Talk::ROUTE).expect("open");
        requests.sequence = u32::MAX - 3;
        assert!(requests.burst("try", 10, hopeless).expect("answers").iter().all(Result::is_err));
        assert_eq!(requests.sequence, 6);
        let numbers = Numbers { first: u32::MAX, count: 3 };
        assert_eq!(
            [u32::MAX, 0, 1, 2].map(|number| numbers.place(number)),
            [Some(0), Some(1), Some(2), None]
        );
    }

    #[test]
    fn silence_ends_with_the_deadline() {
        let mut requests = Requests::open(Talk::ROUTE).expect("open");
        let waited = requests.socket.receive(&mut requests.buffer, Instant::now());
        assert_eq!(waited, Err(Trouble::Late));
        let told = failed("list links", &Trouble::Late).to_string();
        assert_eq!(told, "list links: no answer from the kernel within 10s");
    }

    #[test]
    fn a_refused_dump_is_an_error() {
        let mut requests = Requests::open(Talk::ROUTE).expect("open");
        // Strict checking refuses a header that asks for what the dump cannot filter by.
        let mut header = super::super::address::dump_header(0);
        header[1] = 24;
        let kinds = (libc::RTM_GETADDR, libc::RTM_NEWADDR);
        let refused = requests.dump("list addresses", kinds, &header, Consistency::Needed, |_| Some(()));
        assert_eq!(refused.expect_err("refused").raw_errno(), Some(libc::EINVAL));
    }
}
