//! The server with real sockets.

use std::collections::VecDeque;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::*;
use base::control::protocol::MAX_LINE;
use tokio::time::sleep;

struct Ground {
    folder: TempDir,
    server: Arc<Server>,
    asked: mpsc::Receiver<Ask>,
    history: Arc<History>,
}

fn ground(users: Vec<u32>, limits: Limits) -> Ground {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let (asks, asked) = mpsc::channel(4);
    let history = Arc::new(History::new(VecDeque::new()));
    let server = new(asks, Arc::clone(&history), Policy { users, group: None }, limits);
    tokio::spawn(Arc::clone(&server).serve(listener));
    Ground { folder, server, asked, history }
}

/// Whoever runs this test may steer.
fn myself() -> Vec<u32> {
    vec![nix::unistd::Uid::effective().as_raw()]
}

impl Ground {
    async fn connect(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(self.folder.path().join("s")).await.unwrap())
    }

    async fn send(&self, text: &str) -> BufReader<UnixStream> {
        let mut client = self.connect().await;
        client.write_all(text.as_bytes()).await.unwrap();
        client
    }
}

async fn next(client: &mut BufReader<UnixStream>) -> Answer {
    let mut line = String::new();
    timeout(Duration::from_secs(20), client.read_line(&mut line)).await.expect("an answer in time").unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
}

async fn refused(client: &mut BufReader<UnixStream>) -> String {
    match next(client).await {
        Answer::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

const ORDER: &str = "{\"verb\":\"order\",\"order\":{\"Standby\":{\"node\":null,\"force\":false}}}\n";

#[tokio::test]
async fn whoever_may_not_steer_is_refused_without_being_heard() {
    let mut ground = ground(vec![4_000_000], Limits::default());
    let mut client = ground.send(ORDER).await;
    let reason = refused(&mut client).await;
    assert!(reason.contains("may not steer"), "{reason}");
    assert!(ground.asked.try_recv().is_err());
    ground.server.set_policy(Policy { users: myself(), group: None });
    let _client = ground.send(ORDER).await;
    assert!(timeout(Duration::from_secs(20), ground.asked.recv()).await.unwrap().is_some());
}

#[tokio::test]
async fn an_order_goes_to_the_loop_and_its_words_come_back() {
    let mut ground = ground(myself(), Limits::default());
    let mut client = ground.send(ORDER).await;
    let Some(Ask::Order { by, no_wait, progress, done, command }) = ground.asked.recv().await else {
        panic!()
    };
    assert!(!by.is_empty() && !no_wait);
    assert_eq!(command, cluster::Command::Standby { node: None, force: false });
    progress.send("on the way".into()).await.unwrap();
    assert_eq!(next(&mut client).await, Answer::Progress { text: "on the way".into() });
    let last = Answer::Done { text: "there".into(), data: serde_json::Value::Null };
    done.send(last.clone()).unwrap();
    assert_eq!(next(&mut client).await, last);
    let mut rest = String::new();
    assert_eq!(client.read_line(&mut rest).await.unwrap(), 0, "then the connection is closed");
}

#[tokio::test]
async fn a_client_that_shut_its_sending_half_still_gets_its_answer() {
    let mut ground = ground(myself(), Limits::default());
    let mut client = ground.send(ORDER).await;
    client.shutdown().await.unwrap();
    let Some(Ask::Order { done, .. }) = ground.asked.recv().await else { panic!() };
    done.send(Answer::Refused { reason: "no".into() }).unwrap();
    assert_eq!(refused(&mut client).await, "no");
}

#[tokio::test]
async fn a_daemon_that_ends_says_so() {
    let mut ground = ground(myself(), Limits::default());
    let mut client = ground.send(ORDER).await;
    drop(ground.asked.recv().await);
    assert!(refused(&mut client).await.contains("ended before"));
    drop(ground.asked);
    let mut client = BufReader::new(UnixStream::connect(ground.folder.path().join("s")).await.unwrap());
    client.write_all(b"{\"verb\":\"status\"}\n").await.unwrap();
    assert!(refused(&mut client).await.contains("ending"));
}

#[tokio::test]
async fn garbage_is_answered_with_what_is_wrong() {
    let ground = ground(myself(), Limits::default());
    for text in ["\n", "hello\n", "{\"verb\":\"dance\"}\n", "[1,2]\n", "{\"verb\":\"why\"}\n", "\u{0}\u{1}\n"]
    {
        let reason = refused(&mut ground.send(text).await).await;
        assert!(reason.contains("not understood"), "{text:?}: {reason}");
    }
}

#[tokio::test]
async fn a_line_without_end_is_cut_off() {
    let ground = ground(myself(), Limits::default());
    let client = ground.connect().await.into_inner();
    let (read, mut write) = client.into_split();
    let writer = tokio::spawn(async move {
        let chunk = [b'x'; 65_536];
        // Fails as soon as the server has had enough.
        for _ in 0..=MAX_LINE / chunk.len() {
            if write.write_all(&chunk).await.is_err() {
                break;
            }
        }
        write
    });
    let mut line = String::new();
    timeout(Duration::from_secs(20), BufReader::new(read).read_line(&mut line)).await.unwrap().unwrap();
    assert!(line.contains("longer than"), "{line}");
    let _ = writer.await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let limits = Limits { request: Duration::from_millis(50), ..Limits::default() };
    let ground = ground(myself(), limits);
    let mut client = ground.send("{\"verb\":").await;
    assert!(refused(&mut client).await.contains("no whole request"));
}

#[tokio::test]
async fn one_client_too_many_is_told_so_and_a_free_place_is_used_again() {
    let ground = ground(myself(), Limits { clients: 2, ..Limits::default() });
    let first = ground.connect().await;
    let _second = ground.connect().await;
    assert!(refused(&mut ground.connect().await).await.contains("2 clients"));
    drop(first);
    // The place is free once the server has noticed.
    for _ in 0..400 {
        let reason = refused(&mut ground.send("x\n").await).await;
        if reason.contains("not understood") {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the place was never free again");
}

#[tokio::test]
async fn a_follower_that_does_not_read_is_let_go() {
    let limits = Limits { clients: 1, answer: Duration::from_millis(50), ..Limits::default() };
    let ground = ground(myself(), limits);
    let client = ground.send("{\"verb\":\"events\",\"count\":1000,\"follow\":true}\n").await;
    for number in 0..2000 {
        let event = cluster::Event {
            level: cluster::Level::Info,
            kind: "peer".into(),
            subject: "b".into(),
            from: None,
            to: None,
            why: "w".repeat(4000),
            took_ms: None,
        };
        ground.history.add(Arc::new(crate::control::StoredEvent {
            number,
            time: String::new(),
            node: "a".into(),
            event,
        }));
        tokio::task::yield_now().await;
    }
    for _ in 0..400 {
        if ground.server.free() == 1 {
            drop(client);
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the slow reader kept its place");
}

#[tokio::test]
async fn a_follower_sees_old_and_new_events_and_its_leaving_is_noticed() {
    let ground = ground(myself(), Limits::default());
    let add = |number| {
        let event = cluster::Event {
            level: cluster::Level::Info,
            kind: "peer".into(),
            subject: "b".into(),
            from: None,
            to: None,
            why: "heard".into(),
            took_ms: None,
        };
        ground.history.add(Arc::new(crate::control::StoredEvent {
            number,
            time: String::new(),
            node: "a".into(),
            event,
        }));
    };
    (1..=3).for_each(add);
    let mut client = ground.send("{\"verb\":\"events\",\"count\":2,\"follow\":true}\n").await;
    for expected in [2, 3] {
        assert!(matches!(next(&mut client).await, Answer::Item { data } if data["number"] == expected));
    }
    add(4);
    assert!(matches!(next(&mut client).await, Answer::Item { data } if data["number"] == 4));
    drop(client);
    for _ in 0..500 {
        if ground.server.free() == Limits::default().clients {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the follower that left kept its place");
}

#[tokio::test]
async fn fencing_is_an_order_for_the_core() {
    let mut ground = ground(myself(), Limits::default());
    let mut client = ground.send("{\"verb\":\"fence\",\"node\":\"b\"}\n").await;
    match ground.asked.recv().await {
        Some(Ask::Order { command: cluster::Command::Fence { node }, done, .. }) => {
            assert_eq!(node, "b");
            done.send(Answer::Refused { reason: "no".into() }).unwrap();
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(refused(&mut client).await, "no");
}
