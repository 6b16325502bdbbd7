//! systemd units as resources, with a `systemctl` of our own.

mod agents_support;

use std::fs;
use std::time::Duration;

use agents_support::*;
use cluster::{OpKind, OpResult};
use hbd::config::Agent;

fn systemd_bench() -> Bench {
    let b = Bench::with(|s| s.systemctl = s.scratch.with_file_name("systemctl"));
    let script = fs::read_to_string(agent("systemctl.sh")).expect("read");
    b.executable("systemctl", script.replace("@UNITS@", &b.text("")));
    b
}

fn unit(name: &str) -> hbd::config::Resource {
    resource(Agent::Systemd { unit: name.into() })
}

#[tokio::test]
async fn a_unit_starts_is_seen_and_stops() {
    let b = systemd_bench();
    let r = unit("web.service");
    for (op, expected) in [
        (OpKind::Status, OpResult::NotRunning),
        (OpKind::Start, OpResult::Ok),
        (OpKind::Status, OpResult::Running),
        (OpKind::Stop, OpResult::Ok),
        (OpKind::Status, OpResult::NotRunning),
    ] {
        assert_eq!(b.runner.run("g", &r, op, LONG).await.result, expected, "{op:?}");
    }
    let calls = fs::read_to_string(b.path("calls")).expect("calls");
    assert!(calls.contains("--no-ask-password start -- web.service\n"), "{calls}");
    assert!(calls.contains("show -p LoadState,ActiveState,SubState,Result -- web.service\n"), "{calls}");
}

#[tokio::test]
async fn units_in_all_states_are_judged() {
    let b = systemd_bench();
    for (state, expected) in [
        ("reloading/reload", Some(OpResult::Running)),
        ("activating/start", Some(OpResult::Running)),
        ("deactivating/stop", Some(OpResult::Running)),
        ("failed/failed", Some(OpResult::NotRunning)),
        ("activating/auto-restart", None),
        ("maintenance/x", None),
    ] {
        fs::write(b.path("web.service"), state).expect("written");
        let result = b.runner.run("g", &unit("web.service"), OpKind::Status, LONG).await.result;
        match expected {
            Some(expected) => assert_eq!(result, expected, "{state}"),
            None => assert!(failed(&result).contains("web.service"), "{state}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_unit_that_does_not_exist_fails_clearly_but_is_stopped() {
    let b = systemd_bench();
    let r = unit("missing.service");
    let start = b.runner.run("g", &r, OpKind::Start, LONG).await.result;
    assert!(failed(&start).contains("Unit missing.service not found."), "{start:?}");
    let status = b.runner.run("g", &r, OpKind::Status, LONG).await.result;
    assert!(failed(&status).contains("no such unit"), "{status:?}");
    assert_eq!(b.runner.run("g", &r, OpKind::Stop, LONG).await.result, OpResult::Ok);
}

#[tokio::test]
async fn a_unit_that_cannot_stop_has_not_stopped() {
    let b = systemd_bench();
    for op in [OpKind::Start, OpKind::Stop] {
        let result = b.runner.run("g", &unit("broken.service"), op, LONG).await.result;
        assert!(failed(&result).contains("control process exited"), "{result:?}");
    }
}

#[tokio::test]
async fn a_unit_that_hangs_times_out() {
    let b = systemd_bench();
    let result =
        b.runner.run("g", &unit("hanging.service"), OpKind::Start, Duration::from_millis(300)).await.result;
    assert_eq!(result, OpResult::TimedOut);
}

#[tokio::test]
async fn without_systemctl_there_is_a_sentence() {
    let b = Bench::with(|s| s.systemctl = "/nowhere/systemctl".into());
    for op in [OpKind::Status, OpKind::Start, OpKind::Stop] {
        let result = b.runner.run("g", &unit("web.service"), op, LONG).await.result;
        assert!(failed(&result).contains("/nowhere/systemctl does not exist"), "{result:?}");
    }
}
