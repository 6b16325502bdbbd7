//! Whatever a bad server does, the check fails within its deadline and says why.

use std::time::Instant;

use director::check::run;

use crate::peers::{Manners, nobody, nobody_udp, tcp, udp};
use crate::support::{SHORT, bad, here, here_udp, spec};

/// Every type that asks over TCP.
const OVER_TCP: [&str; 22] = [
    "type = \"connect\"\nexpect = \"ready\"",
    "type = \"connect\"\ntls = true",
    "type = \"http\"",
    "type = \"https\"",
    "type = \"h2\"",
    "type = \"h2\"\ntls = true",
    "type = \"grpc\"",
    "type = \"dns\"\ntcp = true\nname = \"www.example.com\"",
    "type = \"smtp\"",
    "type = \"smtp\"\ntls = true",
    "type = \"imap\"\nuser = \"u\"\npassword = \"p\"",
    "type = \"pop3\"",
    "type = \"ftp\"\npath = \"motd\"",
    "type = \"nntp\"",
    "type = \"ldap\"\nbase = \"dc=example\"",
    "type = \"mysql\"",
    "type = \"mysql\"\nuser = \"u\"\npassword = \"p\"\nquery = \"SELECT 1\"",
    "type = \"pgsql\"",
    "type = \"pgsql\"\nuser = \"u\"\npassword = \"p\"\nquery = \"SELECT 1\"",
    "type = \"redis\"",
    "type = \"sip\"",
    "type = \"smtp\"\nstarttls = true",
];

/// Every type that asks over UDP.
const OVER_UDP: [&str; 5] = [
    "type = \"dns\"\nname = \"www.example.com\"",
    "type = \"radius\"\nsecret = \"s\"\nuser = \"u\"\npassword = \"p\"",
    "type = \"radius\"\nsecret = \"s\"",
    "type = \"sip\"",
    "type = \"udp\"\nsend = \"ping\"\nexpect = \"pong\"",
];

/// The reason; the check must fail and keep its deadline.
async fn reason(text: &str, port: u16, udp: bool) -> String {
    let target = if udp { here_udp(port) } else { here(port) };
    let begun = Instant::now();
    let outcome = run(&spec(text), &target, SHORT).await;
    // How long the machine lets us wait for the timer is not ours; what must not be is a second deadline.
    assert!(begun.elapsed() < SHORT * 30, "{text}: {:?}", begun.elapsed());
    let why = outcome.result.expect_err(text);
    assert!(!why.is_empty() && why.chars().count() <= 401 && !why.contains('\n'), "{text}: {why:?}");
    why
}

#[tokio::test]
async fn what_did_not_come_is_named() {
    let silent = tcp(Manners::Silent).await;
    let why = reason("type = \"connect\"\nsend = \"hello\"", silent, false).await;
    assert!(why.ends_with(", before it had said anything"), "{why}");
    let older = tcp(Manners::SaysAndCloses(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    for text in ["type = \"h2\"", "type = \"grpc\""] {
        let why = reason(text, older, false).await;
        assert!(why.starts_with("the server does not speak HTTP/2 on this port ("), "{text}: {why}");
    }
    // One that does, and ends the stream: settings, and RST_STREAM.
    let refuses = b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x03\0\0\0\0\x01\0\0\0\x02".to_vec();
    let why = reason("type = \"h2\"", tcp(Manners::Says(refuses)).await, false).await;
    assert!(why.starts_with("the exchange failed: http2 error: stream error received"), "{why}");
}

#[tokio::test]
async fn nobody_listens() {
    let port = nobody().await;
    for text in OVER_TCP.iter().chain(&["type = \"connect\""]) {
        let why = reason(text, port, false).await;
        assert!(why.contains("nobody listens"), "{text}: {why}");
    }
    let port = nobody_udp().await;
    for text in OVER_UDP.iter().chain(&["type = \"udp\""]) {
        let why = reason(text, port, true).await;
        assert!(why.contains("nobody listens") && why.contains("ICMP"), "{text}: {why}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_late() {
    let port = tcp(Manners::Silent).await;
    for text in OVER_TCP {
        let why = reason(text, port, false).await;
        assert!(why.starts_with("no answer within 300ms"), "{text}: {why}");
    }
    let port = udp(|_| None).await;
    for text in OVER_UDP {
        let why = reason(text, port, true).await;
        assert!(why.starts_with("no answer within 300ms"), "{text}: {why}");
    }
}

#[tokio::test]
async fn a_slow_drip_does_not_stretch_the_deadline() {
    for words in [&b"2"[..], b"220-", b"*", b"HTTP/1.1 200 OK\r\nX: x", b"\0", b"+", b"\n"] {
        let port = tcp(Manners::Drip(words)).await;
        let texts: Vec<_> = OVER_TCP.iter().map(|text| reason(text, port, false)).collect();
        // All at once: they are late together.
        for (text, why) in OVER_TCP.iter().zip(all(texts).await) {
            assert!(!why.is_empty(), "{text}");
        }
    }
}

/// Runs all of them side by side.
async fn all<T: Send + 'static>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut results = Vec::new();
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        let mut open = false;
        for (future, result) in pending.iter_mut().filter(|(_, result)| result.is_none()) {
            match future.as_mut().poll(cx) {
                std::task::Poll::Ready(value) => *result = Some(value),
                std::task::Poll::Pending => open = true,
            }
        }
        if open { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    results.extend(pending.into_iter().filter_map(|(_, result)| result));
    results
}

#[tokio::test]
async fn another_protocol_or_noise_is_no_answer() {
    let other: [&[u8]; 6] = [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"500 what?\r\n",
        &[0xff; 64],
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
    ];
    for said in other {
        for manners in [Manners::SaysAndCloses(said.to_vec()), Manners::Says(said.to_vec())] {
            let port = tcp(manners.clone()).await;
            let whys: Vec<_> = OVER_TCP.iter().map(|text| reason(text, port, false)).collect();
            assert_eq!(all(whys).await.len(), OVER_TCP.len());
        }
        let answer = said.to_vec();
        let port = udp(move |_| Some(answer.clone())).await;
        for text in OVER_UDP {
            reason(text, port, true).await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_broken_off_is_said() {
    let port = tcp(Manners::Resets).await;
    for text in OVER_TCP {
        let why = reason(text, port, false).await;
        assert!(!why.starts_with("no answer within"), "{text}: {why}");
    }
    let port = tcp(Manners::SaysAndCloses(Vec::new())).await;
    for text in OVER_TCP {
        let why = reason(text, port, false).await;
        let known = ["closed the connection", "failed", "broke off", "is empty"];
        assert!(known.iter().any(|words| why.contains(words)), "{text}: {why}");
    }
}

#[tokio::test]
async fn a_flood_is_not_swallowed_whole() {
    for words in [&b"220-and more\r\n"[..], b"* more\r\n", b"x"] {
        let port = tcp(Manners::Floods(words)).await;
        let whys: Vec<_> = OVER_TCP.iter().map(|text| reason(text, port, false)).collect();
        assert_eq!(all(whys).await.len(), OVER_TCP.len());
    }
}

#[tokio::test]
async fn the_deadline_says_how_far_it_came() {
    let port = tcp(Manners::Says(b"220 mail\r\n".to_vec())).await;
    let why = reason("type = \"smtp\"", port, false).await;
    assert_eq!(why, "no answer within 300ms, before it had answered EHLO");
    let port = tcp(Manners::Silent).await;
    let why = reason("type = \"https\"", port, false).await;
    assert_eq!(why, "no answer within 300ms, while TLS was being started");
    let why = reason("type = \"http\"", port, false).await;
    assert_eq!(why, "no answer within 300ms, before it had answered the request");
}

#[tokio::test]
async fn what_the_answer_lacks_is_said() {
    let port = tcp(Manners::SaysAndCloses(b"HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\nsad".to_vec())).await;
    bad("type = \"http\"", &here(port), "the status is 302 Found").await;
    bad(
        "type = \"http\"\nstatus = [302]\nexpect = \"happy\"",
        &here(port),
        "the body has no \"happy\": it begins \"sad\"",
    )
    .await;
    let port =
        tcp(Manners::SaysAndCloses(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhap".to_vec())).await;
    bad("type = \"http\"\nexpect = \"happy\"", &here(port), "before its answer was complete").await;
}
