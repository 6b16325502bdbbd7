//! A daemon that is not there, dies, raves or is silent.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;

use crate::daemon::{Daemon, Step, finish, hbctl_on};

#[test]
fn no_daemon_ends_with_3_and_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hbd.sock");
    for line in ["status", "standby", "events", "why vip", "reload", "fence b"] {
        let ended = hbctl_on(&path, line);
        assert_eq!((ended.code, ended.out.as_str()), (3, ""), "{line}");
        assert!(ended.err.contains(path.to_str().unwrap()), "{line}: {}", ended.err);
        assert!(
            ended.err.contains("systemctl status hbd") && ended.err.contains("--socket"),
            "{line}: {}",
            ended.err
        );
    }
}

#[test]
fn a_socket_left_behind_is_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hbd.sock");
    drop(UnixListener::bind(&path).unwrap());
    let ended = hbctl_on(&path, "status");
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains("left behind"), "{}", ended.err);
}

#[test]
fn a_daemon_that_dies_is_told_from_one_that_is_not_there() {
    let cases: [(&[Step], &str); 3] = [
        (&[], "closed the connection before its answer"),
        (&[Step::Say(r#"{"answer":"progress","text":"x"}"#)], "closed the connection before its answer"),
        (&[Step::Raw(b"{\"answer\":\"do".to_vec())], "in the middle of its answer"),
    ];
    for (steps, wanted) in cases {
        for line in ["status", "standby"] {
            let ended = Daemon::saying(steps).hbctl(line);
            assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{line} {steps:?}");
            assert!(ended.err.contains(wanted), "{line} {steps:?}: {}", ended.err);
        }
    }
}

#[test]
fn raving_is_refused() {
    let garbage: [&[u8]; 6] = [
        b"hello\n",
        b"\n",
        b"\xff\xfe\x00\n",
        b"{\"answer\":\"shrug\"}\n",
        b"[]\n",
        b"{\"answer\":\"item\"}\n",
    ];
    for bytes in garbage {
        for line in ["status", "standby", "events", "why vip"] {
            let ended = Daemon::saying(&[Step::Raw(bytes.to_vec())]).hbctl(line);
            assert_eq!(ended.code, 1, "{line} {bytes:?}");
            assert!(ended.err.starts_with("hbctl: cannot understand"), "{line} {bytes:?}: {}", ended.err);
            assert!(!ended.err.trim_end().contains(|c: char| c.is_control()), "{line}: {:?}", ended.err);
        }
    }
}

#[test]
fn answers_of_another_kind_than_asked_for_do_no_harm() {
    let strange = r#"{"answer":"done","text":"","data":[[],{"x":null}]}"#;
    for line in ["status", "standby", "events", "why vip", "status --json"] {
        let ended = Daemon::saying(&[Step::Say(strange)]).hbctl(line);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{line}");
    }
}

#[test]
fn an_endless_line_is_cut() {
    let steps = [Step::Raw(vec![b'x'; 65 << 20]), Step::Silence];
    let ended = Daemon::saying(&steps).hbctl("status");
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("longer than 67108864 bytes"), "{}", ended.err);
}

#[test]
fn silence_has_an_end() {
    let daemon = Daemon::saying(&[Step::Silence]);
    for line in ["status", "why vip", "events"] {
        let ended = daemon.hbctl(&format!("{line} --timeout 200ms"));
        assert_eq!(ended.code, 1, "{line}");
        assert!(ended.err.contains("did not answer within 200ms"), "{line}: {}", ended.err);
    }
}

#[test]
fn endless_chatter_has_an_end_too() {
    let daemon = Daemon::saying(&[Step::Repeat(r#"{"answer":"progress","text":"soon"}"#)]);
    let ended = daemon.hbctl("status --timeout 200ms");
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("did not answer within 200ms"), "{}", ended.err);
}

#[test]
fn someone_without_the_right_is_told_whom_to_ask() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can become somebody else; the sentence itself is tested beside the code.
        return;
    }
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let path = folder.path().join("hbd.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o660)).unwrap();
    // Where it was built nobody may have no way to it.
    let program = folder.path().join("hbctl");
    std::fs::copy(env!("CARGO_BIN_EXE_hbctl"), &program).unwrap();
    let mut command = std::process::Command::new(&program);
    command.args(["status", "--socket"]).arg(&path).uid(NOBODY).gid(NOBODY).current_dir("/");
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let ended = finish(command.spawn().unwrap());
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert!(ended.err.contains("permission denied") && ended.err.contains("group"), "{}", ended.err);
}
