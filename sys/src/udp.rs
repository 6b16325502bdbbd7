//! The sockets heartbeats travel on: non-blocking, each tied to its interface.
//!
//! All have SO_REUSEADDR (several clusters share a port), close-on-exec, a receive buffer of 1 MiB (as far as
//! the process
//! may), and traffic class CS6 with socket priority 6, so that heartbeats pass bulk traffic in this machine's queues
//! and in switches that care. Datagrams of other senders arrive too: trust nothing before it is authenticated.
//!
//! Every socket belongs to the interface as it is now. After the interface was deleted and made again, sends fail
//! (ENODEV, ENXIO) and nothing arrives: open the link anew. Going down and up is survived.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsFd;

use nix::net::if_::if_nametoindex;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};

use crate::option;

/// Receive buffer asked for, in bytes: thousands of heartbeats, for a loop that was kept waiting.
const RECEIVE_BUFFER: libc::c_int = 1 << 20;
/// CS6, "network control" (RFC 4594 section 3.1), as the IPv4 TOS or IPv6 traffic class byte.
const CS6: u32 = 6 << 5;
/// The highest priority that needs no privilege (socket(7), SO_PRIORITY).
const PRIORITY: u32 = 6;

/// A socket and where to send each heartbeat.
#[derive(Debug)]
pub struct Link {
    /// Bound and non-blocking; hand it to `tokio::net::UdpSocket::from_std`.
    pub socket: UdpSocket,
    /// Every heartbeat goes to each of these.
    pub targets: Vec<SocketAddr>,
}

/// Broadcast on one interface (`bcast eth1`).
///
/// The target is 255.255.255.255, which never leaves the wire. Unlike the broadcast address of a subnet it does
/// not depend on the addresses of the interface, nor on both nodes having noted the same prefix length, and it works
/// on an interface that has no IPv4 address at all (the source is then 0.0.0.0). Receives what is broadcast or
/// sent to
/// `port` of any local address through that interface. What this machine itself broadcasts does not come back: a
/// filter in the kernel drops the looped copy, which would wake the daemon as often as its peer does.
///
/// # Errors
/// `NotFound` if there is no such interface, `PermissionDenied` for a port below 1024 without CAP_NET_BIND_SERVICE,
/// else the errno.
pub fn bcast(interface: &str, port: u16) -> io::Result<Link> {
    let context = || format!("bcast {interface} port {port}");
    index_of(interface).and_then(|_| open_bcast(interface, port)).map_err(|error| told(&error, &context()))
}

fn open_bcast(interface: &str, port: u16) -> io::Result<Link> {
    let socket = new_socket(Domain::IPV4)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_broadcast(true)?;
    // A kernel without socket filters only costs a wake for each own broadcast.
    let _ = socket.attach_filter(&not_looped());
    finish(
        socket,
        SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        SocketAddr::new(Ipv4Addr::BROADCAST.into(), port),
    )
}

/// The offset at which a socket filter finds what the kernel knows of a packet, and there the packet's type
/// (SKF_AD_OFF and SKF_AD_PKTTYPE, include/uapi/linux/filter.h).
const PACKET_TYPE: u32 = (-0x1000_i32).cast_unsigned() + 4;
/// The copy of an own broadcast that the kernel hands back (include/uapi/linux/if_packet.h). A datagram that comes
/// off the wire never has this type, whatever address it claims to be from.
const PACKET_LOOPBACK: u32 = 5;

/// The socket filter: if the packet is a looped copy, keep nothing of it, else all.
fn not_looped() -> [SockFilter; 4] {
    [
        SockFilter::new(0x28, 0, 0, PACKET_TYPE), // BPF_LD | BPF_H | BPF_ABS
        SockFilter::new(0x15, 0, 1, PACKET_LOOPBACK), // BPF_JMP | BPF_JEQ | BPF_K
        SockFilter::new(0x06, 0, 0, 0),           // BPF_RET | BPF_K
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ]
}

/// Multicast on one interface (`mcast eth0 239.255.42.1`), IPv4 or IPv6, at most `ttl` hops far.
///
/// Own datagrams do not come back (loop off), and only what is sent to the group arrives. The interface needs an
/// address of the family to send from: an IPv6 interface has its link-local one. Without any IPv4 address the
/// kernel sends
/// from 0.0.0.0, or from an address of another interface; receivers drop the former, except for groups within
/// 224.0.0.0/24.
///
/// # Errors
/// `InvalidInput` if `group` is no multicast address, `NotFound` if there is no such interface, else the errno.
pub fn mcast(interface: &str, group: IpAddr, port: u16, ttl: u8) -> io::Result<Link> {
    let context = || format!("mcast {interface} {group} port {port}");
    open_mcast(interface, group, port, ttl).map_err(|error| told(&error, &context()))
}

fn open_mcast(interface: &str, group: IpAddr, port: u16, ttl: u8) -> io::Result<Link> {
    if !group.is_multicast() {
        return Err(invalid("the group is no multicast address (224.0.0.0/4 or ff00::/8)"));
    }
    let index = index_of(interface)?;
    let target = match group {
        IpAddr::V4(group) => SocketAddr::V4(SocketAddrV4::new(group, port)),
        IpAddr::V6(group) => SocketAddr::V6(SocketAddrV6::new(group, port, 0, index)),
    };
    let socket = new_socket(Domain::for_address(target))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    match group {
        IpAddr::V4(group) => {
            let by_index = libc::ip_mreqn {
                imr_multiaddr: libc::in_addr { s_addr: 0 },
                imr_address: libc::in_addr { s_addr: 0 },
                imr_ifindex: index.cast_signed(),
            };
            option::set(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &by_index)?;
            socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index))?;
            socket.set_multicast_all_v4(false)?;
            socket.set_multicast_loop_v4(false)?;
            socket.set_multicast_ttl_v4(ttl.into())?;
        }
        IpAddr::V6(group) => {
            socket.set_multicast_if_v6(index)?;
            socket.join_multicast_v6(&group, index)?;
            socket.set_multicast_all_v6(false)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_multicast_hops_v6(ttl.into())?;
        }
    }
    finish(socket, target, target)
}

/// Unicast from `local` to `peers`, through `interface` only if one is given.
///
/// The local address may still be missing (IP_FREEBIND): until it is there nothing arrives, and sends fail.
/// Link-local IPv6
/// addresses need the interface.
///
/// # Errors
/// `InvalidInput` if there is no peer, the families differ, or a link-local address has no interface; `NotFound` if
/// there is no such interface; else the errno.
pub fn ucast(local: IpAddr, interface: Option<&str>, peers: &[IpAddr], port: u16) -> io::Result<Link> {
    let context = || format!("ucast {local} port {port}");
    open_ucast(local, interface, peers, port).map_err(|error| told(&error, &context()))
}

fn open_ucast(local: IpAddr, interface: Option<&str>, peers: &[IpAddr], port: u16) -> io::Result<Link> {
    if peers.is_empty() {
        return Err(invalid("there is no peer to send to"));
    }
    if peers.iter().any(|peer| peer.is_ipv4() != local.is_ipv4()) {
        return Err(invalid("all addresses of the link must be IPv4, or all IPv6"));
    }
    let index = interface.map(index_of).transpose()?;
    let endpoint = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => Ok(SocketAddr::V4(SocketAddrV4::new(*ip, port))),
        IpAddr::V6(ip) if !ip.is_unicast_link_local() => {
            Ok(SocketAddr::V6(SocketAddrV6::new(*ip, port, 0, 0)))
        }
        IpAddr::V6(ip) => match index {
            Some(index) => Ok(SocketAddr::V6(SocketAddrV6::new(*ip, port, 0, index))),
            None => Err(invalid("a link-local address (fe80::/10) needs the interface to be named")),
        },
    };
    let here = endpoint(&local)?;
    let targets = peers.iter().map(endpoint).collect::<io::Result<Vec<_>>>()?;
    let socket = new_socket(Domain::for_address(here))?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    match local {
        IpAddr::V4(_) => socket.set_freebind_v4(true)?,
        IpAddr::V6(_) => socket.set_freebind_v6(true)?,
    }
    socket.bind(&here.into())?;
    Ok(Link { socket: socket.into(), targets })
}

/// What all of them have in common.
fn new_socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM.cloexec().nonblocking(), Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    option::receive_buffer(socket.as_fd(), RECEIVE_BUFFER)?;
    // Being served first is a favour: a sandbox that refuses it does no harm. The class comes first, it sets a
    // priority too.
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
        let _ = socket.set_tclass_v6(CS6);
    } else {
        let _ = socket.set_tos_v4(CS6);
    }
    let _ = socket.set_priority(PRIORITY);
    Ok(socket)
}

fn finish(socket: Socket, local: SocketAddr, target: SocketAddr) -> io::Result<Link> {
    socket.bind(&local.into())?;
    Ok(Link { socket: socket.into(), targets: vec![target] })
}

/// The index of an interface of this network namespace.
fn index_of(interface: &str) -> io::Result<u32> {
    if_nametoindex(interface).map_err(|_| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("there is no interface {interface:?} (see `ip link`)"),
        )
    })
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// The same kind of error, saying which link.
fn told(error: &io::Error, context: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{context}: {error}"))
}

/// Whether `ip` is a link-local IPv6 address, which means something only together with an interface.
pub fn needs_interface(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if Ipv6Addr::is_unicast_link_local(&ip))
}

#[cfg(test)]
mod tests;
