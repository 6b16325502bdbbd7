//! Drives an [`Exchange`] over UDP, and the check that is content with no refusal.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::origin;
use super::progress::Progress;
use super::proto::Exchange;

/// The longest answer looked at.
const LONGEST: usize = 65_535;

/// A UDP socket whose only peer is `address`, so that the kernel tells of its ICMP errors.
///
/// # Errors
/// A sentence.
pub(super) async fn open(address: SocketAddr, progress: &Progress) -> Result<UdpSocket, String> {
    let any: IpAddr = origin::from(address.ip()).unwrap_or(match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    });
    let opened = origin::patiently(progress, || async move {
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
        socket.connect(address).await?;
        Ok(socket)
    });
    opened.await.map_err(|e| failed(address, &e))
}

/// Asks until an answer is judged; asks again every `patience`. The deadline is the caller's.
///
/// # Errors
/// A sentence.
pub(super) async fn ask(
    socket: &UdpSocket,
    address: SocketAddr,
    exchange: &mut dyn Exchange,
    patience: Duration,
    progress: &Progress,
) -> Result<(), String> {
    progress.at("to the question");
    let mut answer = vec![0; LONGEST];
    loop {
        socket.send(exchange.question()).await.map_err(|e| failed(address, &e))?;
        let heard = async {
            loop {
                let length = socket.recv(&mut answer).await.map_err(|e| failed(address, &e))?;
                if let Some(verdict) = exchange.judge(&answer[..length]) {
                    return verdict;
                }
                progress.at("that belongs to the question");
            }
        };
        if let Ok(verdict) = tokio::time::timeout(patience, heard).await {
            return verdict;
        }
    }
}

/// Sends `words` and takes silence for a good sign, which is all UDP by itself can tell: good unless the server, or a
/// router on the way, says by ICMP that nobody is there. Listens for `patience`.
///
/// # Errors
/// A sentence.
pub(super) async fn not_refused(
    address: SocketAddr,
    words: &[u8],
    patience: Duration,
    progress: &Progress,
) -> Result<(), String> {
    let socket = open(address, progress).await?;
    socket.send(words).await.map_err(|e| failed(address, &e))?;
    let mut answer = [0; 1];
    match tokio::time::timeout(patience, socket.recv(&mut answer)).await {
        Ok(Err(error)) => Err(failed(address, &error)),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

fn failed(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => format!("nobody listens on {address} (ICMP port unreachable)"),
        ErrorKind::HostUnreachable => format!("there is no way to {address} (host unreachable)"),
        ErrorKind::NetworkUnreachable => format!("there is no route to {address} (network unreachable)"),
        _ => format!("cannot ask {address}: {error}"),
    }
}
