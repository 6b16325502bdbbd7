//! Orders: waited for, refused, given up on.

use serde_json::{Value, json};

use crate::daemon::{Daemon, Step};

const DONE: Step = Step::Say(r#"{"answer":"done","text":"vip is started on b","data":null}"#);

#[test]
fn an_order_is_waited_for_and_its_progress_told() {
    let daemon = Daemon::saying(&[
        Step::Say(r#"{"answer":"progress","text":"vip: stopping on a"}"#),
        Step::Say(r#"{"answer":"progress","text":"vip: starting on b"}"#),
        DONE,
    ]);
    let ended = daemon.hbctl("move vip --to b");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.out, "vip is started on b\n");
    assert_eq!(ended.err, "vip: stopping on a\nvip: starting on b\n");
    let wanted = json!({"verb": "order", "order": {"Move": {"group": "vip", "to": "b"}}, "no_wait": false});
    assert_eq!(daemon.request(), wanted);
}

#[test]
fn every_command_asks_what_it_says() {
    let cases = [
        ("standby", json!({"verb": "order", "order": {"Standby": {"node": null, "force": false}}})),
        ("standby b --force", json!({"verb": "order", "order": {"Standby": {"node": "b", "force": true}}})),
        ("online", json!({"verb": "order", "order": {"Online": {"node": null}}})),
        ("takeover", json!({"verb": "order", "order": {"Takeover": {"groups": []}}})),
        ("failback vip web", json!({"verb": "order", "order": {"Failback": {"groups": ["vip", "web"]}}})),
        ("maintenance on", json!({"verb": "order", "order": {"Maintenance": {"on": true}}})),
        ("cleanup vip", json!({"verb": "order", "order": {"Cleanup": {"group": "vip"}}})),
        ("fence-ack b", json!({"verb": "order", "order": {"FenceAck": {"node": "b"}}})),
        ("fence b", json!({"verb": "fence", "node": "b"})),
        ("reload", json!({"verb": "reload"})),
    ];
    let daemon = Daemon::saying(&[Step::Say(r#"{"answer":"done"}"#)]);
    for (line, mut wanted) in cases {
        let ended = daemon.hbctl(line);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, "done\n", ""), "{line}");
        wanted["no_wait"] = Value::Bool(false);
        assert_eq!(daemon.request(), wanted, "{line}");
    }
}

#[test]
fn cleanup_of_a_resource_is_ordered_only_if_its_group_has_it() {
    let status = Step::Say(
        r#"{"answer":"done","text":"","data":{"groups":[{"name":"vip","resources":[{"name":"nginx"}]}]}}"#,
    );
    let daemon = Daemon::new(vec![vec![status.clone()], vec![DONE], vec![status]]);
    let ended = daemon.hbctl("cleanup vip/nginx");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(daemon.request()["verb"], "status");
    assert_eq!(daemon.request()["order"], json!({"Cleanup": {"group": "vip"}}));
    let ended = daemon.hbctl("cleanup vip/ngnix");
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (1, "hbctl: there is no resource ngnix in vip; there are: nginx\n")
    );
    assert_eq!(daemon.request()["verb"], "status");
}

#[test]
fn a_refusal_ends_with_1_and_its_reason_on_stderr() {
    let daemon = Daemon::saying(&[Step::Say(
        r#"{"answer":"refused","reason":"there is no group \"vpi\"; there are vip, web"}"#,
    )]);
    let ended = daemon.hbctl("move vpi");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert_eq!(ended.err, "hbctl: there is no group \"vpi\"; there are vip, web\n");
}

#[test]
fn a_refusal_before_the_request_was_read_is_heard() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hbd.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"{\"answer\":\"refused\",\"reason\":\"you may not steer\"}\n").unwrap();
    });
    let ended = crate::daemon::hbctl_on(&path, "standby");
    server.join().unwrap();
    assert_eq!((ended.code, ended.err.as_str()), (1, "hbctl: you may not steer\n"));
}

#[test]
fn json_tells_the_end_in_one_object() {
    let daemon = Daemon::new(vec![vec![DONE], vec![Step::Say(r#"{"answer":"refused","reason":"no"}"#)]]);
    let done = daemon.hbctl("--json takeover");
    let shown: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((done.code, shown), (0, json!({"done": true, "text": "vip is started on b", "data": null})));
    let refused = daemon.hbctl("--json takeover");
    let shown: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!((refused.code, shown), (1, json!({"done": false, "reason": "no"})));
    assert_eq!(refused.err, "hbctl: no\n");
}

#[test]
fn no_wait_is_told_to_the_daemon() {
    let daemon = Daemon::saying(&[Step::Say(r#"{"answer":"done","text":"begun"}"#)]);
    let ended = daemon.hbctl("standby --no-wait");
    assert_eq!((ended.code, ended.out.as_str()), (0, "begun\n"));
    assert_eq!(daemon.request()["no_wait"], true);
}

#[test]
fn after_the_timeout_the_order_goes_on_without_us() {
    let daemon =
        Daemon::saying(&[Step::Say(r#"{"answer":"progress","text":"vip: stopping on a"}"#), Step::Silence]);
    let ended = daemon.hbctl("standby --timeout 300ms");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    let wanted = "vip: stopping on a\nhbctl: gave up waiting after 300ms (last heard: vip: stopping on a); \
                  the order goes on: see `hbctl status` and `hbctl events`\n";
    assert_eq!(ended.err, wanted);
}

#[test]
fn a_daemon_without_a_word_is_not_said_to_have_the_order() {
    let daemon = Daemon::saying(&[Step::Silence]);
    let ended = daemon.hbctl("standby --timeout 300ms");
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("hbd has said nothing; if it has the order"), "{}", ended.err);
}

#[test]
fn endless_progress_does_not_outlast_the_timeout() {
    let daemon = Daemon::saying(&[Step::Repeat(r#"{"answer":"progress","text":"still at it"}"#)]);
    let ended = daemon.hbctl("standby --timeout 300ms");
    assert_eq!(ended.code, 1);
    assert!(
        ended.err.contains("gave up waiting after 300ms"),
        "{}",
        &ended.err[ended.err.len().saturating_sub(300)..]
    );
}
