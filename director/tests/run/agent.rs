//! The agent for hbd, with the real director.

use std::process::{Command, Output};

use crate::ground::*;

struct Agent {
    ground: Ground,
}

impl Agent {
    fn call(&self, action: &str) -> Output {
        Command::new(root().join("resource-agents/director"))
            .arg(self.ground.config())
            .arg(self.ground.run_dir())
            .args(["dry-run", action])
            .env("DIRECTOR", DIRECTOR)
            .env("DIRECTOR_WAIT", "60")
            .env("HA_RSCTMP", self.ground.folder.path().join("agents"))
            .output()
            .expect("the agent")
    }

    #[track_caller]
    fn gives(&self, action: &str, code: i32, word: &str) {
        let output = self.call(action);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{action}: {said}{error}");
        assert!(said.contains(word), "{action}: {said}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.ground.tool(&["stop"]);
        wait_for("the director's end", || self.ground.tool(&["role"]).status.code() == Some(3));
    }
}

#[test]
fn start_makes_it_active_and_stop_leaves_a_warm_standby() {
    let server = Server::new();
    let agent = Agent { ground: Ground::new(&www(&[("web1", server.address)])) };
    agent.gives("start", 0, "");
    agent.gives("start", 0, "");
    agent.gives("status", 0, "running");
    assert_eq!(agent.ground.done(&["role"]), "active\n");
    agent.ground.wait_state("web1", "up");
    let pid = agent.ground.status()["pid"].clone();
    agent.gives("stop", 0, "");
    agent.gives("status", 3, "not running");
    assert_eq!(agent.ground.done(&["role"]), "standby\n");
    agent.gives("start", 0, "");
    assert_eq!(agent.ground.status()["pid"], pid, "the same process all the time");
    assert_eq!(agent.ground.real("web1", "state"), "up", "and it has lost nothing");
}

#[test]
fn asked_where_none_runs_it_makes_a_standby_run() {
    let server = Server::new();
    let agent = Agent { ground: Ground::new(&www(&[("web1", server.address)])) };
    agent.gives("status", 3, "not running");
    wait_for("the standby", || agent.ground.tool(&["role"]).stdout == b"standby\n");
    agent.gives("status", 3, "the director is the standby");
    agent.gives("stop", 0, "");
}

#[test]
fn a_cold_one_runs_only_where_the_group_is() {
    let server = Server::new();
    let config = www(&[("web1", server.address)]).replace("[director]\n", "[director]\nstandby = \"cold\"\n");
    let agent = Agent { ground: Ground::new(&config) };
    agent.gives("status", 3, "not running");
    agent.gives("start", 0, "");
    agent.gives("status", 0, "running");
    agent.gives("stop", 0, "");
    assert_eq!(agent.ground.tool(&["role"]).status.code(), Some(3));
}

#[test]
fn a_bad_configuration_is_a_failed_start_that_says_so() {
    let agent = Agent { ground: Ground::new("[[virtual]]\n") };
    let output = agent.call("start");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("director check"), "{output:?}");
    agent.gives("stop", 0, "");
}

#[test]
fn a_director_that_does_not_answer_is_said_and_not_waited_for_without_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let hangs = folder.path().join("hangs");
    std::fs::write(&hangs, "#!/bin/sh\nexec sleep 1000\n").expect("a program");
    std::fs::set_permissions(&hangs, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    std::fs::write(folder.path().join("director.toml"), "").expect("a configuration");
    for (action, code) in [("start", 1), ("stop", 1), ("status", 4)] {
        let output = Command::new(root().join("resource-agents/director"))
            .arg(folder.path().join("director.toml"))
            .arg(folder.path().join("run"))
            .args(["dry-run", action])
            .env("DIRECTOR", &hangs)
            .env("DIRECTOR_WAIT", "1")
            .env("HA_RSCTMP", folder.path().join("agents"))
            .output()
            .expect("the agent");
        assert_eq!(output.status.code(), Some(code), "{action}: {output:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            error.contains("did not end within 1 s") && error.contains("DIRECTOR_WAIT"),
            "{action}: {error}"
        );
    }
}
