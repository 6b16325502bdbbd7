//! Questions: status, why, events.

use std::io::{BufRead, BufReader, Read};

use serde_json::{Value, json};

use crate::daemon::{Daemon, Step, finish};

const STATUS: Step = Step::Say(
    r#"{"answer":"done","text":"","data":{"cluster":"lvs","node":"a","groups":[{"name":"vip","state":"started","owner":"a","epoch":3}],"nodes":[],"degraded":[],"new_field":[1,2]}}"#,
);
const EVENT: &str = r#"{"answer":"item","data":{"number":7,"time":"2026-11-20T13:03:07.123Z","node":"a","level":"warn","kind":"group","subject":"vip","from":"stopped","to":"started","why":"b is dead","took_ms":12}}"#;
const EVENT_SHOWN: &str =
    "Nov 20 13:03:07.123  !  group     vip: stopped -> started, b is dead (took 12ms)\n";

#[test]
fn status_for_people_and_for_scripts() {
    let daemon = Daemon::saying(&[STATUS]);
    let ended = daemon.hbctl("status");
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(ended.out.starts_with("OK  cluster lvs: group vip started\n"), "{}", ended.out);
    assert!(!ended.out.contains('\x1b'));
    assert_eq!(daemon.request(), json!({"verb": "status", "no_wait": false}));

    let ended = daemon.hbctl("status --json");
    let shown: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &shown["new_field"]), (0, &json!([1, 2])));
    assert!(ended.out.lines().count() > 5, "it is meant to be read: {}", ended.out);
}

#[test]
fn colours_can_be_forced_and_forbidden() {
    let daemon = Daemon::saying(&[STATUS]);
    assert!(daemon.hbctl("status --color always").out.starts_with("\x1b[32mOK\x1b[0m"));
    assert!(!daemon.hbctl("status --color never").out.contains('\x1b'));
}

#[test]
fn watching_shows_it_again_and_survives_a_restart_of_the_daemon() {
    let daemon = Daemon::new(vec![vec![STATUS], vec![], vec![STATUS]]);
    let mut child = daemon.start("status --watch --json");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..2 {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let shown: Value = serde_json::from_str(&line).expect("one object a line");
        assert_eq!(shown["cluster"], "lvs");
    }
    // It ends quietly as soon as nobody reads any more.
    drop(out);
    let ended = finish(child);
    assert_eq!(ended.code, 0);
    assert!(ended.err.contains("closed the connection before its answer"), "{}", ended.err);
}

#[test]
fn watching_begins_with_an_answer_or_not_at_all() {
    let ended = crate::daemon::hbctl_on("/nonexistent/hbd.sock".as_ref(), "status --watch");
    assert_eq!(ended.code, 3);
}

#[test]
fn why_is_told_line_by_line() {
    let daemon = Daemon::saying(&[Step::Say(
        r#"{"answer":"done","data":["vip is on a","b is in standby, so it may not take it"]}"#,
    )]);
    let ended = daemon.hbctl("why vip");
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (0, "vip is on a\nb is in standby, so it may not take it\n")
    );
    assert_eq!(daemon.request(), json!({"verb": "why", "group": "vip", "no_wait": false}));
    let shown: Value = serde_json::from_str(&daemon.hbctl("why vip --json").out).unwrap();
    assert_eq!(shown["group"], "vip");
    assert_eq!(shown["why"][0], "vip is on a");
}

#[test]
fn the_gaps_are_a_table_and_the_advice_is_as_the_file_has_it() {
    let daemon = Daemon::saying(&[Step::Say(
        r#"{"answer":"done","data":{"keepalive_ms":200,"warntime_ms":1000,"deadtime_ms":2000,
"nodes":[{"name":"b","any":{"name":"any link","gaps":{"count":48211,"p50_ms":200,"p99_ms":202,"p999_ms":210,"max_ms":1000},"late":1,"lost":0},
"links":[{"name":"bcast:eth1","gaps":{"count":48211,"p50_ms":200,"p99_ms":202,"p999_ms":210,"max_ms":1437},"late":0,"lost":3},
{"name":"serial:ttyS0","gaps":{"count":0,"p50_ms":0,"p99_ms":0,"p999_ms":0,"max_ms":0},"late":0,"lost":0}]}],
"advice":{"warntime_ms":400,"deadtime_ms":3000},"notes":["deadtime = 2000 ms is too short"]}}"#
            .replace('\n', "")
            .leak(),
    )]);
    let ended = daemon.hbctl("tune");
    let shown = "\
keepalive 200ms, warntime 1.0s, deadtime 2.0s

From b            heartbeats    50 %    99 %  99.9 %  longest  late  lost
  any link             48211   200ms   202ms   210ms       1s     1
  bcast:eth1           48211   200ms   202ms   210ms   1437ms     0     3
  serial:ttyS0             0       -       -       -        -     0     0

Advice  warntime = \"400ms\", deadtime = \"3s\" or longer
  deadtime = 2000 ms is too short
";
    assert_eq!((ended.code, ended.out.as_str()), (0, shown));
    assert_eq!(daemon.request(), json!({"verb": "tune", "no_wait": false}));
    let shown: Value = serde_json::from_str(&daemon.hbctl("tune --json").out).unwrap();
    assert_eq!(shown["advice"]["deadtime_ms"], 3000);
}

#[test]
fn events_one_in_a_line() {
    let daemon = Daemon::saying(&[Step::Say(EVENT), Step::Say(EVENT), Step::Say(r#"{"answer":"done"}"#)]);
    let ended = daemon.hbctl("events -n 2");
    assert_eq!((ended.code, ended.out), (0, EVENT_SHOWN.repeat(2)));
    assert_eq!(daemon.request(), json!({"verb": "events", "count": 2, "follow": false, "no_wait": false}));
    let ended = daemon.hbctl("events --json");
    let lines: Vec<Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["number"]), (2, &json!(7)));
    assert_eq!(daemon.request()["count"], 20);
}

#[test]
fn following_shows_each_event_as_it_comes() {
    let daemon = Daemon::saying(&[Step::Say(EVENT), Step::Silence]);
    let mut child = daemon.start("events --follow --timeout 1ms");
    let mut shown = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut shown).unwrap();
    assert_eq!(shown, EVENT_SHOWN);
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(daemon.request()["follow"], true);
}

#[test]
fn a_reader_who_has_had_enough_is_no_failure() {
    let daemon = Daemon::saying(&[Step::Repeat(EVENT)]);
    let mut child = daemon.start("events --follow");
    let mut first = [0; 19];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(child.stdout.take());
    let ended = finish(child);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}
