//! A netlink socket: whole datagrams from the kernel, each wait with a deadline.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvmsg, send, socket,
};

use super::Error;
use crate::option;

/// Receive buffer asked for: a burst in which every message is refused needs about 1 KiB for each answer.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;
/// Send buffer asked for: a burst is one datagram of about 100 bytes for each message.
const SEND_BUFFER: libc::c_int = 1 << 20;
/// Room for one datagram; the kernel makes none longer than 32 KiB in a dump.
pub(crate) const DATAGRAM: usize = 64 << 10;

/// Why nothing was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The socket's errno; ENOBUFS says that messages were lost.
    Errno(Errno),
    /// The deadline passed.
    Late,
}

/// The socket. It never blocks by itself.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Opens it, to speak `protocol`, and joins the multicast `groups` (RTNLGRP_*), if any.
    pub(crate) fn open(protocol: SockProtocol, groups: &[u32]) -> Result<Socket, Error> {
        let what = "open a netlink socket";
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)
            .map_err(|errno| Error::errno(what, errno))?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(|errno| Error::errno(what, errno))?;
        // Smaller buffers, terser errors: the socket works without any of these, a burst may just have to be
        // repeated.
        let _ = option::receive_buffer(fd.as_fd(), RECEIVE_BUFFER);
        let _ = option::send_buffer(fd.as_fd(), SEND_BUFFER);
        for name in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK, libc::NETLINK_GET_STRICT_CHK] {
            let _ = option::set(fd.as_fd(), libc::SOL_NETLINK, name, &1);
        }
        for group in groups {
            let group = group.cast_signed();
            option::set(fd.as_fd(), libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group).map_err(
                |error| {
                    Error::errno(
                        "watch links and addresses",
                        Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
                    )
                },
            )?;
        }
        Ok(Socket { fd })
    }

    /// Sends a run of messages to the kernel, which works through all of them before this returns.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        loop {
            match send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
                Ok(_) => return Ok(()), // a datagram goes whole or not at all
            }
        }
    }

    /// The next datagram that the kernel sent, if one is waiting. One that did not fit counts as lost (ENOBUFS).
    pub(crate) fn receive_now(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            let mut parts = [IoSliceMut::new(buffer)];
            let received =
                recvmsg::<NetlinkAddr>(self.fd.as_raw_fd(), &mut parts, None, MsgFlags::MSG_DONTWAIT);
            let (length, flags, sender) = match received {
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno),
                Ok(datagram) => (datagram.bytes, datagram.flags, datagram.address.map(|sender| sender.pid())),
            };
            if sender != Some(0) {
                continue; // another process, not the kernel
            }
            if flags.contains(MsgFlags::MSG_TRUNC) {
                return Err(Errno::ENOBUFS);
            }
            return Ok(length.min(buffer.len()));
        }
    }

    /// The next datagram, waiting for it until `deadline` at most.
    pub(crate) fn receive(&self, buffer: &mut [u8], deadline: Instant) -> Result<usize, Trouble> {
        loop {
            match self.receive_now(buffer) {
                Err(Errno::EAGAIN) => self.wait(deadline)?,
                Err(errno) => return Err(Trouble::Errno(errno)),
                Ok(length) => return Ok(length),
            }
        }
    }

    /// Throws away whatever is waiting. Also ends the state in which the kernel, after an overrun, refuses to
    /// queue more.
    pub(crate) fn drain(&self, buffer: &mut [u8], deadline: Instant) {
        while Instant::now() < deadline {
            if self.receive_now(buffer) == Err(Errno::EAGAIN) {
                return;
            }
        }
    }

    fn wait(&self, deadline: Instant) -> Result<(), Trouble> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Trouble::Late);
        }
        // poll counts in milliseconds: one more, so that it does not spin through the last one.
        let left = left.saturating_add(std::time::Duration::from_millis(1));
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Trouble::Errno(errno)),
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
