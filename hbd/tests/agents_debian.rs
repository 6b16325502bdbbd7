//! Debian's `resource-agents` (ocf:heartbeat:*), unchanged: Dummy, Filesystem, IPaddr2.
//!
//! What is not installed or not allowed here is skipped, loudly; `scripts/test` installs the package first.

mod agents_support;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agents_support::*;
use cluster::{OpKind, OpResult};
use hbd::config::Resource;

/// The agent's path, or `None` and a loud word.
fn debian(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from("/usr/lib/ocf/resource.d/heartbeat").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is missing; install the package resource-agents to run this test", path.display());
    None
}

fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: this test needs root");
    }
    root
}

/// Whether a command succeeds.
fn works(command: &[&str]) -> bool {
    let mut c = Command::new(command[0]);
    c.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Status, start, status, start again, stop, status, stop again; `seen` tells whether it is really there.
async fn whole_life(b: &Bench, r: &Resource, seen: impl Fn() -> bool) {
    let outcome = b.runner.ocf_validate("g", r, LONG).await;
    assert_eq!(outcome.result, OpResult::Ok, "{outcome:?}");
    for (op, expected, there) in [
        (OpKind::Status, OpResult::NotRunning, false),
        (OpKind::Start, OpResult::Ok, true),
        (OpKind::Status, OpResult::Running, true),
        (OpKind::Start, OpResult::Ok, true),
        (OpKind::Status, OpResult::Running, true),
        (OpKind::Stop, OpResult::Ok, false),
        (OpKind::Status, OpResult::NotRunning, false),
        (OpKind::Stop, OpResult::Ok, false),
    ] {
        let outcome = b.runner.run("g", r, op, LONG).await;
        assert_eq!(outcome.result, expected, "{op:?}: {}", outcome.output_tail);
        assert_eq!(seen(), there, "{op:?}: {}", outcome.output_tail);
    }
}

#[tokio::test]
async fn dummy() {
    let Some(path) = debian("Dummy") else { return };
    let b = Bench::new();
    let r = ocf("Dummy", path, &[]);
    let state = b.path("scratch/Dummy-g.data.state");
    whole_life(&b, &r, || state.exists()).await;
}

#[tokio::test]
async fn the_description_of_each_agent_is_understood() {
    let Some(path) = debian("IPaddr2") else {
        return;
    };
    let b = Bench::new();
    let mut read = 0;
    for entry in fs::read_dir(path.parent().expect("a folder")).expect("listed") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
        match b.runner.ocf_metadata(&ocf(&name, &path, &[]), LONG).await {
            Ok(data) => {
                // Some are called otherwise in their own description (by letter case); all have the two actions.
                assert!(
                    data.timeout("start").is_some() && data.timeout("stop").is_some(),
                    "{name}: {data:?}"
                );
                read += 1;
            }
            // Some want a library that is not here before they say anything.
            Err(why) => eprintln!("{name}: {why}"),
        }
    }
    assert!(read >= 50, "{read}");
    let data = b.runner.ocf_metadata(&ocf("IPaddr2", &path, &[]), LONG).await.expect("understood");
    assert_eq!(data.name, "IPaddr2");
    assert!(data.parameters.iter().any(|p| p.name == "ip" && p.required && p.unique));
    let advice = data.advice(&ocf("IPaddr2", &path, &[("adress", "192.0.2.1")]));
    assert!(advice.iter().any(|a| a.contains("knows no parameter adress")), "{advice:?}");
    assert!(advice.iter().any(|a| a.contains("requires the parameter ip")), "{advice:?}");
}

#[tokio::test]
async fn a_bad_parameter_is_refused_with_the_agents_own_reason() {
    let Some(path) = debian("IPaddr2") else {
        return;
    };
    let b = Bench::new();
    let r = ocf("IPaddr2", path, &[("ip", "nonsense")]);
    let validate = b.runner.ocf_validate("g", &r, LONG).await.result;
    let start = b.runner.run("g", &r, OpKind::Start, LONG).await.result;
    for result in [validate, start] {
        let why = failed(&result);
        assert!(why.contains("exit code 6: not configured") && why.contains("[findif] failed"), "{why}");
    }
}

/// A mount namespace, held by a process of ours.
struct Mounts(Child);

impl Drop for Mounts {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn filesystem() {
    let Some(path) = debian("Filesystem") else {
        return;
    };
    if !root() {
        return;
    }
    if !works(&["modprobe", "--version"]) {
        eprintln!("SKIPPED: the agent Filesystem wants modprobe; install the package kmod to run this test");
        return;
    }
    let b = Bench::new();
    let Ok(holder) =
        Command::new("unshare").args(["--mount", "--propagation", "private", "sleep", "1000"]).spawn()
    else {
        eprintln!("SKIPPED: no unshare");
        return;
    };
    let pid = holder.id();
    let holder = Mounts(holder);
    let own = fs::read_link("/proc/self/ns/mnt").expect("a namespace");
    let its = format!("/proc/{pid}/ns/mnt");
    until("it has its own mounts", || fs::read_link(&its).ok().filter(|its| *its != own)).await;
    let (source, target) = (b.path("source"), b.path("target"));
    fs::create_dir(&source).expect("made");
    fs::create_dir(&target).expect("made");
    let wrapper = b.executable(
        "Filesystem",
        format!("#!/bin/sh\nexec nsenter --mount={its} {} \"$@\"\n", path.display()),
    );
    let mounted = || {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("read");
        mounts.lines().any(|l| l.split(' ').nth(4) == target.to_str())
    };
    let (source, at) = (source.to_str().expect("text"), target.to_str().expect("text"));
    let bind = [("device", source), ("directory", at), ("fstype", "none"), ("options", "bind")];
    whole_life(&b, &ocf("Filesystem", &wrapper, &bind), mounted).await;
    let tmpfs = [("device", "tmpfs"), ("directory", at), ("fstype", "tmpfs")];
    whole_life(&b, &ocf("Filesystem", &wrapper, &tmpfs), mounted).await;
    // One that cannot be mounted.
    let nothing = [("device", "/nowhere/disk"), ("directory", at), ("fstype", "ext4")];
    let result = b.runner.run("g", &ocf("Filesystem", &wrapper, &nothing), OpKind::Start, LONG).await.result;
    assert!(failed(&result).contains("/nowhere/disk"), "{result:?}");
    assert!(!mounted());
    drop(holder);
}

/// A network namespace of a name no other has.
struct Net(String);

impl Drop for Net {
    fn drop(&mut self) {
        works(&["ip", "netns", "delete", &self.0]);
    }
}

#[tokio::test]
async fn ip_addr2() {
    let Some(path) = debian("IPaddr2") else {
        return;
    };
    if !root() {
        return;
    }
    let name = format!("ag-{}", std::process::id());
    if !works(&["ip", "netns", "add", &name]) {
        eprintln!("SKIPPED: no network namespace can be made here");
        return;
    }
    let net = Net(name);
    let ip = |args: &[&str]| works(&[&["ip", "-netns", &net.0], args].concat());
    assert!(ip(&["link", "add", "ag0", "type", "veth", "peer", "name", "ag1"]));
    for device in ["lo", "ag0", "ag1"] {
        assert!(ip(&["link", "set", device, "up"]));
    }
    let b = Bench::new();
    let inside = format!("#!/bin/sh\nexec ip netns exec {} {} \"$@\"\n", net.0, path.display());
    let wrapper = b.executable("IPaddr2", inside);
    for (address, bits) in [("192.0.2.77", "24"), ("2001:db8::77", "64")] {
        let seen = || {
            let shown =
                Command::new("ip").args(["-netns", &net.0, "-o", "address", "show", "dev", "ag0"]).output();
            String::from_utf8_lossy(&shown.expect("shown").stdout).contains(&format!(" {address}/{bits} "))
        };
        let r = ocf("IPaddr2", &wrapper, &[("ip", address), ("cidr_netmask", bits), ("nic", "ag0")]);
        whole_life(&b, &r, seen).await;
    }
}

#[tokio::test]
async fn an_agent_that_cannot_finish_in_time_is_ended() {
    let Some(path) = debian("Delay") else { return };
    let b = Bench::new();
    let r = ocf("Delay", path, &[("startdelay", "1000"), ("stopdelay", "0"), ("mondelay", "0")]);
    let outcome = b.runner.run("g", &r, OpKind::Start, Duration::from_secs(2)).await;
    assert_eq!(outcome.result, OpResult::TimedOut);
    // It may have got half way: that is what the stop after it is for.
    assert_eq!(b.runner.run("g", &r, OpKind::Stop, LONG).await.result, OpResult::Ok);
    assert_eq!(b.runner.run("g", &r, OpKind::Status, LONG).await.result, OpResult::NotRunning);
}
