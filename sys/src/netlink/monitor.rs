//! News of interfaces and addresses, as they happen.

use std::collections::VecDeque;

use nix::errno::Errno;
use socket2::SockFilter;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::socket::{DATAGRAM, Socket};
use super::wire::{Message, Messages};
use super::{Address, Error, Link, address, link};

/// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR (linux/rtnetlink.h).
const GROUPS: [u32; 3] = [1, 5, 9];

/// Something changed in the kernel, by whomever: hbd's own changes are told as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An interface appeared or changed (up, carrier, name, …), or, if `gone`, ceased to exist.
    Link {
        /// The interface as it is now, or last was.
        link: Link,
        /// It no longer exists.
        gone: bool,
    },
    /// An address was added, renewed, or changed its flags.
    AddressAdded(Address),
    /// An address is no longer there: removed, or its lifetime ended.
    AddressRemoved(Address),
    /// News was lost: read the tables again ([`Netlink::links`](super::Netlink::links),
    /// [`Netlink::addresses`](super::Netlink::addresses)). What happens from now on is told completely again.
    Overrun,
}

/// Listens to the kernel. Open it before reading the tables, so that nothing falls in between.
#[derive(Debug)]
pub struct Monitor {
    socket: AsyncFd<Socket>,
    buffer: Vec<u8>,
    pending: VecDeque<Change>,
    /// Datagrams thrown away since news was lost; `None` while nothing is.
    discarded: Option<u32>,
}

/// After so many datagrams thrown away in a row, the loss is told even if more are waiting.
const DISCARD: u32 = 1 << 16;

impl Monitor {
    /// Starts to listen in the network namespace of the calling thread; needs no privilege.
    ///
    /// # Errors
    /// Outside a tokio runtime, or when the kernel has no descriptor or memory left.
    ///
    /// # Panics
    /// As all of tokio's I/O in a runtime that was built without `enable_io`.
    pub fn open() -> Result<Monitor, Error> {
        Monitor::with(None)
    }

    /// The same, but addresses added or renewed with `mark` (IFA_PROTO) are passed over by the kernel itself: who
    /// renews a thousand leases each second need not be told of it. Their removal is told.
    ///
    /// # Errors
    /// As [`Monitor::open`].
    ///
    /// # Panics
    /// As [`Monitor::open`].
    pub fn open_passing_over(mark: u8) -> Result<Monitor, Error> {
        Monitor::with(Some(mark))
    }

    fn with(mark: Option<u8>) -> Result<Monitor, Error> {
        let what = "watch links and addresses";
        if tokio::runtime::Handle::try_current().is_err() {
            let reason = super::Reason::Invalid("there is no tokio runtime here".into());
            return Err(Error { what: what.into(), reason, kernel: None });
        }
        let socket = Socket::open(nix::sys::socket::SockProtocol::NetlinkRoute, &GROUPS)?;
        if let Some(mark) = mark {
            // A kernel without socket filters only tells more.
            let _ = socket2::SockRef::from(&socket).attach_filter(&not_renewed(mark));
        }
        // SAFETY: `Socket` owns its descriptor, always returns that same one, offers no way to replace or
        // close it, and
        // is given to the AsyncFd by value: it stays open until the AsyncFd is dropped.
        let registered = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        let socket = registered.map_err(|error| {
            let error = std::io::Error::from(error);
            Error::errno(what, Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
        })?;
        Ok(Monitor { socket, buffer: vec![0; DATAGRAM], pending: VecDeque::new(), discarded: None })
    }

    /// The next change. Nothing is lost if the future is dropped before it is ready.
    ///
    /// # Errors
    /// The socket is broken; open another one.
    pub async fn next(&mut self) -> Result<Change, Error> {
        loop {
            if let Some(change) = self.pending.pop_front() {
                return Ok(change);
            }
            let mut ready = self
                .socket
                .readable()
                .await
                .map_err(|_| Error::errno("watch links and addresses", Errno::EIO))?;
            match (ready.get_inner().receive_now(&mut self.buffer), self.discarded) {
                (Ok(length), None) => self.pending.extend(changes(&self.buffer[..length])),
                // After a loss the kernel queues nothing more until all that waits is taken away. Only then is it the
                // time to read the tables; and whatever the old news says, the tables will say as well.
                (Ok(_), Some(count)) if count < DISCARD => self.discarded = Some(count + 1),
                (Ok(_), Some(_)) => {
                    self.discarded = Some(0);
                    self.pending.push_back(Change::Overrun);
                }
                (Err(Errno::ENOBUFS), _) => self.discarded = Some(0),
                (Err(Errno::EAGAIN), lost) => {
                    ready.clear_ready();
                    self.discarded = None;
                    self.pending.extend(lost.map(|_| Change::Overrun));
                }
                (Err(errno), _) => return Err(Error::errno("watch links and addresses", errno)),
            }
        }
    }
}

/// IFA_PROTO (linux/if_addr.h).
const IFA_PROTO: u32 = 11;
/// Where the attributes of an address message begin: behind nlmsghdr and ifaddrmsg.
const ADDRESS_ATTRIBUTES: u32 = 16 + 8;
/// The offset at which a socket filter finds an attribute of the type in X, from A on (SKF_AD_OFF and SKF_AD_NLATTR,
/// include/uapi/linux/filter.h).
const FIND_ATTRIBUTE: u32 = (-0x1000_i32).cast_unsigned() + 12;

/// The socket filter: of address news keep none that carries `mark`, of all else everything. Each message of these groups
/// is a datagram of its own.
fn not_renewed(mark: u8) -> [SockFilter; 10] {
    let new_address = u32::from(u16::from_be_bytes(libc::RTM_NEWADDR.to_ne_bytes()));
    [
        SockFilter::new(0x28, 0, 0, 4),           // BPF_LD | BPF_H | BPF_ABS: nlmsg_type
        SockFilter::new(0x15, 0, 7, new_address), // BPF_JMP | BPF_JEQ | BPF_K, else to the last
        SockFilter::new(0x01, 0, 0, IFA_PROTO),   // BPF_LDX | BPF_IMM
        SockFilter::new(0x00, 0, 0, ADDRESS_ATTRIBUTES), // BPF_LD | BPF_IMM
        SockFilter::new(0x20, 0, 0, FIND_ATTRIBUTE), // BPF_LD | BPF_W | BPF_ABS
        SockFilter::new(0x07, 0, 0, 0),           // BPF_MISC | BPF_TAX: 0 if there is none, and then
        SockFilter::new(0x50, 0, 0, 4), // BPF_LD | BPF_B | BPF_IND: the header's byte 4, which is no mark
        SockFilter::new(0x15, 0, 1, u32::from(mark)),
        SockFilter::new(0x06, 0, 0, 0), // BPF_RET | BPF_K
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ]
}

/// The changes in one datagram.
fn changes(datagram: &[u8]) -> Vec<Change> {
    let mut messages = Messages::new(datagram);
    let mut changes: Vec<Change> = messages.by_ref().filter_map(|message| read(&message)).collect();
    if messages.damaged() {
        changes.push(Change::Overrun);
    }
    changes
}

/// What one message tells; `None` for what is of no interest here.
pub(super) fn read(message: &Message<'_>) -> Option<Change> {
    match message.kind {
        libc::RTM_NEWLINK => Some(Change::Link { link: link::parse(message.body)?, gone: false }),
        libc::RTM_DELLINK => Some(Change::Link { link: link::parse(message.body)?, gone: true }),
        libc::RTM_NEWADDR => address::parse(message.body).map(Change::AddressAdded),
        libc::RTM_DELADDR => address::parse(message.body).map(Change::AddressRemoved),
        kind if i32::from(kind) == libc::NLMSG_OVERRUN => Some(Change::Overrun),
        _ => None,
    }
}
