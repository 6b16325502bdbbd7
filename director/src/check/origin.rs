//! Where checks come from: never from a virtual address.
//!
//! Of several IPv6 addresses that fit, Linux takes the one that came last or is longest (RFC 6724, rule 8), and on the active
//! director that is the virtual address. A real server of direct routing has that address too: it would answer itself, and
//! every check would fail as soon as the address has moved here. For IPv4 the route's own source is taken, which no address
//! that is added later changes.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use tokio::net::{TcpSocket, TcpStream};

use super::progress::Progress;

/// Between two tries when there is no descriptor.
const SCARCE: Duration = Duration::from_millis(20);

/// The addresses no check comes from; of the process, as its addresses are.
static AVOIDED: Mutex<Option<Arc<BTreeSet<Ipv6Addr>>>> = Mutex::new(None);

/// From now on checks come from none of these.
pub fn avoid(addresses: impl Iterator<Item = IpAddr>) {
    let v6: BTreeSet<Ipv6Addr> = addresses
        .filter_map(|address| match address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        })
        .collect();
    *AVOIDED.lock().unwrap_or_else(PoisonError::into_inner) = (!v6.is_empty()).then(|| Arc::new(v6));
}

/// A TCP connection. One for which there is no descriptor is waited for: that is our trouble and not the server's, and goes
/// by when other checks end.
///
/// # Errors
/// It did not come about.
pub(crate) async fn connect(to: SocketAddr, progress: &Progress) -> io::Result<TcpStream> {
    let open = || async move {
        match from(to.ip()) {
            None => TcpStream::connect(to).await,
            Some(from) => {
                let socket = TcpSocket::new_v6()?;
                socket.bind(SocketAddr::new(from, 0))?;
                socket.connect(to).await
            }
        }
    };
    patiently(progress, open).await
}

/// What `open` opens, as soon as there is a descriptor for it. The deadline is the caller's.
///
/// # Errors
/// Any other.
pub(super) async fn patiently<T, F>(progress: &Progress, mut open: impl FnMut() -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        match open().await {
            Err(error) if is_scarce(&error) => {
                progress.at("while the director had no descriptor free");
                tokio::time::sleep(SCARCE).await;
            }
            opened => return opened,
        }
    }
}

/// Whether there was no descriptor, of this process or of the machine.
fn is_scarce(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .is_some_and(|number| [Errno::EMFILE, Errno::ENFILE].contains(&Errno::from_raw(number)))
}

/// The address to ask `to` from, if the kernel's own choice is not to be had.
pub(super) fn from(to: IpAddr) -> Option<IpAddr> {
    let avoided = AVOIDED.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
    let IpAddr::V6(to) = to else { return None };
    let usual = usual(to).ok()?;
    if !avoided.contains(&usual) || usual == to {
        return None;
    }
    let all = || {
        let found = getifaddrs().into_iter().flatten();
        found.filter_map(|found| Some((found.interface_name, found.address?.as_sockaddr_in6()?.ip())))
    };
    let (interface, _) = all().find(|(_, address)| *address == usual)?;
    let others = all().filter(|(name, _)| *name == interface).map(|(_, address)| address);
    nearest(to, others.filter(|address| !avoided.contains(address))).map(IpAddr::V6)
}

/// What the kernel would take: a UDP socket that is connected says so, and sends nothing.
fn usual(to: Ipv6Addr) -> io::Result<Ipv6Addr> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    // Any port: discard's.
    socket.connect((to, 9))?;
    match socket.local_addr()?.ip() {
        IpAddr::V6(address) => Ok(address),
        IpAddr::V4(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The one most like `to`, of those that can be used to get there at all.
fn nearest(to: Ipv6Addr, addresses: impl Iterator<Item = Ipv6Addr>) -> Option<Ipv6Addr> {
    let local = |address: &Ipv6Addr| address.is_unicast_link_local();
    addresses
        .filter(|address| local(address) == local(&to))
        .max_by_key(|address| (address.to_bits() ^ to.to_bits()).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_the_right_kind() {
        let address = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let list = ["fe80::1", "fd77::a", "2001:db8::1"].map(address);
        assert_eq!(nearest(address("fd77::1:5"), list.into_iter()), Some(address("fd77::a")));
        assert_eq!(nearest(address("fe80::5"), list.into_iter()), Some(address("fe80::1")));
        assert_eq!(nearest(address("fe80::5"), list.into_iter().skip(1)), None);
    }

    #[tokio::test]
    async fn a_descriptor_is_waited_for_and_nothing_else() {
        let progress = Progress::default();
        let mut tries = 0;
        let opened = patiently(&progress, || {
            tries += 1;
            std::future::ready(match tries {
                1 => Err(io::Error::from_raw_os_error(Errno::EMFILE as i32)),
                2 => Err(io::Error::from_raw_os_error(Errno::ENFILE as i32)),
                _ => Ok(tries),
            })
        });
        assert_eq!(opened.await.ok(), Some(3));
        assert_eq!(progress.stage(), "while the director had no descriptor free");
        let refuse = || std::future::ready(Err::<(), io::Error>(io::ErrorKind::ConnectionRefused.into()));
        let refused = patiently(&progress, refuse).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn nothing_is_changed_where_nothing_is_to_be_avoided() {
        assert_eq!(from(IpAddr::V6(Ipv6Addr::LOCALHOST)), None);
        assert_eq!(usual(Ipv6Addr::LOCALHOST).ok(), Some(Ipv6Addr::LOCALHOST));
    }
}
