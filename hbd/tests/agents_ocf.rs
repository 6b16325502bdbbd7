//! OCF agents that fail in every way there is, with real processes, against what Pacemaker makes of each
//! (Pacemaker Administration, "How are OCF Return Codes Interpreted?"): soft errors may be tried again, hard ones not on
//! this node, fatal ones not on any.

mod agents_support;

use std::time::Duration;

use agents_support::*;
use cluster::{OpKind, OpResult};
use hbd::config::Resource;

/// What is made of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// Start or stop has succeeded.
    Done,
    Runs,
    Stopped,
    /// It failed, and may be tried again.
    Soft,
    /// It failed, and will on this node.
    Hard,
    /// It failed, and will on every node.
    Fatal,
    Killed,
}

use Made::*;

/// How an agent ends: and what is made of that as the answer to a start, a stop, a first look at what is not known to run, and
/// a look at what runs.
const TABLE: &[(&str, [Made; 4])] = &[
    ("exit-0", [Done, Done, Runs, Runs]),
    ("exit-1", [Soft, Soft, Soft, Soft]),
    ("exit-2", [Hard, Hard, Hard, Hard]),
    ("exit-3", [Hard, Hard, Hard, Hard]),
    ("exit-4", [Hard, Hard, Hard, Hard]),
    // What is not installed does not run: so a node may be without it.
    ("exit-5", [Hard, Hard, Stopped, Hard]),
    ("exit-6", [Fatal, Fatal, Fatal, Fatal]),
    ("exit-7", [Soft, Done, Stopped, Stopped]),
    ("exit-8", [Soft, Soft, Runs, Runs]),
    ("exit-9", [Soft, Soft, Soft, Soft]),
    ("exit-126", [Soft, Soft, Soft, Soft]),
    ("exit-127", [Soft, Soft, Soft, Soft]),
    ("exit-190", [Soft, Soft, Runs, Runs]),
    ("exit-191", [Soft, Soft, Runs, Runs]),
    ("exit-255", [Soft, Soft, Soft, Soft]),
    ("signal-KILL", [Soft, Soft, Soft, Soft]),
    ("signal-SEGV", [Soft, Soft, Soft, Soft]),
    ("signal-TERM", [Soft, Soft, Soft, Soft]),
    ("hang", [Killed, Killed, Killed, Killed]),
    ("deaf", [Killed, Killed, Killed, Killed]),
    ("flood", [Done, Done, Runs, Runs]),
    ("fork", [Done, Done, Runs, Runs]),
];

fn made(result: &OpResult) -> Made {
    match result {
        OpResult::Ok => Done,
        OpResult::Running => Runs,
        OpResult::NotRunning => Stopped,
        OpResult::Failed(_) => Soft,
        OpResult::Hopeless(_) => Hard,
        OpResult::Misconfigured(_) => Fatal,
        OpResult::TimedOut => Killed,
    }
}

fn every_way(bench: &Bench, way: &str) -> Resource {
    ocf("EveryWay", agent("every-way.sh"), &[("way", way), ("pid", &bench.text("left"))])
}

/// One operation; what it leaves behind is ended.
async fn run(bench: &Bench, way: &str, op: OpKind) -> OpResult {
    // Only those that hang use their time up.
    let timeout = if matches!(way, "hang" | "deaf") { Duration::from_millis(300) } else { LONG };
    let outcome = bench.runner.run("g", &every_way(bench, way), op, timeout).await;
    let _reaper = number(&bench.path("left")).map(Reaper);
    assert!(outcome.output_tail.len() <= 2100, "{way}: {} bytes are kept", outcome.output_tail.len());
    let _ = std::fs::remove_file(bench.path("left"));
    outcome.result
}

/// A resource that is known to run is one that was started.
async fn started() -> Bench {
    let bench = Bench::new();
    assert_eq!(run(&bench, "exit-0", OpKind::Start).await, OpResult::Ok);
    bench
}

#[tokio::test]
async fn each_way_to_end_is_answered_as_pacemaker_does() {
    for (way, expected) in TABLE {
        let results = [
            run(&Bench::new(), way, OpKind::Start).await,
            run(&started().await, way, OpKind::Stop).await,
            run(&Bench::new(), way, OpKind::Status).await,
            run(&started().await, way, OpKind::Status).await,
        ];
        assert_eq!(results.each_ref().map(made), *expected, "{way}: {results:?}");
        if let (Some(code), OpResult::Failed(why) | OpResult::Hopeless(why) | OpResult::Misconfigured(why)) =
            (way.strip_prefix("exit-"), &results[0])
        {
            assert!(
                why.contains(&format!("exit code {code}")) && why.contains("it said: ending with"),
                "{why}"
            );
        }
    }
}

#[tokio::test]
async fn a_deaf_agent_is_gone_when_its_operation_has_ended() {
    let bench = Bench::new();
    let mine = || {
        let all = std::fs::read_dir("/proc").expect("proc");
        all.filter_map(|entry| {
            let line = std::fs::read_to_string(entry.ok()?.path().join("environ")).ok()?;
            line.contains(&bench.text("left")).then_some(())
        })
        .count()
    };
    for op in [OpKind::Start, OpKind::Stop, OpKind::Status] {
        assert_eq!(run(&bench, "deaf", op).await, OpResult::TimedOut);
        assert_eq!(mine(), 0, "something of it is left after {op:?}");
    }
}
