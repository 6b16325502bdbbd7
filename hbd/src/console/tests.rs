//! The console with real sockets, and a loop that is this test.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use cluster::status::{GroupStatus, Status};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::daemon::outputs::Outputs;
use crate::daemon::status::Picture;

/// For all that should take no time at all.
const BOUND: Duration = Duration::from_secs(20);
const HOST: &str = "Host: localhost\r\n";

struct Ground {
    console: Console,
    at: SocketAddr,
    asked: mpsc::Receiver<Ask>,
    reported: mpsc::Receiver<Report>,
}

/// A port that nobody listens on.
async fn free(ip: &str) -> SocketAddr {
    TcpListener::bind((ip, 0)).await.unwrap().local_addr().unwrap()
}

/// A console that listens, and the other ends of its queues.
async fn open(ip: &str) -> Ground {
    let (asks, asked) = mpsc::channel(4);
    let (reports, mut reported) = mpsc::channel(16);
    let at = free(ip).await;
    let mut console = Console::new(asks, Arc::new(History::new(VecDeque::new())), reports);
    console.set(Some(at)).await;
    // At once, unless another test has just taken the port for a moment.
    while next(&mut reported).await.is_some() {}
    Ground { console, at, asked, reported }
}

/// The next word on whether it listens.
async fn next(reported: &mut mpsc::Receiver<Report>) -> Option<String> {
    match timeout(BOUND, reported.recv()).await.expect("a word in time").unwrap() {
        Report::Trouble { about: Trouble::Console, sentence } => sentence,
        other => panic!("{other:?}"),
    }
}

fn picture(state: &str) -> Box<Picture> {
    let group = |name: &str, owner: Option<&str>| GroupStatus {
        name: name.into(),
        state: if owner.is_some() { "started" } else { "failed" }.into(),
        owner: owner.map(str::to_owned),
        preferred: None,
        epoch: 1,
        requires: "nothing".into(),
        resources: vec![],
        why: String::new(),
        since_ms: 1,
    };
    let core = Status {
        cluster: "lvs".into(),
        node: "a".into(),
        standby: false,
        maintenance: false,
        state: state.into(),
        nodes: vec![],
        groups: vec![group("vip", Some("a")), group("web", Some("b")), group("db", None)],
        fencing: vec![],
        witness: None,
        degraded: vec!["something is".into()],
        rejected: Default::default(),
    };
    let outputs = Outputs::default();
    let (uptime, witness) = (Duration::from_secs(5), None);
    let (troubles, lines, points, devices) = Default::default();
    Box::new(Picture { core, outputs, uptime, troubles, lines, points, witness, devices })
}

/// Answers as the loop of a node in `state` does, for ever; gives the number of questions so far.
fn answering(mut asked: mpsc::Receiver<Ask>, state: &'static str) -> Arc<std::sync::atomic::AtomicUsize> {
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Some(Ask::Status(done)) = asked.recv().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let _ = done.send(picture(state));
        }
    });
    count
}

/// Sends `text` and reads to the end of the connection.
async fn talk(at: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut said = String::new();
    timeout(BOUND, stream.read_to_string(&mut said)).await.expect("an end in time").unwrap();
    said
}

fn status(said: &str) -> u16 {
    said.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no answer: {said:?}"))
}

fn body(said: &str) -> &str {
    said.split_once("\r\n\r\n").expect("a head").1
}

async fn get(at: SocketAddr, target: &str) -> String {
    talk(at, &format!("GET {target} HTTP/1.1\r\n{HOST}\r\n")).await
}

#[tokio::test]
async fn each_path_has_its_answer() {
    for ip in ["127.0.0.1", "::1"] {
        let ground = open(ip).await;
        answering(ground.asked, "up");
        let page = get(ground.at, "/").await;
        assert!(
            page.contains("Content-Type: text/html") && page.contains("\r\nContent-Security-Policy: "),
            "{page}"
        );
        assert!(page.contains("Nobody serves db") && page.trim_end().ends_with("</html>"), "{page}");
        let metrics = get(ground.at, "/metrics").await;
        assert!(
            metrics.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
            "{metrics}"
        );
        assert!(metrics.contains("\nhbd_group_owner{group=\"vip\",node=\"a\"} 1\n"), "{metrics}");
        let json = get(ground.at, "/api/status").await;
        assert!(json.contains("\r\nContent-Type: application/json\r\n"), "{json}");
        let value: Value = serde_json::from_str(body(&json)).unwrap();
        assert_eq!(value, picture("up").render(), "as hbctl status --json");
        for (target, code, said) in [
            ("/healthz", 200, "ok: node a of cluster lvs answers\n"),
            ("/healthz?group=vip", 200, "ok: node a serves vip\n"),
            ("/healthz?group=v%69p", 200, "ok: node a serves vip\n"),
            ("/healthz?group=web", 503, "web is started on b, asked was a\n"),
            ("/healthz?group=db", 503, "db is failed, nobody owns it\n"),
            ("/healthz?group=", 404, "there is no such group\n"),
            ("/favicon.ico", 404, "there are /, /healthz, /metrics and /api/status\n"),
            ("//", 404, "there are /, /healthz, /metrics and /api/status\n"),
        ] {
            let answer = get(ground.at, target).await;
            assert_eq!((status(&answer), body(&answer)), (code, said), "{target}");
        }
    }
}

#[tokio::test]
async fn a_loop_that_does_not_answer_or_leaves_is_no_healthy_one() {
    let ground = open("127.0.0.1").await;
    // Questions are heard, and never answered.
    let mut asked = ground.asked;
    let heard = tokio::spawn(async move {
        let first = asked.recv().await;
        (first, asked)
    });
    for target in ["/healthz", "/metrics", "/api/status"] {
        let said = get(ground.at, target).await;
        assert_eq!(status(&said), 503, "{said}");
        assert!(body(&said).contains("did not answer within 2 s"), "{said}");
    }
    let page = get(ground.at, "/").await;
    assert!(status(&page) == 503 && page.contains("did not answer") && page.contains("journalctl"), "{page}");
    drop(heard.await.unwrap());
    let ending = async || body(&get(ground.at, "/healthz").await).contains("ending");
    wait_for("the end of the loop is told", ending).await;

    let ground = open("127.0.0.1").await;
    answering(ground.asked, "leaving");
    let said = get(ground.at, "/healthz").await;
    assert_eq!((status(&said), body(&said)), (503, "node a is leaving\n"));
}

/// Waits until it is so, within a bound.
async fn wait_for(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + BOUND;
    while !is_so().await {
        assert!(Instant::now() < end, "{what}: not in time");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn bad_requests_are_refused_each_in_its_way() {
    let ground = open("127.0.0.1").await;
    answering(ground.asked, "up");
    let long = format!("GET / HTTP/1.1\r\n{HOST}X: {}\r\n\r\n", "x".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", "x: y\r\n".repeat(80));
    let posted = format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 60000\r\n\r\n{}", "x".repeat(60_000));
    for (text, code) in [
        ("\u{16}\u{3}\u{1}", 400),
        ("\r\n\r\n", 400),
        ("hello\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (&long, 431),
        (&many, 431),
        (&posted, 405),
        ("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET / HTTP/1.0\r\n\r\n", 200),
    ] {
        let said = talk(ground.at, text).await;
        assert_eq!(status(&said), code, "{:?}: {said}", &text[..text.len().min(60)]);
        assert_eq!(said.contains("\r\nAllow: GET, HEAD\r\n"), code == 405, "{said}");
    }
}

#[tokio::test]
async fn one_request_a_connection_however_it_comes() {
    let ground = open("127.0.0.1").await;
    answering(ground.asked, "up");
    let two = format!("GET /healthz HTTP/1.1\r\n{HOST}\r\n").repeat(2);
    assert_eq!(talk(ground.at, &two).await.matches("HTTP/1.1 200").count(), 1, "pipelined");

    let said = talk(ground.at, &format!("HEAD /api/status HTTP/1.1\r\n{HOST}\r\n")).await;
    let whole = get(ground.at, "/api/status").await;
    let length =
        |said: &str| said.split_once("Content-Length: ").unwrap().1.split('\r').next().unwrap().to_owned();
    assert_eq!((status(&said), body(&said)), (200, ""), "HEAD");
    assert_eq!(length(&whole), body(&whole).len().to_string());
    assert_eq!(body(&talk(ground.at, &format!("HEAD /nothing HTTP/1.1\r\n{HOST}\r\n")).await), "");

    let mut stream = TcpStream::connect(ground.at).await.unwrap();
    for byte in format!("GET /healthz HTTP/1.1\r\n{HOST}\r\n").bytes() {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&rest(&mut stream).await), 200, "byte by byte");

    let mut stream = TcpStream::connect(ground.at).await.unwrap();
    stream.write_all(format!("GET /healthz HTTP/1.1\r\n{HOST}\r\n").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(status(&rest(&mut stream).await), 200, "half closed");

    let mut stream = TcpStream::connect(ground.at).await.unwrap();
    stream.write_all(b"GET / HT").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(status(&rest(&mut stream).await), 400, "closed too early");
}

#[tokio::test]
async fn who_sends_too_slowly_or_does_not_close_is_let_go() {
    let ground = open("127.0.0.1").await;
    answering(ground.asked, "up");
    let begun = Instant::now();
    let (mut silent, mut slow) =
        tokio::try_join!(TcpStream::connect(ground.at), TcpStream::connect(ground.at)).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    let drip = async {
        // Until the other end has had enough.
        while slow.write_all(b"x").await.is_ok() && begun.elapsed() < BOUND {
            if let Ok(Ok(())) = timeout(Duration::from_millis(50), slow.readable()).await {
                break;
            }
        }
        rest(&mut slow).await
    };
    let (said, dripped) = tokio::join!(rest(&mut silent), drip);
    assert_eq!((status(&said), status(&dripped)), (408, 408));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_loop_is_asked_a_few_times_a_second_however_many_ask() {
    let ground = open("127.0.0.1").await;
    let asked = answering(ground.asked, "up");
    let begun = Instant::now();
    for _ in 0..5 {
        let all = (0..20).map(|_| {
            let at = ground.at;
            tokio::spawn(async move { status(&get(at, "/api/status").await) })
        });
        for one in all.collect::<Vec<_>>() {
            assert_eq!(one.await.unwrap(), 200);
        }
    }
    let most = begun.elapsed().as_millis() / 250 + 1;
    let asked = asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked > 0 && asked as u128 <= most, "{asked} questions in {:?}", begun.elapsed());
    assert!(
        begun.elapsed() >= Duration::from_millis(300),
        "a hundred are let in at a pace: {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_a_free_place_is_used_again() {
    let ground = open("127.0.0.1").await;
    answering(ground.asked, "up");
    let mut held = Vec::new();
    for _ in 0..32 {
        let mut stream = TcpStream::connect(ground.at).await.unwrap();
        stream.write_all(b"G").await.unwrap();
        held.push(stream);
    }
    let mut stream = TcpStream::connect(ground.at).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(status(&said) == 503 && said.contains("too many connections"), "{said}");
    // One that had asked before it was let in: left unread, its request would have the kernel reset the connection.
    let mut early = std::net::TcpStream::connect(ground.at).unwrap();
    early.write_all(format!("GET / HTTP/1.1\r\n{HOST}\r\n").as_bytes()).unwrap();
    early.set_nonblocking(true).unwrap();
    let said = rest(&mut TcpStream::from_std(early).unwrap()).await;
    assert!(status(&said) == 503 && said.contains("too many connections"), "{said}");
    held.truncate(16);
    wait_for("a free place", async || {
        let mut stream = TcpStream::connect(ground.at).await.unwrap();
        let sent = stream.write_all(format!("GET /healthz HTTP/1.1\r\n{HOST}\r\n").as_bytes()).await;
        let mut said = String::new();
        // Refused with its request unread, the connection may be reset.
        sent.is_ok() && stream.read_to_string(&mut said).await.is_ok() && said.contains(" 200 OK")
    })
    .await;
}

#[tokio::test]
async fn a_reload_moves_it_and_closes_it() {
    let mut ground = open("127.0.0.1").await;
    answering(ground.asked, "up");
    let mut open_still = TcpStream::connect(ground.at).await.unwrap();
    ground.console.set(Some(ground.at)).await;
    assert_eq!(status(&get(ground.at, "/healthz").await), 200, "the same: nothing happens");
    let (first, second) = (ground.at, free("127.0.0.1").await);
    ground.console.set(Some(second)).await;
    let mut none = [0];
    let ended = timeout(BOUND, open_still.read(&mut none)).await.expect("an end in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "its connections end with it");
    assert!(TcpStream::connect(first).await.is_err(), "closed");
    assert_eq!((next(&mut ground.reported).await, next(&mut ground.reported).await), (None, None));
    assert_eq!(status(&get(second, "/healthz").await), 200);
    ground.console.set(None).await;
    assert!(TcpStream::connect(second).await.is_err(), "closed");
    ground.console.set(Some(first)).await;
    wait_for("open again", async || TcpStream::connect(first).await.is_ok()).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_tried_again() {
    let mut ground = open("127.0.0.1").await;
    answering(ground.asked, "up");
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = other.local_addr().unwrap();
    ground.console.set(Some(taken)).await;
    assert_eq!(next(&mut ground.reported).await, None, "what was before is over");
    let said = next(&mut ground.reported).await.expect("a trouble");
    assert!(said.starts_with(&format!("the console does not listen on {taken}: ")), "{said}");
    drop(other);
    wait_for("it listens", async || next(&mut ground.reported).await.is_none()).await;
    assert_eq!(status(&get(taken, "/healthz").await), 200);
}
