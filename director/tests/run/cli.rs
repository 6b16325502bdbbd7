//! The command line: exit codes and words.

use std::process::Command;

use crate::ground::*;

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(DIRECTOR).args(args).output().expect("the tool");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn check_needs_no_director_and_says_all_mistakes() {
    let ground = Ground::new(&www(&[("web1", "10.0.0.1:80".parse().unwrap())]));
    let file = ground.config().display().to_string();
    let (code, said, _) = run(&["check", &file]);
    assert_eq!((code, said), (Some(0), format!("{file}: good: 1 virtual service, 1 real server\n")));
    ground.write("[directr]\n[[virtual]]\nname = \"www\"\nadress = \"192.168.1.30:80\"\n");
    let (code, _, said) = run(&["check", &file]);
    assert_eq!(code, Some(2));
    for wanted in [
        "unknown table [directr]",
        &format!("{file}:4:1"),
        "did you mean 'address'?",
        "^^^^^^",
        "has no 'address'",
    ] {
        assert!(said.contains(wanted), "{wanted} in {said}");
    }
    let (code, said, _) = run(&["check", &file, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &json["good"]), (Some(2), &serde_json::json!(false)));
    assert_eq!(json["problems"][0]["line"], 1);
    assert_eq!(run(&["check", "/nonexistent/director.toml"]).0, Some(2));
}

#[test]
fn a_bad_configuration_does_not_start() {
    let ground = Ground::new("[[virtual]]\n");
    let output = ground.tool(&["run", "--backend", "dry-run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("has no 'name'"));
}

#[test]
fn nobody_to_talk_to_is_three_and_wrong_usage_two() {
    let ground = Ground::new("");
    for args in [&["status"][..], &["drain", "x"], &["reload"], &["role"], &["stop"], &["weight", "x", "1"]] {
        let output = ground.tool(args);
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("no director is running"), "{args:?}");
    }
    for args in [
        &["dance"][..],
        &["drain"],
        &["weight", "x"],
        &["weight", "x", "-3"],
        &["drain", "x", "--deadline", "5"],
    ] {
        assert_eq!(run(args).0, Some(2), "{args:?}");
    }
    assert_eq!(run(&["--help"]).0, Some(0));
    assert_eq!(run(&["--version"]).0, Some(0));
}

#[test]
fn a_refusal_is_one_with_its_reason() {
    let server = Server::new();
    let mut ground = Ground::new(&www(&[("web1", server.address)]));
    ground.start();
    let refused = ground.tool(&["drain", "wbe1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("did you mean 'web1'?"));
}

#[test]
fn a_plan_without_a_director_begins_with_an_empty_table() {
    let ground = Ground::new(&www(&[("web1", "10.0.0.1:80".parse().unwrap())]));
    let said = ground.done(&["plan", "--backend", "dry-run"]);
    assert_eq!(said, "+ tcp 192.168.1.30:80  wrr\n+ tcp 192.168.1.30:80 -> 10.0.0.1:80  masq weight 5\n");
}

#[test]
fn a_plan_is_of_the_file_the_director_reads() {
    let server = Server::new();
    let mut ground = Ground::new(&www(&[("web1", server.address)]));
    ground.start();
    ground.wait_state("web1", "up");
    let plan = |more: &[&str]| {
        let mut tool = Command::new(DIRECTOR);
        let output =
            tool.arg("--run-dir").arg(ground.run_dir()).arg("plan").args(more).output().expect("the tool");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    wait_for("the table", || plan(&[]) == (Some(0), "nothing would change\n".to_owned()));
    let other = ground.folder.path().join("other.toml");
    std::fs::write(&other, www(&[])).expect("a file");
    let (code, said) = plan(&["--config", &other.display().to_string()]);
    assert_eq!(code, Some(0));
    assert!(said.contains(&server.address.to_string()), "{said}");
    ground.write("[[virtual]]\n");
    assert_eq!(plan(&[]).0, Some(2));
}

#[test]
fn the_status_for_people_says_who_and_why() {
    let (one, two) = (Server::new(), Server::new());
    let mut ground = Ground::new(&www(&[("web1", one.address), ("web2", two.address)]));
    ground.start();
    ground.wait_state("web1", "up");
    two.stop();
    ground.wait_state("web2", "down");
    let said = ground.done(&["status", "--color", "never"]);
    for wanted in [
        "DEGRADED  active: 1 of 1 virtual service up",
        "! www/web2 is down:",
        "www  tcp 192.168.1.30:80  wrr",
        "refused",
    ] {
        assert!(said.contains(wanted), "{wanted} in {said}");
    }
}

#[test]
fn any_status_can_be_shown() {
    for text in [
        "null",
        "{}",
        "[1]",
        r#"{"virtuals":[{}]}"#,
        r#"{"virtuals":[{"reals":[{},null,3]}],"degraded":[7]}"#,
    ] {
        director::ctl::render_status(&serde_json::from_str(text).unwrap(), 80);
    }
}

#[test]
fn a_low_limit_of_descriptors_takes_nobody_out() {
    let servers: Vec<Server> = (0..40).map(|_| Server::new()).collect();
    let named: Vec<(String, _)> =
        servers.iter().enumerate().map(|(number, server)| (format!("web{number}"), server.address)).collect();
    let reals: Vec<_> = named.iter().map(|(name, address)| (name.as_str(), *address)).collect();
    let mut ground = Ground::new(&www(&reals));
    ground.start_by(&["sh", "-c", "ulimit -S -n 24; exec \"$@\"", "sh"]);
    let pid = ground.status()["pid"].to_string();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    let words: Vec<&str> = line.split_whitespace().collect();
    let (soft, hard): (u64, u64) = (words[3].parse().expect("a number"), words[4].parse().expect("a number"));
    assert!(soft == 512 * 8 + 256 || soft == hard, "{line}");
    for (name, _) in &reals {
        ground.wait_state(name, "up");
    }
}
