//! What an agent writes is in the log: with its level, its fields, and its bounds.

mod agents_support;

use std::io::Write;
use std::sync::{Arc, Mutex};

use agents_support::*;
use cluster::OpKind;
use hbd::config::Resource;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;
    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

/// Runs one operation and gives what was logged about it, a JSON object for each line.
fn logged(bench: &Bench, resource: &Resource, op: OpKind) -> Vec<serde_json::Value> {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_writer(lines.clone())
        .with_max_level(tracing::Level::DEBUG)
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(bench.runner.run("director", resource, op, LONG));
    });
    let text = String::from_utf8(lines.0.lock().expect("whole").clone()).expect("text");
    let all = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON"));
    all.filter(|v| v["target"] == "agent").collect()
}

fn level_and_message(line: &serde_json::Value) -> (&str, &str) {
    (line["level"].as_str().expect("a level"), line["fields"]["message"].as_str().expect("a message"))
}

#[test]
fn lines_come_with_level_and_fields() {
    let b = Bench::new();
    let log = logged(&b, &heartbeat(agent("exit.sh"), &["0"]), OpKind::Start);
    let mut said: Vec<_> = log.iter().map(level_and_message).collect();
    said.sort();
    assert_eq!(said, [("INFO", "something on stdout"), ("WARN", "ending with 0")]);
    for line in &log {
        assert_eq!(line["fields"]["group"], "director");
        assert_eq!(line["fields"]["resource"], "data");
        assert_eq!(line["fields"]["op"], "start");
    }
}

#[test]
fn what_is_said_at_each_look_is_of_less_weight() {
    let b = Bench::new();
    let log = logged(&b, &heartbeat(agent("exit.sh"), &["0"]), OpKind::Status);
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|l| l["level"] == "DEBUG"), "{log:?}");
}

#[test]
fn a_flood_is_cut_and_counted() {
    let b = Bench::with(|s| s.max_lines = 5);
    let log = logged(&b, &heartbeat(agent("flood.sh"), &["1000000"]), OpKind::Start);
    assert_eq!(log.len(), 6);
    // 10,000 lines and the last word, less the five that were logged.
    assert_eq!(level_and_message(&log[5]), ("WARN", "9996 more lines not logged"));
}

#[test]
fn a_long_line_is_cut() {
    let b = Bench::new();
    let log = logged(&b, &heartbeat(agent("text.sh"), &[&"x".repeat(5000), "0"]), OpKind::Start);
    assert_eq!(level_and_message(&log[0]), ("INFO", format!("{} […]", "x".repeat(1024)).as_str()));
    assert_eq!(log.len(), 1);
}

#[test]
fn a_timeout_says_how_it_ended() {
    let b = Bench::new();
    let r = heartbeat(agent("text.sh"), &["x", "0"]);
    assert!(logged(&b, &r, OpKind::Stop).iter().all(|l| l["level"] != "WARN"));
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let r = heartbeat(b.executable("hang", "#!/bin/sh\ntrap '' TERM\nsleep 1000\n"), &[]);
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(b.runner.run("g", &r, OpKind::Stop, std::time::Duration::from_secs(2)));
    });
    let text = String::from_utf8(lines.0.lock().expect("whole").clone()).expect("text");
    assert!(text.contains("no answer within 2s: it had to be ended with SIGKILL"), "{text}");
}

#[test]
fn parameters_are_in_no_log() {
    let b = Bench::new();
    let r = ocf("Secret", agent("exit.sh"), &[("code", "1"), ("password", "hunter2-hunter2")]);
    for op in [OpKind::Start, OpKind::Status, OpKind::Stop] {
        let log = logged(&b, &r, op);
        assert!(!log.is_empty() && log.iter().all(|l| !l.to_string().contains("hunter2")), "{log:?}");
    }
}
