use std::time::{Duration, Instant};

use super::*;

/// Receives with a bound; `None` when nothing comes.
fn receive(link: &Link) -> Option<(Vec<u8>, SocketAddr)> {
    let end = Instant::now() + Duration::from_secs(10);
    let mut buffer = [0; 64];
    while Instant::now() < end {
        match link.socket.recv_from(&mut buffer) {
            Ok((length, from)) => return Some((buffer[..length].to_vec(), from)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => panic!("receive: {error}"),
        }
    }
    None
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let probe = UdpSocket::bind("127.0.0.1:0").expect("bind");
    probe.local_addr().expect("address").port()
}

#[test]
fn unicast_goes_round_and_the_socket_is_as_promised() {
    let port = free_port();
    let (one, other) = ("127.0.0.2".parse().expect("ip"), "127.0.0.3".parse().expect("ip"));
    let here = ucast(one, Some("lo"), &[other], port).expect("open");
    let there = ucast(other, None, &[one], port).expect("open");
    assert_eq!(here.targets, [SocketAddr::new(other, port)]);
    here.socket.send_to(b"beat", here.targets[0]).expect("send");
    assert_eq!(receive(&there), Some((b"beat".to_vec(), SocketAddr::new(one, port))));

    let socket = socket2::SockRef::from(&here.socket);
    assert!(socket.reuse_address().expect("option") && socket.nonblocking().expect("option"));
    assert_eq!((socket.priority().expect("option"), socket.tos_v4().expect("option")), (PRIORITY, CS6));
}

#[test]
fn unicast_can_be_opened_before_its_address_is_there() {
    let port = free_port();
    for (local, peer) in [("192.0.2.77", "192.0.2.78"), ("2001:db8::77", "2001:db8::78")] {
        let (local, peer) = (local.parse().expect("ip"), peer.parse().expect("ip"));
        ucast(local, None, &[peer], port).expect("opened although the address is missing");
    }
}

#[test]
fn mistakes_are_told_with_the_link_they_are_in() {
    let ip = |text: &str| text.parse::<IpAddr>().expect("ip");
    let cases = [
        (bcast("no-such-if", 694), io::ErrorKind::NotFound, "no-such-if"),
        (bcast("", 694), io::ErrorKind::NotFound, "interface"),
        (bcast("a\0b", 694), io::ErrorKind::NotFound, "interface"),
        (mcast("lo", ip("10.0.0.1"), 694, 1), io::ErrorKind::InvalidInput, "10.0.0.1"),
        (mcast("no-such-if", ip("ff02::42"), 694, 1), io::ErrorKind::NotFound, "no-such-if"),
        (ucast(ip("10.0.0.1"), None, &[], 694), io::ErrorKind::InvalidInput, "no peer"),
        (ucast(ip("10.0.0.1"), None, &[ip("fd00::1")], 694), io::ErrorKind::InvalidInput, "IPv6"),
        (ucast(ip("fe80::1"), None, &[ip("fe80::2")], 694), io::ErrorKind::InvalidInput, "fe80::/10"),
        (ucast(ip("::1"), Some("no-such-if"), &[ip("::1")], 694), io::ErrorKind::NotFound, "no-such-if"),
    ];
    for (result, kind, part) in cases {
        let error = result.expect_err(part);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(
        needs_interface(ip("fe80::1"))
            && !needs_interface(ip("fd00::1"))
            && !needs_interface(ip("169.254.0.1"))
    );
}
