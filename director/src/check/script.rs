//! A program as a check, called as ldirectord, Piranha or mon call theirs.
//!
//! | form | called as | good if |
//! |---|---|---|
//! | ldirectord's `external` | `PROGRAM VIP VPORT RIP RPORT` | it exits with 0 |
//! | Piranha's `send_program` | `PROGRAM ARG…`, `%h` the real server, `%p` its port | its output has what is expected |
//! | mon's monitors | `PROGRAM ARG… HOST` | it exits with 0; else its first line says who fails |

use std::ffi::OsString;
use std::net::IpAddr;

use super::program::{self, Call, Ended};
use super::proto::text::{Expect, quoted};
use super::spec::{Calling, Script};
use super::{ServiceName, Target};

/// What the program is told.
#[derive(Debug)]
struct Facts {
    vip: String,
    vport: String,
    rip: IpAddr,
    rport: u16,
    port: u16,
}

impl Facts {
    fn of(target: &Target) -> Facts {
        let service = target.service.as_deref();
        let (vip, vport) = match service {
            Some(ServiceName { address: Some(address), .. }) => {
                (address.ip().to_string(), address.port().to_string())
            }
            // As ldirectord does for a service by firewall mark: the mark, and no port.
            Some(ServiceName { mark: Some(mark), .. }) => (mark.to_string(), "0".to_owned()),
            _ => (String::new(), "0".to_owned()),
        };
        let rport = service.map_or(target.port, |service| service.real_port);
        Facts { vip, vport, rip: target.address, rport, port: target.port }
    }

    /// `%h` the real server, `%p` the port to ask, `%v` the virtual service's address, `%V` its port, `%%` a percent.
    fn fill(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match (c, rest.clone().next()) {
                ('%', Some('h')) => out.push_str(&self.rip.to_string()),
                ('%', Some('p')) => out.push_str(&self.port.to_string()),
                ('%', Some('v')) => out.push_str(&self.vip),
                ('%', Some('V')) => out.push_str(&self.vport),
                ('%', Some('%')) => out.push('%'),
                (c, _) => {
                    out.push(c);
                    continue;
                }
            }
            rest.next();
        }
        out
    }

    fn call(&self, script: &Script) -> Call {
        let given = script.args.iter().map(|arg| self.fill(arg));
        let args: Vec<String> = match script.calling {
            Calling::Mon => given.chain([self.rip.to_string()]).collect(),
            Calling::Plain if script.args.is_empty() && script.expect.is_none() => {
                vec![self.vip.clone(), self.vport.clone(), self.rip.to_string(), self.rport.to_string()]
            }
            Calling::Plain => given.collect(),
        };
        let env = [
            ("VIP", &self.vip),
            ("VPORT", &self.vport),
            ("RIP", &self.rip.to_string()),
            ("RPORT", &self.rport.to_string()),
        ];
        Call {
            program: script.program.clone(),
            args: args.into_iter().map(OsString::from).collect(),
            env: env.map(|(key, value)| (format!("DIRECTOR_{key}"), value.clone())).to_vec(),
        }
    }
}

/// Runs it. The deadline is the caller's; when it passes the whole process group is killed.
///
/// # Errors
/// A sentence.
pub(super) async fn run(script: &Script, expect: Option<&Expect>, target: &Target) -> Result<(), String> {
    let ended = program::run(Facts::of(target).call(script)).await?;
    judge(script.calling, expect, &ended)
}

fn judge(calling: Calling, expect: Option<&Expect>, ended: &Ended) -> Result<(), String> {
    if let Some(expect) = expect {
        return expect.judge("the program's output", trimmed(&ended.stdout));
    }
    if ended.status.success() {
        return Ok(());
    }
    let line = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    };
    let said = match calling {
        // The first line is the summary, by mon's contract.
        Calling::Mon => line(&ended.stdout).or_else(|| line(&ended.stderr)),
        Calling::Plain => line(&ended.stderr).or_else(|| line(&ended.stdout)),
    };
    Err(match said {
        Some(said) => format!("the program ended with {}: {}", ended.how(), quoted(&said)),
        None => format!("the program ended with {}", ended.how()),
    })
}

/// Without the end of the last line, which every program writes and nobody expects.
fn trimmed(output: &[u8]) -> &[u8] {
    output.trim_ascii_end()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::table::Protocol;

    fn target() -> Target {
        Target {
            address: "10.0.0.3".parse().unwrap(),
            port: 53,
            protocol: Protocol::Udp,
            service: Some(Box::new(ServiceName {
                address: Some("10.0.0.7:53".parse().unwrap()),
                mark: None,
                real_port: 5353,
            })),
        }
    }

    fn script(folder: &tempfile::TempDir, text: &str) -> Script {
        let program: PathBuf = folder.path().join("check");
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Script { program, args: Vec::new(), calling: Calling::Plain, expect: None }
    }

    /// What the script was given, as the script says it.
    async fn said(script: &Script) -> String {
        let never = Expect::parse("//never//").unwrap();
        run(script, Some(&never), &target()).await.unwrap_err()
    }

    #[tokio::test]
    async fn ldirectords_form() {
        let folder = tempfile::tempdir().unwrap();
        let mut script = script(&folder, "#!/bin/sh\necho \"$# $*; $DIRECTOR_VIP\" >&2\nexit $STATUS\n");
        let why = run(&script, None, &target()).await;
        assert_eq!(why, Ok(()));
        script.args = vec!["%h".to_owned(), "%p".to_owned(), "%v:%V".to_owned(), "100%%".to_owned()];
        let program = script.program.clone();
        std::fs::write(&program, "#!/bin/sh\necho \"$*\" >&2\nexit 1\n").unwrap();
        let why = run(&script, None, &target()).await.unwrap_err();
        assert_eq!(why, "the program ended with exit code 1: \"10.0.0.3 53 10.0.0.7:53 100%\"");
        script.args.clear();
        let why = run(&script, None, &target()).await.unwrap_err();
        assert_eq!(why, "the program ended with exit code 1: \"10.0.0.7 53 10.0.0.3 5353\"");
    }

    #[tokio::test]
    async fn piranhas_form() {
        let folder = tempfile::tempdir().unwrap();
        let mut script = script(&folder, "#!/bin/sh\necho \"asked $1\"\nexit 1\n");
        script.args = vec!["%h".to_owned()];
        let expect = Expect::parse("/^asked 10.0.0.3$/").unwrap();
        assert_eq!(run(&script, Some(&expect), &target()).await, Ok(()));
        assert!(said(&script).await.contains("it begins \"asked 10.0.0.3\""));
    }

    #[tokio::test]
    async fn mons_form() {
        let folder = tempfile::tempdir().unwrap();
        let mut script = script(&folder, "#!/bin/sh\necho \"$*\"\necho detail\nexit 2\n");
        script.calling = Calling::Mon;
        script.args = vec!["-t".to_owned(), "3".to_owned()];
        let why = run(&script, None, &target()).await.unwrap_err();
        assert_eq!(why, "the program ended with exit code 2: \"-t 3 10.0.0.3\"");
    }

    #[test]
    fn a_service_by_mark_has_its_number_for_an_address() {
        let mut target = target();
        target.service = Some(Box::new(ServiceName { address: None, mark: Some(7), real_port: 80 }));
        let facts = Facts::of(&target);
        assert_eq!((facts.vip.as_str(), facts.vport.as_str(), facts.rport), ("7", "0", 80));
    }
}
