//! What no Debian server was found for, and what is easier shown with one made by hand.

use crate::peers::{Manners, dialogue, tcp, udp};
use crate::support::{good, here, here_udp, spec};
use director::check::run;

#[tokio::test]
async fn connect_send_and_expect() {
    let port = tcp(Manners::Silent).await;
    good("type = \"connect\"", &here(port)).await;
    good("type = \"off\"", &here(1)).await;
    let port = dialogue(&[b"hello\r\n", b"world\r\n"]).await;
    good("type = \"connect\"\nsend = 'hi\\r\\n'\nexpect = '/^world\\s*$/'", &here(port)).await;
    good("type = \"connect\"\nsend = \"anything\"", &here(port)).await;
}

#[tokio::test]
async fn udp_by_answer_and_by_silence() {
    let port = udp(|heard| (heard == b"\x00ping").then(|| b"pong".to_vec())).await;
    good("type = \"udp\"\nsend = '\\x00ping'\nexpect = \"pong\"", &here_udp(port)).await;
    // Silence, for as long as the deadline allows, is no refusal.
    let outcome = run(
        &spec("type = \"udp\"\nsend = \"other\""),
        &here_udp(port),
        std::time::Duration::from_millis(200),
    )
    .await;
    assert_eq!(outcome.result, Ok(()));
    good("type = \"udp\"\nsend = '\\x00ping'", &here_udp(port)).await;
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let port = udp(move |_| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        (!first).then(|| b"pong".to_vec())
    })
    .await;
    let text = "type = \"udp\"\nsend = \"ping\"\nexpect = \"pong\"";
    let outcome = run(&spec(text), &here_udp(port), std::time::Duration::from_secs(9)).await;
    assert_eq!(outcome.result, Ok(()));
}

#[tokio::test]
async fn sip_over_tcp() {
    // The call's id is ours to choose; a server has to give it back, which one that knows nothing cannot.
    let port = tcp(Manners::Says(b"SIP/2.0 200 OK\r\nCall-ID: another\r\n\r\n".to_vec())).await;
    let why = run(&spec("type = \"sip\""), &here(port), crate::support::SHORT).await.result.unwrap_err();
    assert!(why.contains("no answer"), "{why}");
}

#[tokio::test]
async fn ping_this_machine() {
    let four = here(0);
    good("type = \"ping\"", &four).await;
    let mut six = here(0);
    six.address = "::1".parse().unwrap();
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        good("type = \"ping\"", &six).await;
    }
}

#[tokio::test]
async fn nntp_and_redis_by_hand() {
    let port = dialogue(&[b"200 news\r\n", b"381 more\r\n", b"281 in\r\n", b"211 1 1 1 a.b\r\n"]).await;
    good("type = \"nntp\"\nuser = \"u\"\npassword = \"p\"\npath = \"a.b\"", &here(port)).await;
    let port = dialogue(&[b"", b"+PONG\r\n"]).await;
    good("type = \"redis\"", &here(port)).await;
}

#[tokio::test]
async fn script_with_a_deadline() {
    let text = "type = \"script\"\nprogram = \"/bin/sleep\"\nargs = [\"600\"]";
    let why = run(&spec(text), &here(1), crate::support::SHORT).await.result.unwrap_err();
    assert_eq!(why, "no answer within 300ms and the program was ended");
}

#[tokio::test]
async fn a_program_with_its_arguments_behind_it_as_piranha_has_it() {
    let text =
        "type = \"script\"\nprogram = \"/bin/echo answered by %h\"\nexpect = \"/^answered by 127.0.0.1$/\"";
    good(text, &here(53)).await;
}
