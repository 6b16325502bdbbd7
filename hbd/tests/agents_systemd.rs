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

/// Looks at all of them at once.
async fn look_at(b: &Bench, units: &[&str]) -> Vec<OpResult> {
    let resources: Vec<_> = units.iter().map(|name| unit(name)).collect();
    let looks = resources.iter().map(|r| b.runner.run("g", r, OpKind::Status, LONG));
    // All begin before any ends.
    let mut looks: Vec<_> = looks.map(Box::pin).collect();
    let mut results = vec![None; looks.len()];
    std::future::poll_fn(|cx| {
        for (look, result) in looks.iter_mut().zip(&mut results) {
            if result.is_none()
                && let std::task::Poll::Ready(outcome) = look.as_mut().poll(cx)
            {
                *result = Some(outcome.result);
            }
        }
        if results.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    results.into_iter().flatten().collect()
}

fn calls(b: &Bench) -> Vec<String> {
    fs::read_to_string(b.path("calls")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn looks_at_many_units_at_once_are_one_call_and_each_has_its_own_answer() {
    let b = systemd_bench();
    let names: Vec<String> = (0..40).map(|n| format!("unit{n}.service")).collect();
    for name in names.iter().step_by(2) {
        fs::write(b.path(name), "active/running").expect("written");
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let results = look_at(&b, &names).await;
    for (at, result) in results.iter().enumerate() {
        let expected = if at % 2 == 0 { OpResult::Running } else { OpResult::NotRunning };
        assert_eq!(*result, expected, "{}", names[at]);
    }
    assert_eq!(calls(&b).len(), 1, "{:?}", calls(&b));
}

#[tokio::test]
async fn more_than_fit_one_call_are_some_more_and_the_same_unit_twice_is_no_trouble() {
    let b = systemd_bench();
    fs::write(b.path("web.service"), "active/running").expect("written");
    assert_eq!(look_at(&b, &["web.service"; 130]).await, vec![OpResult::Running; 130]);
    assert_eq!(calls(&b).len(), 3, "{:?}", calls(&b));
}

#[tokio::test]
async fn one_that_systemd_will_not_hear_of_costs_the_others_no_answer() {
    let b = systemd_bench();
    fs::write(b.path("web.service"), "active/running").expect("written");
    let results = look_at(&b, &["web.service", "bad.service", "missing.service"]).await;
    assert_eq!(results[0], OpResult::Running);
    assert!(failed(&results[1]).contains("neither a valid"), "{results:?}");
    assert!(failed(&results[2]).contains("no such unit"), "{results:?}");
}

#[tokio::test]
async fn a_systemctl_that_hangs_is_ended_at_the_bound_of_each_look() {
    let b = systemd_bench();
    fs::write(b.path("hang"), "").expect("written");
    let (quick, slow) = (unit("hanging.service"), unit("web.service"));
    let short = Duration::from_millis(300);
    let (one, two) = tokio::join!(
        b.runner.run("g", &quick, OpKind::Status, short),
        b.runner.run("g", &slow, OpKind::Status, Duration::from_millis(600)),
    );
    assert_eq!((one.result, two.result), (OpResult::TimedOut, OpResult::TimedOut));
    fs::remove_file(b.path("hang")).expect("removed");
    assert_eq!(look_at(&b, &["hanging.service"]).await, [OpResult::NotRunning]);
}

#[tokio::test]
async fn a_look_that_is_dropped_takes_no_answer_from_the_others() {
    let b = systemd_bench();
    fs::write(b.path("web.service"), "active/running").expect("written");
    let (dropped, kept) = (unit("other.service"), unit("web.service"));
    {
        let first = b.runner.run("g", &dropped, OpKind::Status, LONG);
        tokio::pin!(first);
        // It has been asked for, and nothing has come back yet.
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx).is_pending())).await
        );
    }
    assert_eq!(b.runner.run("g", &kept, OpKind::Status, LONG).await.result, OpResult::Running);
}

/// Units that began one after the other, each looked at as often as it can be.
#[tokio::test]
async fn looks_that_do_not_come_together_are_brought_together() {
    let b = systemd_bench();
    let names: Vec<String> = (0..10).map(|n| format!("unit{n}.service")).collect();
    let resources: Vec<_> = names.iter().map(|name| unit(name)).collect();
    let began = std::time::Instant::now();
    let looks = resources.iter().enumerate().map(|(at, r)| {
        let b = &b;
        async move {
            tokio::time::sleep(Duration::from_millis(23) * u32::try_from(at).expect("ten")).await;
            let mut looks = 0;
            while began.elapsed() < Duration::from_secs(4) {
                assert_eq!(b.runner.run("g", r, OpKind::Status, LONG).await.result, OpResult::NotRunning);
                looks += 1;
                // Each at its own pace, so that none stays with another by itself.
                tokio::time::sleep(Duration::from_millis(17) * u32::try_from(at + 1).expect("ten")).await;
            }
            looks
        }
    });
    let mut all: Vec<_> = looks.map(Box::pin).collect();
    let mut done = vec![None; all.len()];
    std::future::poll_fn(|cx| {
        for (look, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(looks) = look.as_mut().poll(cx)
            {
                *done = Some(looks);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    let looks: usize = done.into_iter().flatten().sum();
    let calls = calls(&b).len();
    // A burst is free, and after it there is one each quarter of a second, or each eighth when it was calm meanwhile.
    let most = 64 + began.elapsed().as_millis() / 125 + 2;
    assert!(calls as u128 <= most, "{calls} calls for {looks} looks in {:?}", began.elapsed());
    assert!(looks >= 10, "{calls} calls for {looks} looks");
}
