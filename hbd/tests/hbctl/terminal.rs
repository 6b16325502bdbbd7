//! On a terminal: colours, and one line of progress that is rewritten.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::daemon::{Daemon, Step, finish};

/// Runs `command` with stdout and stderr on a terminal: its exit code and all that came out.
fn on_terminal(mut command: Command) -> (i32, String) {
    let pty = nix::pty::openpty(None, None).expect("a terminal");
    let second: OwnedFd = pty.slave.try_clone().expect("a clone");
    let child =
        command.stdout(Stdio::from(pty.slave)).stderr(Stdio::from(second)).spawn().expect("hbctl starts");
    // It holds the other end of the terminal, which must be closed for the end to be seen.
    drop(command);
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        // A terminal whose other end is closed answers with an error (EIO), not with an end of file.
        let _ = File::from(pty.master).read_to_end(&mut all);
        all
    });
    let ended = finish(child);
    (ended.code, String::from_utf8(reader.join().expect("read")).expect("UTF-8"))
}

#[test]
fn progress_is_one_line_that_is_rewritten() {
    let daemon = Daemon::saying(&[
        Step::Say(r#"{"answer":"progress","text":"vip: stopping on a"}"#),
        Step::Say(r#"{"answer":"progress","text":"vip: starting on b"}"#),
        Step::Say(r#"{"answer":"done","text":"vip is started on b"}"#),
    ]);
    let (code, shown) = on_terminal(daemon.command("move vip"));
    assert_eq!(code, 0);
    assert!(shown.contains("\r\x1b[Kvip: stopping on a ("), "{shown:?}");
    assert!(shown.contains("\r\x1b[Kvip: starting on b ("), "{shown:?}");
    assert!(shown.ends_with("\r\x1b[Kvip is started on b\r\n"), "{shown:?}");
    assert_eq!(shown.matches('\n').count(), 1, "{shown:?}");
}

#[test]
fn status_has_colours_unless_they_are_unwanted() {
    let daemon = Daemon::saying(&[Step::Say(
        r#"{"answer":"done","data":{"cluster":"lvs","node":"a","groups":[{"name":"vip","state":"failed"}]}}"#,
    )]);
    let (_, shown) = on_terminal(daemon.command("status"));
    assert!(shown.starts_with("\x1b[1;31mDOWN\x1b[0m  cluster lvs"), "{shown:?}");
    let mut plain = daemon.command("status");
    plain.env("NO_COLOR", "1");
    assert!(on_terminal(plain).1.starts_with("DOWN  cluster lvs"));
    let mut dumb = daemon.command("status");
    dumb.env("TERM", "dumb");
    assert!(on_terminal(dumb).1.starts_with("DOWN  cluster lvs"));
    let (_, never) = on_terminal(daemon.command("status --color never"));
    assert!(!never.contains('\x1b'), "{never:?}");
}
