//! What a fuzzer may throw at: plain functions of any bytes that panic when a promise is broken.
//! Ordinary tests call them too; `scripts/fuzz` runs them for longer. Those of the wire are in [`proto::fuzz`].

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::config::{self, Environment, Program, Unit};
use crate::console::request;
use crate::control::access::Policy;
use crate::control::server::{self, Limits};
use crate::control::{Answer, Request, Verb};
use crate::daemon::history::History;

/// A machine that answers by the length of the name it is asked about: the same everywhere, and each answer can be
/// had.
struct ByLength;

impl Environment for ByLength {
    fn program(&self, path: &Path) -> Program {
        match path.as_os_str().len() % 8 {
            0 => Program::Missing,
            1 => Program::NotExecutable,
            _ => Program::Executable,
        }
    }

    fn user_group_exists(&self, name: &str) -> bool {
        !name.len().is_multiple_of(4)
    }

    fn user_exists(&self, name: &str) -> bool {
        self.user_group_exists(name)
    }

    fn unit(&self, unit: &str) -> Unit {
        match unit.len() % 8 {
            0 => Unit::Missing,
            1 => Unit::NoSystemd,
            _ => Unit::Installed,
        }
    }
}

/// Any bytes as each of the old files that are converted: whatever it is, there is no panic, what is refused is refused with
/// reasons, and what comes out is TOML.
pub fn convert(data: &[u8]) {
    use crate::convert::{self, Kind, Options, Source};
    let kinds =
        [Kind::HaCf, Kind::HaResources, Kind::AuthKeys, Kind::Ldirectord, Kind::Lvs, Kind::Keepalived];
    for kind in kinds {
        let text = String::from_utf8_lossy(data).into_owned();
        let source = Source { kind, name: "fuzz".to_owned(), text, includes: Vec::new() };
        match convert::convert(&[source], &Options::default()) {
            Ok(converted) => {
                for doc in converted.hbd.iter().chain(&converted.director) {
                    let text = doc.render();
                    assert!(text.parse::<toml::Table>().is_ok(), "no TOML of {kind:?}:\n{text}");
                    doc.remarks().for_each(|remark| assert!(!remark.in_one_line().contains('\n')));
                }
            }
            Err(problems) => {
                assert!(problems.errors() > 0, "refused without a reason");
                assert!(!problems.render(false).is_empty());
            }
        }
    }
}

/// Any bytes as a configuration: whatever it is, what is refused is refused with reasons that can be shown, and what is
/// taken is taken the same way again.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // The machine of the samples in `tests/configs`, or any.
    let node = if text.contains("midas") { "midas" } else { "a" };
    let parse = || config::parse(&text, Path::new("fuzz.toml"), node, &ByLength);
    match parse() {
        Ok(config) => {
            assert!(config.nodes.contains(&config.me), "this node is one of the nodes");
            assert!(parse().is_ok_and(|again| again == config), "read twice, it is the same");
        }
        Err(problems) => {
            assert!(problems.errors() > 0, "refused without a reason");
            assert!(!problems.render(false).is_empty());
            assert!(serde_json::to_string(&problems).is_ok());
        }
    }
}

/// Any bytes as what a client sends to the console: where the head of a request ends does not depend on how it was cut, and
/// what is not answered is refused with an answer that is one.
pub fn console(data: &[u8]) {
    let Some(end) = request::end_of_head(data, 0) else { return };
    for seen in [end / 2, end - 1] {
        assert_eq!(request::end_of_head(data, seen), Some(end));
    }
    for listen in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
        match request::read(&data[..end], (listen, 7694).into()) {
            Ok(request) => {
                let allowed =
                    [b"GET ".as_slice(), b"HEAD "].iter().any(|method| contains(&data[..end], method));
                assert!(allowed, "{request:?}");
                request.query.map(|query| request::value_of(&query, "group"));
            }
            Err(answer) => assert!(answer.bytes().starts_with(b"HTTP/1.1 4")),
        }
    }
}

fn contains(data: &[u8], part: &[u8]) -> bool {
    data.windows(part.len()).any(|window| window == part)
}

/// Any bytes as what a client sends to the control socket: it is answered with whole lines of which the last is the
/// last word, whatever was sent, and a client that goes away in the middle ends nothing but itself.
pub fn control(data: &[u8]) {
    let line = data.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let request = serde_json::from_slice::<Request>(line).ok();
    if let Some(request) = &request {
        let said = serde_json::to_vec(request).expect("what was understood can be said");
        let again = serde_json::from_slice::<Request>(&said).ok();
        assert_eq!(again.as_ref(), Some(request), "said again, it means the same");
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(line) {
        let said = serde_json::to_vec(&answer).expect("what was understood can be said");
        assert_eq!(serde_json::from_slice::<Answer>(&said).ok(), Some(answer));
    }
    let endless = matches!(&request, Some(Request { verb: Verb::Events { follow: true, .. }, .. }));
    converse(data, line, endless);
}

/// Sends `data`, of which `line` is the request, to a server whose loop answers nothing. If `endless`, the client goes away
/// without listening.
fn converse(data: &[u8], line: &[u8], endless: bool) {
    // What does not fit the socket would wait for the server, which does not run yet.
    const FITS: usize = 64 * 1024;
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    (&ours).write_all(&data[..data.len().min(FITS)]).expect("it fits");
    ours.shutdown(Shutdown::Write).expect("a live socket");
    let ours = (!endless).then_some(ours);
    runtime().block_on(async {
        theirs.set_nonblocking(true).expect("a live socket");
        let theirs = tokio::net::UnixStream::from_std(theirs).expect("a live socket");
        let (asks, asked) = mpsc::channel(4);
        // A loop that is ending: whoever asks it something is told so.
        drop(asked);
        let history = Arc::new(History::new(VecDeque::new()));
        let server = server::new(asks, history, Policy::new(None), Limits::default());
        let bound = Duration::from_secs(10);
        tokio::time::timeout(bound, server.client(&theirs)).await.expect("a client ends");
    });
    let Some(mut ours) = ours else { return };
    let mut answer = Vec::new();
    // What stands behind the request is not read, and its sender is told so, but only behind the answer.
    let end = ours.read_to_end(&mut answer);
    assert!(end.is_ok() || data.len() > line.len() + 1, "the server has closed");
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.ends_with('\n'), "whole lines: {answer:?}");
    let answers: Vec<Answer> =
        answer.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect();
    let last_word = |answer: &Answer| matches!(answer, Answer::Done { .. } | Answer::Refused { .. });
    let (last, before) = answers.split_last().expect("an answer");
    assert!(last_word(last) && !before.iter().any(last_word), "one last word, at the end: {answers:?}");
}

/// One runtime for all: making one costs more than all the rest.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    })
}
