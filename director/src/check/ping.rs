//! ICMP echo, IPv4 and IPv6.
//!
//! First by a datagram socket (icmp(7), `net.ipv4.ping_group_range`), which needs no privilege; where that is not
//! allowed by a raw one, which needs CAP_NET_RAW.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::origin;
use super::progress::Progress;
use super::proto::icmp::Echo;

/// A socket that speaks ICMP with one address.
struct Pinger {
    socket: UdpSocket,
    raw: bool,
}

impl Pinger {
    fn open(address: IpAddr) -> Result<Pinger, String> {
        let open = |kind: Type| -> io::Result<Socket> {
            let (domain, protocol) = match address {
                IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
                IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
            };
            let socket = Socket::new(domain, kind, Some(protocol))?;
            socket.set_nonblocking(true)?;
            if let Some(from) = origin::from(address) {
                socket.bind(&SocketAddr::new(from, 0).into())?;
            }
            socket.connect(&SocketAddr::new(address, 0).into())?;
            Ok(socket)
        };
        let (socket, raw) = match open(Type::DGRAM) {
            Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied) => (open(Type::RAW), true),
            opened => (opened, false),
        };
        let socket = socket.map_err(|e| match e.kind() {
            ErrorKind::PermissionDenied => {
                "no permission to ping: widen net.ipv4.ping_group_range, or give the director CAP_NET_RAW"
                    .to_owned()
            }
            _ => failed(address, &e),
        })?;
        let socket = UdpSocket::from_std(socket.into()).map_err(|e| failed(address, &e))?;
        Ok(Pinger { socket, raw })
    }
}

/// Until the echo comes back; sent again every `patience`. The deadline is the caller's.
///
/// # Errors
/// A sentence.
pub(super) async fn ping(address: IpAddr, patience: Duration, progress: &Progress) -> Result<(), String> {
    progress.at("to the echo request");
    let pinger = Pinger::open(address)?;
    let nonce = super::random::<8>()?;
    let echo = Echo::new(address.is_ipv6(), u16::from_be_bytes([nonce[0], nonce[1]]), nonce);
    let mut packet = [0; 512];
    loop {
        pinger.socket.send(echo.request()).await.map_err(|e| failed(address, &e))?;
        let heard = async {
            loop {
                let length = pinger.socket.recv(&mut packet).await.map_err(|e| failed(address, &e))?;
                if echo.is_reply(&packet[..length], pinger.raw) {
                    return Ok(());
                }
            }
        };
        if let Ok(verdict) = tokio::time::timeout(patience, heard).await {
            return verdict;
        }
    }
}

fn failed(address: IpAddr, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::HostUnreachable => format!("there is no way to {address} (host unreachable)"),
        ErrorKind::NetworkUnreachable => format!("there is no route to {address} (network unreachable)"),
        _ => format!("cannot ping {address}: {error}"),
    }
}
