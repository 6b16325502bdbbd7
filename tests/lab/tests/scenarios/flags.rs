//! The daemon's command line: other folders, another name, JSON logs.

use lab::hbd::daemon::Daemon;
use lab::pair::{BOUND, Pair, VIP};
use lab::scenario::{check, scenario, served, until};
use lab::{LabError, hbd};

#[test]
fn other_folders_another_name_and_json_logs() {
    scenario(Pair::new, |pair| {
        let mut settings = pair.settings.clone();
        // The host is called a, and in the configuration x.
        settings.nodes = vec!["x".to_owned(), "b".to_owned()];
        settings.links.truncate(1);
        settings.groups[0].preferred = Some("x".to_owned());
        let toml = settings.toml();
        pair.world.write_file("a", "/etc/other.toml", &toml, 0o644)?;
        pair.world.write_file("a", "/etc/hbd/authkeys", &settings.authkeys, 0o600)?;
        settings.install(&pair.world, "b")?;
        let words = [
            "--config",
            "/etc/other.toml",
            "--node",
            "x",
            "--run-dir",
            "/run/other",
            "--state-dir",
            "/var/other",
        ];
        let mut daemon =
            Daemon::start_with(&pair.world, "a", &[], &[&words[..], &["--log-format", "json"]].concat())?;
        pair.start_again("b")?;
        pair.wait("b", "x owns", |s| s.sees("x", "up") && s.has("vip", "started", Some("x")))?;
        served(pair, VIP)?;

        let asked = pair.order("a", &["--socket", "/run/other/hbd.sock", "--json", "status"])?;
        let status = hbd::Status::parse(&asked.stdout).ok_or_else(|| LabError("no status".to_owned()))?;
        check(status.node == "x" && status.has("vip", "started", Some("x")), || format!("{status}"))?;
        for file in ["/var/other/state.json", "/run/other/hbd.sock"] {
            pair.world.must("a", &["test", "-e", file])?;
        }
        check(!pair.world.exec("a", &["test", "-e", "/run/hbd"])?.ok(), || {
            "the usual folder was used".to_owned()
        })?;
        let log = daemon.process().log_text();
        let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok_and(|v| v.is_object());
        let bad: Vec<&str> = log.lines().filter(|line| !json(line)).collect();
        check(!log.is_empty() && bad.is_empty(), || format!("lines that are no JSON: {bad:?}"))?;

        pair.order("b", &["move", "vip", "--to", "b"])?;
        until("b has the address", || {
            Ok(lab::audit::addresses(&pair.world, "b")?.contains(&lab::pair::ip(VIP)))
        })?;
        let code = daemon.terminate(BOUND)?;
        check(code == 0, || format!("exit code {code}"))?;
        pair.wait("b", "x left", |s| s.sees("x", "left")).map(drop)
    });
}
