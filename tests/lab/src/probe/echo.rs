//! The responder: answers probes from the very address that was asked, as a real service would.
//!
//! A plain socket on 0.0.0.0 would answer from the machine's own address; IP_PKTINFO (ip(7)) and
//! IPV6_PKTINFO (RFC 3542) tell the address that was asked and set the one to answer from.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, bind,
    recvmsg, sendmsg, setsockopt, socket, sockopt,
};

use super::wire;
use crate::error::Context;
use crate::{LabError, Result};

/// The port probes go to unless told otherwise: echo (RFC 862).
pub const PORT: u16 = 7;

/// Answers on all `addresses` as `name`; returns only if a socket breaks.
///
/// # Errors
/// An address cannot be bound, or a socket broke.
pub fn serve(name: &str, addresses: &[SocketAddr]) -> Result<()> {
    let sockets: Vec<_> = addresses.iter().map(|a| open(*a)).collect::<Result<_>>()?;
    let (tx, rx) = std::sync::mpsc::channel();
    for (address, socket) in addresses.iter().zip(sockets) {
        let (name, tx, address) = (name.to_owned(), tx.clone(), *address);
        thread::spawn(move || {
            let end = answer(&socket, &name);
            let _ = tx.send(LabError(format!("the responder on {address} broke: {end}")));
        });
    }
    drop(tx);
    println!("answering as {name} on {addresses:?}");
    Err(rx.recv().unwrap_or_else(|_| LabError::new("no address to answer on was given")))
}

/// The address family decides which packet-info messages a socket gives; v6 sockets stay v6 only.
fn open(address: SocketAddr) -> Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let what = || format!("cannot answer on {address}");
    let fd: OwnedFd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).context(what)?;
    if address.is_ipv4() {
        setsockopt(&fd, sockopt::Ipv4PacketInfo, &true).context(what)?;
    } else {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true).context(what)?;
        setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true).context(what)?;
    }
    // A burst of a whole probe run must not be lost in the responder: that would look like an outage.
    setsockopt(&fd, sockopt::RcvBuf, &(1 << 20)).context(what)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address)).context(what)?;
    Ok(UdpSocket::from(fd))
}

/// The loop of one socket; gives the error that ended it.
fn answer(socket: &UdpSocket, name: &str) -> Errno {
    let fd = socket.as_raw_fd();
    let mut buffer = [0u8; wire::HEADER + wire::NAME_MAX];
    let mut control = cmsg_space!(in6_pktinfo, in_pktinfo);
    loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received = match recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::empty())
        {
            Ok(m) => m,
            Err(Errno::EINTR) => continue,
            Err(e) => return e,
        };
        let (length, from) = (received.bytes, received.address);
        let mut asked4 = None;
        let mut asked6 = None;
        for message in received.cmsgs().into_iter().flatten() {
            match message {
                ControlMessageOwned::Ipv4PacketInfo(i) => asked4 = Some(answer_from4(i)),
                ControlMessageOwned::Ipv6PacketInfo(i) => asked6 = Some(answer_from6(i)),
                _ => {}
            }
        }
        let Some(length) = wire::make_reply(&mut buffer, length, name) else {
            continue;
        };
        let mut info = Vec::with_capacity(1);
        info.extend(asked4.as_ref().map(ControlMessage::Ipv4PacketInfo));
        info.extend(asked6.as_ref().map(ControlMessage::Ipv6PacketInfo));
        // An address that went away between question and answer: the probe is lost, as it should be.
        let _ = sendmsg(fd, &[IoSlice::new(&buffer[..length])], &info, MsgFlags::empty(), from.as_ref());
    }
}

fn answer_from4(asked: in_pktinfo) -> in_pktinfo {
    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: asked.ipi_addr, ipi_addr: asked.ipi_addr }
}

/// Link-local addresses keep their interface, without which they mean nothing.
fn answer_from6(asked: in6_pktinfo) -> in6_pktinfo {
    let link_local = asked.ipi6_addr.s6_addr[0] == 0xfe && asked.ipi6_addr.s6_addr[1] & 0xc0 == 0x80;
    let ipi6_ifindex = if link_local { asked.ipi6_ifindex } else { 0 };
    in6_pktinfo { ipi6_addr: asked.ipi6_addr, ipi6_ifindex }
}
