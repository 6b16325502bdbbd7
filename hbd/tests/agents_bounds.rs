//! The executor of resource agents: time, process groups, what is left behind, floods of output.

mod agents_support;

use std::time::Duration;

use agents_support::*;
use cluster::{OpKind, OpResult};

/// Runs an agent that never ends, with a longer timeout if it did not even come up, until it has written its process group down.
async fn time_out(b: &Bench, script: &str) -> i32 {
    for seconds in [1, 5, 20] {
        let file = b.path("pid");
        let r = heartbeat(agent(script), &[file.to_str().expect("text")]);
        let outcome =
            tokio::time::timeout(LONG, b.runner.run("g", &r, OpKind::Start, Duration::from_secs(seconds)));
        assert_eq!(outcome.await.expect("it comes back").result, OpResult::TimedOut, "{script}");
        if let Some(pgid) = number(&file) {
            return pgid;
        }
    }
    panic!("{script} did not come up within 20 s");
}

#[tokio::test]
async fn nothing_is_left_of_an_agent_that_timed_out() {
    for script in ["hang.sh", "stubborn.sh", "orphan.sh", "endless.sh"] {
        let pgid = time_out(&Bench::new(), script).await;
        assert_eq!(group(pgid), Vec::<i32>::new(), "{script}");
    }
}

#[tokio::test]
async fn at_the_timeout_the_whole_group_may_end_in_order() {
    let b = Bench::new();
    let mut said = Vec::new();
    // On a machine that is too busy, the agent does not get to its traps in time: then with more of it.
    for seconds in [1, 5, 20] {
        let file = b.path(&format!("said-{seconds}"));
        let r = heartbeat(agent("gentle.sh"), &[file.to_str().expect("text")]);
        let outcome = b.runner.run("g", &r, OpKind::Stop, Duration::from_secs(seconds)).await;
        assert_eq!(outcome.result, OpResult::TimedOut);
        let text = std::fs::read_to_string(file).unwrap_or_default();
        said = text.lines().map(str::to_owned).collect();
        said.sort();
        if said.len() == 3 {
            break;
        }
    }
    assert_eq!(said, ["child", "leader", "up"]);
}

#[tokio::test]
async fn dropping_an_operation_kills_its_whole_group() {
    let b = Bench::new();
    let r = heartbeat(agent("stubborn.sh"), &[&b.text("pid")]);
    let pgid = {
        let running = b.runner.run("g", &r, OpKind::Start, LONG);
        tokio::pin!(running);
        tokio::select! {
            outcome = &mut running => panic!("it ended: {outcome:?}"),
            pgid = until("it comes up", || number(&b.path("pid"))) => pgid,
        }
    };
    until("the group is gone", || group(pgid).is_empty().then_some(())).await;
}

#[tokio::test]
async fn an_agent_that_hangs_delays_no_other() {
    let b = Bench::new();
    let (hangs, works) =
        (heartbeat(agent("hang.sh"), &[&b.text("pid")]), heartbeat(agent("ok.sh"), &["web"]));
    let hanging = b.runner.run("g", &hangs, OpKind::Start, LONG);
    tokio::pin!(hanging);
    let others = async {
        until("it hangs", || number(&b.path("pid"))).await;
        for _ in 0..10 {
            assert_eq!(b.runner.run("h", &works, OpKind::Start, LONG).await.result, OpResult::Ok);
        }
    };
    tokio::select! {
        outcome = &mut hanging => panic!("it ended: {outcome:?}"),
        () = others => {}
    }
}

#[tokio::test]
async fn a_daemon_left_by_a_start_lives_on_in_the_same_group() {
    let b = Bench::new();
    let r = heartbeat(agent("daemon.sh"), &[&b.text("pid")]);
    assert_eq!(b.runner.run("g", &r, OpKind::Start, LONG).await.result, OpResult::Ok);
    let pid = number(&b.path("pid")).expect("a daemon");
    let _reaper = Reaper(pid);
    // Other operations come and go, and the runner with them.
    let other = heartbeat(agent("exit.sh"), &["0"]);
    assert_eq!(b.runner.run("g", &other, OpKind::Stop, LONG).await.result, OpResult::Ok);
    drop(b);
    let (state, _) = process(pid).expect("it lives");
    assert!(!matches!(state, 'Z' | 'X'), "{state}");
}

#[tokio::test]
async fn a_process_that_holds_the_output_open_holds_up_nothing() {
    for op in [OpKind::Start, OpKind::Stop, OpKind::Status] {
        for code in ["0", "1"] {
            let b = Bench::new();
            let r = heartbeat(agent("holder.sh"), &[&b.text("pid"), code]);
            // The holder sleeps for longer than this.
            let outcome =
                tokio::time::timeout(LONG, b.runner.run("g", &r, op, LONG * 100)).await.expect("at once");
            let _reaper = Reaper(number(&b.path("pid")).expect("a holder"));
            assert_eq!(outcome.output_tail, "left a holder\n", "{op:?}");
            match (op, code) {
                (OpKind::Start | OpKind::Stop, "0") => assert_eq!(outcome.result, OpResult::Ok),
                (OpKind::Status, "0") => assert_eq!(outcome.result, OpResult::Running),
                (OpKind::Status, _) => assert_eq!(outcome.result, OpResult::NotRunning),
                _ => assert!(failed(&outcome.result).contains("left a holder")),
            }
        }
    }
}

#[tokio::test]
async fn a_daemon_that_goes_on_writing_to_the_output_of_its_start_lives_on() {
    let b = Bench::new();
    let r = heartbeat(agent("talker.sh"), &[&b.text("pid"), &b.text("count")]);
    assert_eq!(b.runner.run("g", &r, OpKind::Start, LONG).await.result, OpResult::Ok);
    let pid = number(&b.path("pid")).expect("a daemon");
    let _reaper = Reaper(pid);
    // 200 lines of 1000 bytes fit no pipe: it has been read on, and not been closed.
    until("it has written more than a pipe holds", || number(&b.path("count")).filter(|n| *n >= 200)).await;
    assert!(!matches!(process(pid).expect("it lives").0, 'Z' | 'X'));
}

#[tokio::test]
async fn ten_megabytes_of_output_are_read_and_bounded() {
    let b = Bench::new();
    let r = heartbeat(agent("flood.sh"), &["10485760"]);
    let outcome = b.runner.run("g", &r, OpKind::Start, LONG).await;
    assert_eq!(outcome.result, OpResult::Ok);
    assert!(outcome.output_tail.len() <= 2048, "{}", outcome.output_tail.len());
    assert!(outcome.output_tail.contains("the last word"), "{}", outcome.output_tail);
}
