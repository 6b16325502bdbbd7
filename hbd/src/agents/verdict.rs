//! What an agent's exit code and text mean.
//!
//! # Heartbeat class: the text of `status`
//!
//! Heartbeat ignored the exit code and looked for pieces of text anywhere, so that "BROKEN" was OK and
//! "nrunning" was running. Here the text on stdout still comes first, but is read by words
//! (runs of letters, digits, `_` and `-`), in this order:
//!
//! | the text has | answer | case |
//! |---|---|---|
//! | a line `Active: active`, `reloading`, `activating`, `deactivating` (init scripts that hand over to systemctl) | running | any |
//! | a line `Active: inactive`, `failed` | not running | any |
//! | `not running`, `isn't running`, `no longer running`, `is not`, `not active`, `not started`, `not ok`, `is down`, `stopped`, `dead`, `inactive` | not running | any |
//! | `OK`, `running`, `Running` | running | as written |
//! | none of these | the exit code: 0 running · 1, 2, 3, 7 not running · else failed, unclear | |
//!
//! The `Active:` line comes first because such a text also carries the unit's last log lines, in which "Stopped" is no news of today.
//!
//! # LSB: the exit code of `status`
//!
//! Linux Standard Base Core 5.0, 22.2: 0 running · 1, 2 dead with its pid or lock file left, 3 not running: all not running ·
//! 4 unknown and all others: failed.
//!
//! # OCF: the exit codes
//!
//! OCF Resource Agent API 1.1, and what Pacemaker makes of them:
//!
//! | code | start | stop | monitor |
//! |---|---|---|---|
//! | 0 success | done | done | running |
//! | 1 generic error | failed | failed | failed |
//! | 2 arguments · 3 not implemented · 4 permissions | hopeless here | failed | hopeless here |
//! | 5 not installed | hopeless here | failed | hopeless here; of what is not known to run: not running |
//! | 6 not configured | hopeless everywhere | failed | hopeless everywhere |
//! | 7 not running | failed | done | not running |
//! | 8 running, promoted · 190, 191 running but degraded | failed | failed | running |
//! | 9 failed while promoted, all others | failed | failed | failed |
//!
//! What is hopeless is not tried again in place; everywhere means that the other node need not try. A stop that failed is a stop that
//! failed, whatever the reason.

use cluster::OpKind;

/// The classes of agents that are called as `agent ARG… ACTION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Heartbeat's own.
    Heartbeat,
    /// Init scripts.
    Lsb,
    /// OCF resource agents.
    Ocf,
}

/// What an agent that ran to its end has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The start or stop succeeded.
    Done,
    /// The status: it runs.
    Running,
    /// The status: it does not run.
    NotRunning,
    /// Neither; the exit code's meaning, if it has one.
    Bad(Option<&'static str>),
    /// The same, and it will be so on this node until somebody has mended something.
    Hopeless(&'static str),
    /// The same, and it will be so on every node.
    Misconfigured(&'static str),
}

impl Class {
    /// The word an agent of this class is called with.
    pub fn action(self, op: OpKind) -> &'static str {
        match (op, self) {
            (OpKind::Start, _) => "start",
            (OpKind::Stop, _) => "stop",
            (OpKind::Status, Class::Ocf) => "monitor",
            (OpKind::Status, _) => "status",
        }
    }

    /// The verdict on an exit code and (Heartbeat's status only) the text on stdout.
    pub fn judge(self, op: OpKind, code: i32, stdout: &str) -> Verdict {
        let bad = match (self, code, self.meaning(code)) {
            (Class::Ocf, 2..=5, Some(meaning)) => Verdict::Hopeless(meaning),
            (Class::Ocf, 6, Some(meaning)) => Verdict::Misconfigured(meaning),
            (_, _, meaning) => Verdict::Bad(meaning),
        };
        match (op, self) {
            // The shell's own codes: the agent did not get as far as an answer.
            (_, _) if code == 126 || code == 127 => bad,
            (OpKind::Start, _) if code == 0 => Verdict::Done,
            (OpKind::Stop, _) if code == 0 => Verdict::Done,
            // "Not running" is what a stop is for.
            (OpKind::Stop, Class::Lsb | Class::Ocf) if code == 7 => Verdict::Done,
            (OpKind::Start | OpKind::Stop, _) => bad,
            (OpKind::Status, Class::Heartbeat) => heartbeat_status(code, stdout),
            (OpKind::Status, Class::Lsb) => match code {
                0 => Verdict::Running,
                1..=3 => Verdict::NotRunning,
                4 => Verdict::Bad(Some("it does not know whether it runs")),
                _ => Verdict::Bad(Some("no answer an LSB status can give")),
            },
            (OpKind::Status, Class::Ocf) => match code {
                0 | 8 | 190 | 191 => Verdict::Running,
                7 => Verdict::NotRunning,
                _ => bad,
            },
        }
    }

    /// An exit code in words.
    pub fn meaning(self, code: i32) -> Option<&'static str> {
        match (self, code) {
            (_, 126) => Some("a command was found but could not be executed"),
            (_, 127) => Some("a command it calls was not found"),
            (Class::Ocf, 0) => Some("success"),
            (Class::Ocf, 1) => Some("generic error"),
            (Class::Ocf, 2) => Some("wrong arguments: a parameter's value cannot work on this machine"),
            (Class::Ocf, 3) => Some("the agent does not implement this action"),
            (Class::Ocf, 4) => Some("insufficient permissions"),
            (Class::Ocf, 5) => Some("not installed: something the agent needs is missing on this machine"),
            (Class::Ocf, 6) => Some("not configured: a parameter is missing or wrong"),
            (Class::Ocf, 7) => Some("not running"),
            (Class::Ocf, 8) => Some("running, promoted"),
            (Class::Ocf, 9) => Some("failed while promoted"),
            (Class::Lsb, 1) => Some("generic or unspecified error"),
            (Class::Lsb, 2) => Some("invalid or excess arguments"),
            (Class::Lsb, 3) => Some("the script does not implement this action"),
            (Class::Lsb, 4) => Some("insufficient privilege"),
            (Class::Lsb, 5) => Some("the program is not installed"),
            (Class::Lsb, 6) => Some("the program is not configured"),
            (Class::Lsb, 7) => Some("the program is not running"),
            _ => None,
        }
    }
}

/// Phrases that say "not running", in lower case, word by word.
const NEGATIVE: &[&[&str]] = &[
    &["not", "running"],
    &["isn't", "running"],
    &["no", "longer", "running"],
    &["is", "not"],
    &["not", "active"],
    &["not", "started"],
    &["not", "ok"],
    &["is", "down"],
    &["stopped"],
    &["dead"],
    &["inactive"],
];

/// Words that say "running", in just this spelling, as Heartbeat had it.
const POSITIVE: &[&str] = &["OK", "running", "Running"];

fn heartbeat_status(code: i32, text: &str) -> Verdict {
    if let Some(verdict) = active_line(text) {
        return verdict;
    }
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '\'')))
        .map(|w| w.trim_matches('\''))
        .filter(|w| !w.is_empty())
        .collect();
    let lower: Vec<String> = words.iter().map(|w| w.to_lowercase()).collect();
    if NEGATIVE.iter().any(|phrase| lower.windows(phrase.len()).any(|w| w == *phrase)) {
        Verdict::NotRunning
    } else if words.iter().any(|w| POSITIVE.contains(w)) {
        Verdict::Running
    } else {
        match code {
            0 => Verdict::Running,
            1..=3 | 7 => Verdict::NotRunning,
            _ => Verdict::Bad(Some("unclear: neither its text nor its exit code says whether it runs")),
        }
    }
}

/// The line `Active: …` of `systemctl status`, if there is one that says something.
fn active_line(text: &str) -> Option<Verdict> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        if words.next()?.to_lowercase() != "active:" {
            return None;
        }
        match words.next()?.to_lowercase().as_str() {
            "active" | "reloading" | "activating" | "deactivating" => Some(Verdict::Running),
            "inactive" | "failed" => Some(Verdict::NotRunning),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_bad(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Bad(_) | Verdict::Hopeless(_) | Verdict::Misconfigured(_))
    }

    fn status(code: i32, text: &str) -> Verdict {
        Class::Heartbeat.judge(OpKind::Status, code, text)
    }

    #[test]
    fn the_text_of_a_heartbeat_status_decides_whatever_the_exit_code() {
        for code in [0, 1, 3, 4, 77] {
            for text in [
                "running",
                "Running",
                "OK",
                "INFO: Running OK",
                "httpd (pid 1 2) is running...",
                "status:running\n",
                "   Active: active (running) since Mon\n\n systemd[1]: Stopped web.\n systemd[1]: Started web.",
                "Active: activating (start-pre)",
            ] {
                assert_eq!(status(code, text), Verdict::Running, "{code} {text}");
            }
            for text in [
                "not running",
                "NOT RUNNING",
                "Not\n running",
                "stopped",
                "STOPPED",
                "httpd is stopped",
                "/dev/drbd0 is not mounted",
                "It isn't running",
                "no longer running",
                "dead but pid file exists",
                "Active: inactive (dead)",
                "  Active: failed (Result: exit-code)\n  now running nothing",
                "inactive (dead)",
                "not OK",
                "OK, but not running",
            ] {
                assert_eq!(status(code, text), Verdict::NotRunning, "{code} {text}");
            }
        }
    }

    #[test]
    fn a_silent_text_leaves_it_to_the_exit_code() {
        for text in [
            "",
            "BROKEN",
            "LOOKOUT",
            "nrunning",
            "running_mate",
            "not-running-yet",
            "RUNNING",
            "ok",
            "Active:",
            "Active: maybe",
        ] {
            assert_eq!(status(0, text), Verdict::Running, "{text}");
            for code in [1, 2, 3, 7] {
                assert_eq!(status(code, text), Verdict::NotRunning, "{code} {text}");
            }
            for code in [4, 5, 6, 8, 9, 77, 255] {
                assert!(matches!(status(code, text), Verdict::Bad(Some(_))), "{code} {text}");
            }
        }
    }

    #[test]
    fn a_shell_that_found_no_command_has_answered_nothing() {
        for class in [Class::Heartbeat, Class::Lsb, Class::Ocf] {
            for op in [OpKind::Status, OpKind::Start, OpKind::Stop] {
                for code in [126, 127] {
                    assert!(matches!(class.judge(op, code, "OK"), Verdict::Bad(Some(_))), "{class:?} {op:?}");
                }
            }
        }
    }

    #[test]
    fn starts_and_stops_go_by_the_exit_code() {
        for class in [Class::Heartbeat, Class::Lsb, Class::Ocf] {
            assert_eq!(class.judge(OpKind::Start, 0, "not running"), Verdict::Done);
            assert_eq!(class.judge(OpKind::Stop, 0, "running"), Verdict::Done);
            for code in (1..=255).filter(|c| *c != 7) {
                assert!(is_bad(class.judge(OpKind::Start, code, "OK")));
                assert!(is_bad(class.judge(OpKind::Stop, code, "OK")));
            }
            assert!(matches!(class.judge(OpKind::Start, 7, ""), Verdict::Bad(_)));
        }
        assert!(matches!(Class::Heartbeat.judge(OpKind::Stop, 7, ""), Verdict::Bad(_)));
        assert_eq!(Class::Lsb.judge(OpKind::Stop, 7, ""), Verdict::Done);
        assert_eq!(Class::Ocf.judge(OpKind::Stop, 7, ""), Verdict::Done);
    }

    #[test]
    fn lsb_and_ocf_looks_go_by_the_exit_code_alone() {
        for code in 0..=255 {
            let lsb = Class::Lsb.judge(OpKind::Status, code, "OK running");
            let ocf = Class::Ocf.judge(OpKind::Status, code, "not running");
            match code {
                0 => assert_eq!((lsb, ocf), (Verdict::Running, Verdict::Running)),
                7 => assert!(matches!(lsb, Verdict::Bad(_)) && ocf == Verdict::NotRunning),
                8 | 190 | 191 => assert!(matches!(lsb, Verdict::Bad(_)) && ocf == Verdict::Running),
                1..=3 => assert!(lsb == Verdict::NotRunning && is_bad(ocf)),
                _ => assert!(matches!(lsb, Verdict::Bad(Some(_))) && is_bad(ocf)),
            }
        }
    }
}
