//! `hb-load-agent` as a program, asked by the director's own sources of load.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use director::load::{Source, Target, Wish, source};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hb-load-agent");
const LONG: Duration = Duration::from_secs(30);

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn here() -> Target {
    Target { address: Ipv4Addr::LOCALHOST.into(), name: "here".to_owned() }
}

#[tokio::test]
async fn a_director_hears_the_load_and_the_administrators_words() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (line, json) = (port(), port());
    let mut command = Command::new(PROGRAM);
    command.arg(format!("--listen=127.0.0.1:{line}")).arg(format!("--json=127.0.0.1:{json}"));
    command.arg("--interval=100ms").arg("--state-file").arg(&state).stderr(Stdio::null());
    let mut agent = Agent(command.spawn().unwrap());
    let end = Instant::now() + LONG;
    while TcpStream::connect(("127.0.0.1", line)).is_err() || TcpStream::connect(("127.0.0.1", json)).is_err()
    {
        assert!(Instant::now() < end && agent.0.try_wait().unwrap().is_none(), "it does not listen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let by_line = Source::Agent { port: line, send: None };
    let reading = source::read(&by_line, &here(), LONG).await.unwrap();
    assert_eq!(reading.state, Some(Wish::Up));
    assert!((1.0..=100.0).contains(&reading.percent.unwrap()), "{reading:?}");
    let by_http =
        Source::Http { port: json, path: "/".to_owned(), field: "percent".to_owned(), busy_at: None };
    assert!((1.0..=100.0).contains(&source::read(&by_http, &here(), LONG).await.unwrap().percent.unwrap()));

    std::fs::write(&state, "drain #disk\n").unwrap();
    let end = Instant::now() + LONG;
    loop {
        let reading = source::read(&by_line, &here(), LONG).await.unwrap();
        if reading.state == Some(Wish::Drain) {
            assert_eq!(reading.why.as_deref(), Some("disk"));
            break;
        }
        assert!(Instant::now() < end, "the state file is not read");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Whoever connects and says nothing takes nobody's turn.
    let idle: Vec<_> = (0..40).map(|_| TcpStream::connect(("127.0.0.1", json)).unwrap()).collect();
    assert!(source::read(&by_line, &here(), LONG).await.is_ok());
    drop(idle);
    kill(Pid::from_raw(agent.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(agent.0.wait().unwrap().code(), Some(0));
}

#[test]
fn once_for_programs() {
    let line = Command::new(PROGRAM).args(["--once", "--sessions", "40"]).output().unwrap();
    let line = String::from_utf8(line.stdout).unwrap();
    assert!(line.starts_with("ready up ") && line.ends_with("%\n"), "{line}");
    let json = Command::new(PROGRAM).arg("--once=json").output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["percent"].is_u64() && json["busy"]["cpu"].is_number(), "{json}");
}

#[test]
fn a_port_that_is_taken_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let ended =
        Command::new(PROGRAM).arg("--listen").arg(taken.local_addr().unwrap().to_string()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("another program does already"));
    let wrong = Command::new(PROGRAM).args(["--interval", "5"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn every_option_is_in_the_manual_and_no_other() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/man/hb-load-agent.8");
    let page = std::fs::read_to_string(page).unwrap().replace("\\-", "-");
    let options = page.split(".SH OPTIONS").nth(1).unwrap().split("\n.SH ").next().unwrap();
    let tags = options.split("\n.TP\n").skip(1).filter_map(|entry| entry.lines().next());
    let mut documented: Vec<&str> =
        tags.flat_map(|tag| tag.split([' ', ',', '"'])).filter(|word| word.starts_with("--")).collect();
    let mut command = director::agent::command_line();
    command.build();
    let mut real: Vec<String> =
        command.get_arguments().filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")).collect();
    documented.sort_unstable();
    real.sort_unstable();
    assert_eq!(documented, real, "left: hb-load-agent(8), right: hb-load-agent");
}
