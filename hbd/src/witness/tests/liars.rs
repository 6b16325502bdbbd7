//! Servers that are no etcd, or one that does not know that it was replaced.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::*;

/// A server that answers each connection with these bytes; then it says nothing more, or closes.
fn liar(answer: &'static [u8], close: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut kept: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            // Whoever is gone already does not listen.
            let _ = stream.write_all(answer);
            if !close {
                kept.push(stream);
            }
        }
    });
    url
}

#[tokio::test]
async fn what_is_no_clear_answer_is_none() {
    let huge: &'static [u8] = Box::leak(
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n".as_slice(), &[b' '; 2_000_000]]
            .concat()
            .into_boxed_slice(),
    );
    for (answer, close, word) in [
        (b"".as_slice(), true, "the connection broke"),
        (b"".as_slice(), false, "no answer within"),
        (b"220 mail.example.com ESMTP\r\n".as_slice(), false, "its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"hea".as_slice(), true, "not whole"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"hea".as_slice(), false, "no answer within"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".as_slice(), false, "not clear"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]".as_slice(), false, "not clear"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".as_slice(), false, "none of etcd's gateway (HTTP status 200)"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nsorry".as_slice(), false, "HTTP status 502"),
        (
            b"HTTP/1.1 503 No\r\nContent-Length: 48\r\n\r\n{\"message\":\"etcdserver: no leader  \",\"code\":14}  ".as_slice(),
            false,
            "no leader",
        ),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n".as_slice(),
            false,
            "no answer within",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 62\r\n\r\n{\"error\":{\"grpc_code\":14,\"message\":\"etcdserver: not leader\"}}   "
                .as_slice(),
            false,
            "not leader",
        ),
        (huge, false, "not whole"),
    ] {
        let url = liar(answer, close);
        let engine = engine("a", &Witness { timeout: Duration::from_millis(400), ..settings(&[&url]) });
        let why = failed(renew(&engine).await);
        assert!(why.starts_with(&url) && why.contains(word), "{word}: {why}");
        // With a lease too, for all that can be asked.
        engine.lease.store(5, Ordering::SeqCst);
        failed(renew(&engine).await);
        failed(take(&engine, 1, 1).await);
        failed(release(&engine, 1).await);
    }
}

/// A member and a term, or a renewal of lease 5, as a gateway says them.
fn read_of(member: u32, term: u32) -> String {
    let range = r#"{"response_range":{"count":"0"}}"#;
    format!(
        r#"{{"header":{{"member_id":"{member}","raft_term":"{term}"}},"succeeded":true,"responses":[{range}]}}"#
    )
}

fn renewal_of(member: u32, term: u32) -> String {
    format!(r#"{{"result":{{"header":{{"member_id":"{member}","raft_term":"{term}"}},"ID":"5","TTL":"2"}}}}"#)
}

/// A gateway that gives these answers, one after the other, on whichever connection; then the last one for ever.
fn scripted(answers: Vec<String>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            serve(stream, &answers, &count);
        }
    });
    (url, asked)
}

fn serve(mut stream: TcpStream, answers: &[String], count: &AtomicUsize) {
    let (mut heard, mut more) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stream.read(&mut more) {
        heard.extend_from_slice(&more[..n]);
        let text = String::from_utf8_lossy(&heard).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() < length.parse().unwrap() {
            continue;
        }
        heard.clear();
        let at = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answers[at].len());
        stream.write_all((head + &answers[at]).as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn a_renewal_under_a_leader_that_was_replaced_is_not_believed() {
    for (before, at, after) in [((1, 7), (1, 7), (1, 8)), ((1, 7), (2, 7), (1, 7)), ((1, 7), (1, 8), (1, 7))]
    {
        let answers = vec![
            read_of(before.0, before.1),
            renewal_of(at.0, at.1),
            read_of(after.0, after.1),
            renewal_of(after.0, after.1),
            read_of(after.0, after.1),
        ];
        let (url, asked) = scripted(answers);
        let engine = engine("a", &settings(&[&url]));
        engine.lease.store(5, Ordering::SeqCst);
        assert_eq!(renew(&engine).await, KEPT);
        assert_eq!(asked.load(Ordering::SeqCst), 5, "it was to be renewed once more");
    }
    let terms = (0..40).map(|n| if n % 2 == 0 { read_of(1, n) } else { renewal_of(1, n) }).collect();
    let (url, _) = scripted(terms);
    let engine = engine("a", &settings(&[&url]));
    engine.lease.store(5, Ordering::SeqCst);
    let why = failed(renew(&engine).await);
    assert!(why.contains("its leader changes all the time"), "{why}");
}
