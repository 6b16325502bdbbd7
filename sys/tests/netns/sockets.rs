//! Heartbeat sockets between two namespaces.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use sys::udp::{self, Link};

use crate::space::{Space, pair, wait_for};

const PORT: u16 = 694;

/// Sends from one to the other until something arrives (a carrier or an address may still be on its way), and
/// returns the sender's address.
fn crosses(what: &str, from: &Link, to: &Link) -> SocketAddr {
    let mut buffer = [0; 64];
    wait_for(what, || {
        for target in &from.targets {
            // Refused while the address is not yet there; the wait is bounded.
            let _ = from.socket.send_to(what.as_bytes(), target);
        }
        match to.socket.recv_from(&mut buffer) {
            Ok((length, sender)) => (&buffer[..length] == what.as_bytes()).then_some(sender),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{what}: {error}"),
        }
    })
}

/// Both directions, and nothing of one's own comes back.
fn round_trip(what: &str, here: &Link, there: &Link) {
    crosses(what, here, there);
    crosses(&format!("{what}, and back"), there, here);
    // Whatever is on the wire has arrived at the other end by now: a veth delivers within the send.
    let mut buffer = [0; 64];
    while there.socket.recv_from(&mut buffer).is_ok() {}
    while here.socket.recv_from(&mut buffer).is_ok() {}
    here.socket.send_to(b"echo?", here.targets[0]).expect("send");
    wait_for("the datagram", || there.socket.recv_from(&mut buffer).ok());
    let own = here.socket.recv_from(&mut buffer).expect_err("own datagrams must not come back");
    assert_eq!(own.kind(), ErrorKind::WouldBlock);
}

fn address(space: &Space, ip: &str) {
    space.ip(&format!("addr add {ip} dev v0"));
}

#[test]
fn broadcast_with_and_without_an_address() {
    let Some((here, there)) = pair() else { return };
    let open = |space: &Space| space.enter(|| udp::bcast("v0", PORT)).expect("bcast");
    let (one, other) = (open(&here), open(&there));
    let sender = crosses("bcast without any address", &one, &other);
    assert_eq!(sender.to_string(), format!("0.0.0.0:{PORT}"));
    round_trip("bcast without any address", &one, &other);
    // Addresses of different networks do not matter either.
    address(&here, "10.77.0.1/24");
    let sender = crosses("bcast with one address", &one, &other);
    assert_eq!(sender.to_string(), format!("10.77.0.1:{PORT}"));
    address(&there, "10.77.0.2/24");
    round_trip("bcast with addresses", &one, &other);
    // The interface goes down and comes back under the open sockets.
    here.ip("link set v0 down");
    here.ip("link set v0 up");
    round_trip("bcast again", &one, &other);
}

#[test]
fn two_clusters_share_a_port() {
    let Some((here, there)) = pair() else { return };
    let open = |space: &Space| space.enter(|| udp::bcast("v0", PORT)).expect("bcast");
    let (sender, one, other) = (open(&here), open(&there), open(&there));
    crosses("bcast to one", &sender, &one);
    crosses("bcast to one", &sender, &other);
}

#[test]
fn multicast_of_both_families() {
    let Some((here, there)) = pair() else { return };
    let open = |space: &Space, group: &str| {
        let group: IpAddr = group.parse().expect("ip");
        space.enter(|| udp::mcast("v0", group, PORT, 1)).expect("mcast")
    };
    let (one, other) = (open(&here, "224.0.0.142"), open(&there, "224.0.0.142"));
    round_trip("mcast of the local block without an address", &one, &other);

    let (one, other) = (open(&here, "239.255.42.1"), open(&there, "239.255.42.1"));
    address(&here, "10.77.0.1/24");
    address(&there, "10.77.0.2/24");
    round_trip("mcast", &one, &other);
    for group in ["ff02::42:1", "ff15::42:1"] {
        let (one, other) = (open(&here, group), open(&there, group));
        round_trip("mcast6", &one, &other);
    }
    // What goes to another group, or to the machine itself, does not arrive.
    let (one, other) = (open(&here, "239.255.42.2"), open(&there, "239.255.42.3"));
    one.socket.send_to(b"x", one.targets[0]).expect("send");
    one.socket
        .send_to(b"x", format!("10.77.0.2:{PORT}").parse::<SocketAddr>().expect("address"))
        .expect("send");
    let (control, listener) = (open(&here, "239.255.42.4"), open(&there, "239.255.42.4"));
    crosses("mcast control", &control, &listener);
    let nothing = other.socket.recv_from(&mut [0; 8]).expect_err("nothing");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

#[test]
fn unicast_of_both_families_and_link_local() {
    let Some((here, there)) = pair() else { return };
    let open = |space: &Space, local: &str, interface, peer: &str| {
        let (local, peer) = (local.parse().expect("ip"), peer.parse().expect("ip"));
        space.enter(|| udp::ucast(local, interface, &[peer], PORT)).expect("ucast")
    };
    // Opened before any of the addresses is there.
    let (one, other) =
        (open(&here, "10.77.0.1", None, "10.77.0.2"), open(&there, "10.77.0.2", None, "10.77.0.1"));
    let (one6, other6) = (open(&here, "fd77::1", None, "fd77::2"), open(&there, "fd77::2", None, "fd77::1"));
    let (near, far) = (
        open(&here, "fe80::77:1", Some("v0"), "fe80::77:2"),
        open(&there, "fe80::77:2", Some("v0"), "fe80::77:1"),
    );
    for ip in ["10.77.0.1/24", "fd77::1/64", "fe80::77:1/64"] {
        address(&here, ip);
    }
    for ip in ["10.77.0.2/24", "fd77::2/64", "fe80::77:2/64"] {
        address(&there, ip);
    }
    round_trip("ucast", &one, &other);
    round_trip("ucast6", &one6, &other6);
    round_trip("ucast6 link-local", &near, &far);
}
