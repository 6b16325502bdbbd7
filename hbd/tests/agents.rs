//! The executor of resource agents, with real processes.

mod agents_support;

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use agents_support::*;
use cluster::{OpKind, OpResult};
use hbd::config::{AddressSpec, Agent};

#[tokio::test]
async fn an_honest_agent_starts_is_seen_and_stops() {
    let b = Bench::new();
    let r = heartbeat(agent("ok.sh"), &["web"]);
    for (op, expected) in [
        (OpKind::Status, OpResult::NotRunning),
        (OpKind::Start, OpResult::Ok),
        (OpKind::Status, OpResult::Running),
        (OpKind::Stop, OpResult::Ok),
        (OpKind::Status, OpResult::NotRunning),
    ] {
        let outcome = b.runner.run("g", &r, op, LONG).await;
        assert_eq!(outcome.result, expected, "{op:?}");
    }
    assert!(!b.path("scratch/web").exists(), "its state was kept in the scratch folder");
}

#[tokio::test]
async fn the_tail_has_what_was_said_on_both_outputs() {
    let b = Bench::new();
    let outcome = b.runner.run("g", &heartbeat(agent("exit.sh"), &["0"]), OpKind::Start, LONG).await;
    assert_eq!(outcome.result, OpResult::Ok);
    for line in ["something on stdout\n", "ending with 0\n"] {
        assert!(outcome.output_tail.contains(line), "{}", outcome.output_tail);
    }
}

#[tokio::test]
async fn each_exit_code_has_its_result_in_each_class() {
    let b = Bench::new();
    let script = fs::read(agent("exit.sh")).expect("read");
    for code in (0..=9).chain([126, 127, 190, 255]) {
        let text = code.to_string();
        let h = heartbeat(agent("exit.sh"), &[&text]);
        let l = resource(Agent::Lsb { path: b.executable(&format!("exit-{code}"), &script) });
        let o = ocf("Exit", agent("exit.sh"), &[("code", &text)]);
        for (class, r) in [("heartbeat", &h), ("lsb", &l), ("ocf", &o)] {
            let start = b.runner.run("g", r, OpKind::Start, LONG).await.result;
            let stop = b.runner.run("g", r, OpKind::Stop, LONG).await.result;
            let status = b.runner.run("g", r, OpKind::Status, LONG).await.result;
            let case = format!("{class} {code}");
            assert_eq!(start == OpResult::Ok, code == 0, "{case}");
            assert_eq!(stop == OpResult::Ok, code == 0 || (code == 7 && class != "heartbeat"), "{case}");
            if start != OpResult::Ok {
                let why = failed(&start);
                assert!(why.contains(&format!("exit code {code}")), "{case}: {why}");
                assert!(why.contains(&format!("it said: ending with {code}")), "{case}: {why}");
            }
            let expected = match (class, code) {
                (_, 0) | ("ocf", 8 | 190) => Some(OpResult::Running),
                ("heartbeat", 1..=3 | 7) | ("lsb", 1..=3) | ("ocf", 5 | 7) => Some(OpResult::NotRunning),
                _ => None,
            };
            match expected {
                Some(expected) => assert_eq!(status, expected, "{case}"),
                None => assert!(failed(&status).contains(&format!("exit code {code}")), "{case}: {status:?}"),
            }
        }
        let ocf_start = b.runner.run("g", &o, OpKind::Start, LONG).await.result;
        let word = match code {
            1 => "generic",
            2 => "arguments",
            3 => "implement",
            4 => "permission",
            5 => "not installed",
            6 => "not configured",
            126 => "could not be executed",
            127 => "not found",
            _ => continue,
        };
        assert!(failed(&ocf_start).contains(word), "{ocf_start:?}");
    }
}

#[tokio::test]
async fn the_text_of_a_heartbeat_status_goes_before_its_exit_code() {
    let b = Bench::new();
    for (text, code, expected) in [
        ("web is running", 3, OpResult::Running),
        ("INFO: Running OK", 1, OpResult::Running),
        ("web is NOT running", 0, OpResult::NotRunning),
        ("stopped", 0, OpResult::NotRunning),
        ("Active: inactive (dead)", 0, OpResult::NotRunning),
        ("BROKEN", 3, OpResult::NotRunning),
        ("nrunning", 0, OpResult::Running),
    ] {
        let r = heartbeat(agent("text.sh"), &[text, &code.to_string()]);
        assert_eq!(b.runner.run("g", &r, OpKind::Status, LONG).await.result, expected, "{text} {code}");
    }
    let r = heartbeat(agent("text.sh"), &["BROKEN", "4"]);
    let result = b.runner.run("g", &r, OpKind::Status, LONG).await.result;
    assert!(failed(&result).contains("unclear"), "{result:?}");
}

#[tokio::test]
async fn binary_output_survives() {
    let b = Bench::new();
    let outcome = b.runner.run("g", &heartbeat(agent("binary.sh"), &[]), OpKind::Start, LONG).await;
    let why = failed(&outcome.result);
    assert!(why.ends_with("it said: no end \u{fffd}"), "{why}");
    assert!(outcome.output_tail.contains("\\u{1b}[31m\\u{0} ja\u{e4} \\u{1}"), "{}", outcome.output_tail);
}

#[tokio::test]
async fn an_agent_killed_by_a_signal_has_failed() {
    let b = Bench::new();
    for signal in ["KILL", "SEGV", "TERM"] {
        for op in [OpKind::Start, OpKind::Stop, OpKind::Status] {
            let r = heartbeat(agent("signal.sh"), &[signal]);
            let result = b.runner.run("g", &r, op, LONG).await.result;
            assert!(failed(&result).contains(&format!("killed by SIG{signal}")), "{result:?}");
        }
    }
}

#[tokio::test]
async fn a_liar_is_believed_at_the_start_and_caught_at_the_look() {
    let b = Bench::new();
    let r = heartbeat(agent("liar.sh"), &[]);
    assert_eq!(b.runner.run("g", &r, OpKind::Start, LONG).await.result, OpResult::Ok);
    assert_eq!(b.runner.run("g", &r, OpKind::Status, LONG).await.result, OpResult::NotRunning);
}

#[tokio::test]
async fn what_cannot_be_executed_is_told_apart() {
    let b = Bench::new();
    let plain = b.path("plain");
    fs::write(&plain, "#!/bin/sh\n").expect("written");
    let cases = [
        (b.path("nowhere"), "does not exist: install it"),
        (plain, "chmod +x"),
        (b.dir.path().to_owned(), "chmod +x"),
        (b.executable("lost", "#!/no/such/interpreter\n"), "the interpreter in its first line"),
        (b.executable("empty", ""), "is empty"),
        (b.executable("alien", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"), "for this machine"),
    ];
    for (path, expected) in cases {
        for op in [OpKind::Status, OpKind::Start, OpKind::Stop] {
            let result = b.runner.run("g", &heartbeat(&path, &[]), op, LONG).await.result;
            let why = failed(&result);
            assert!(why.contains(expected) && why.contains(path.to_str().expect("text")), "{why}");
        }
    }
    let r = heartbeat(agent("text.sh"), &["a\0b", "0"]);
    let result = b.runner.run("g", &r, OpKind::Start, LONG).await.result;
    assert!(failed(&result).contains("NUL"), "{result:?}");
}

#[tokio::test]
async fn a_script_without_interpreter_line_is_run_by_the_shell() {
    let b = Bench::new();
    let path = b.executable("bare", "echo \"$1 $2\"; [ \"$2\" = stop ]\n");
    let r = heartbeat(&path, &["an arg"]);
    let start = b.runner.run("g", &r, OpKind::Start, LONG).await;
    assert!(failed(&start.result).contains("an arg start"), "{start:?}");
    assert_eq!(b.runner.run("g", &r, OpKind::Stop, LONG).await.result, OpResult::Ok);
}

#[tokio::test]
async fn an_agent_just_being_written_is_waited_for() {
    let b = Bench::new();
    let path = b.executable("busy", "#!/bin/sh\nexit 0\n");
    let writer = fs::OpenOptions::new().append(true).open(&path).expect("open");
    let r = heartbeat(&path, &[]);
    let result = b.runner.run("g", &r, OpKind::Start, LONG).await.result;
    assert!(failed(&result).contains("being written to"), "but not for ever: {result:?}");
    drop(writer);
    // A machine that is too busy may keep it open for too long.
    for _ in 0..5 {
        let writer = fs::OpenOptions::new().append(true).open(&path).expect("open");
        let running = b.runner.run("g", &r, OpKind::Start, LONG);
        tokio::pin!(running);
        let some_tries = tokio::time::sleep(Duration::from_millis(100));
        let early = tokio::select! {
            outcome = &mut running => Some(outcome),
            () = some_tries => None,
        };
        drop(writer);
        if early.is_none() && running.await.result == OpResult::Ok {
            return;
        }
    }
    panic!("it was never waited for");
}

#[tokio::test]
async fn an_agent_finds_clean_surroundings() {
    let b = Bench::new();
    // A descriptor of ours, open while it runs.
    let _open = fs::File::open("/etc/passwd").expect("open");
    let r = ocf("Env", agent("surroundings.sh"), &[("my_param", "a b\tc")]);
    // The whole output is longer than a tail: the agent writes it into a file.
    let shown = b.path("shown");
    let wrapper =
        format!("#!/bin/sh\nexec {} \"$@\" >{}\n", agent("surroundings.sh").display(), shown.display());
    let path = b.executable("wrapper", wrapper);
    let Agent::Ocf { provider, name, params, .. } = r.agent.clone() else { unreachable!() };
    let r = agents_support::resource(Agent::Ocf { provider, name, path, params });
    assert_eq!(
        b.runner.run("g", &r, OpKind::Start, Duration::from_millis(59_500)).await.result,
        OpResult::Ok
    );
    let text = fs::read_to_string(shown).expect("shown");
    let env: HashMap<&str, &str> = text.lines().filter_map(|l| l.split_once('=')).collect();
    for (name, value) in [
        ("HA_CURHOST", "midas"),
        ("HBD_CLUSTER", "lvs"),
        ("HBD_GROUP", "g"),
        ("OCF_ROOT", "/usr/lib/ocf"),
        ("OCF_RESOURCE_INSTANCE", "g.data"),
        ("OCF_RESOURCE_TYPE", "Env"),
        ("OCF_RESOURCE_PROVIDER", "heartbeat"),
        ("OCF_RESKEY_my_param", "a b\tc"),
        ("OCF_RESKEY_CRM_meta_timeout", "59500"),
        ("LANG", "C"),
    ] {
        assert_eq!(env.get(name), Some(&value), "{name}");
    }
    assert!(env.keys().all(|name| !name.starts_with("CARGO")), "hbd's own environment is not handed on");
    assert!(text.contains("\ncwd /\n") && text.contains("\nstdin /dev/null\n"), "{text}");
    let descriptors: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("descriptor ")).collect();
    assert!(
        descriptors.len() >= 3 && descriptors.iter().all(|d| !d.contains("/etc/passwd")),
        "{descriptors:?}"
    );
    // 0, 1 and 2, the script, which some shells hold open, and what the one who started the test has let slip.
    let inherited = inherited();
    for d in &descriptors {
        let (number, _) = d.split_once(' ').expect("both");
        let good = matches!(number, "0" | "1" | "2") || d.contains(".sh") || d.ends_with(" /dev/null");
        assert!(good || inherited.iter().any(|i| i == number), "{d}: {descriptors:?}, {inherited:?}");
    }
    let pid = text.lines().find_map(|l| l.strip_prefix("pid ")).expect("a pid");
    let (pid, stat) = pid.split_once(" stat ").expect("both");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("stat").1.split_whitespace().collect();
    assert_eq!(fields[2], pid, "it leads its own process group");
}

#[tokio::test]
async fn no_signal_is_blocked_or_ignored_in_an_agent() {
    use nix::sys::signal::{SigSet, Signal};
    // As a careless supervisor may leave it.
    SigSet::from(Signal::SIGUSR2).thread_block().expect("blocked");
    let b = Bench::new();
    // No script: a shell may clean up by itself. The last argument, `start`, is a file that does not exist.
    let r = heartbeat("/bin/grep", &["-h", "^Sig", "/proc/self/status"]);
    let tail = b.runner.run("g", &r, OpKind::Start, LONG).await.output_tail;
    let mask = |name: &str| {
        let line = tail.lines().find(|l| l.starts_with(name)).expect("a mask");
        u64::from_str_radix(line.split_whitespace().last().expect("a number"), 16).expect("hex")
    };
    assert_eq!(mask("SigBlk"), 0);
    for signal in [Signal::SIGPIPE, Signal::SIGCHLD] {
        assert_eq!(mask("SigIgn") & (1 << (signal as i32 - 1)), 0, "{signal}");
    }
}

/// This process's descriptors that are not close-on-exec (`/proc/PID/fdinfo`, proc(5)).
fn inherited() -> Vec<String> {
    let numbers = fs::read_dir("/proc/self/fdinfo")
        .expect("proc")
        .filter_map(|e| e.ok()?.file_name().into_string().ok());
    let open_on = |number: &String| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let flags = info.lines().find_map(|l| l.strip_prefix("flags:"))?;
        Some(i32::from_str_radix(flags.trim(), 8).ok()? & nix::fcntl::OFlag::O_CLOEXEC.bits() == 0)
    };
    numbers.filter(|n| open_on(n) == Some(true)).collect()
}

#[tokio::test]
async fn an_address_is_refused_without_a_panic() {
    let b = Bench::new();
    let spec = AddressSpec {
        ip: "192.0.2.1".parse().expect("an address"),
        prefix: None,
        interface: None,
        label: None,
        broadcast: None,
    };
    let result = b.runner.run("g", &resource(Agent::Address(spec)), OpKind::Start, LONG).await.result;
    assert!(failed(&result).starts_with("internal"), "{result:?}");
}
