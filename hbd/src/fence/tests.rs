//! Devices that work, fail, hang, and are not there; Debian's fence_dummy.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use super::*;

struct Ground {
    folder: tempfile::TempDir,
    surroundings: Surroundings,
}

fn ground() -> Ground {
    let folder = tempfile::tempdir().unwrap();
    let surroundings = Surroundings {
        node: "a".into(),
        cluster: "test".into(),
        scratch: folder.path().join("scratch"),
        at_work: None,
    };
    Ground { folder, surroundings }
}

impl Ground {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A device that writes down what it is given and goes on with `script`.
    fn device(&self, name: &str, script: &str) -> Fence {
        let path = self.path(name);
        let log = self.path("log");
        let text = format!("#!/bin/sh\ncat >> {}\nargs=\"$*\"\n{script}\n", log.display());
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Fence {
            node: "b".into(),
            agent: path.display().to_string(),
            options: BTreeMap::new(),
            timeout: Duration::from_secs(20),
            delay: Duration::ZERO,
            retries: 0,
            monitor: None,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    async fn fence(&self, devices: &[Fence]) -> FenceOutcome {
        fence(devices, &self.surroundings).await
    }
}

fn failed(outcome: FenceOutcome) -> String {
    match outcome {
        FenceOutcome::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn options_go_in_on_standard_input_and_success_is_exit_0() {
    let ground = ground();
    let mut device = ground.device("fence_it", "[ -z \"$args\" ] && [ \"$HBD_FENCED_NODE\" = b ]");
    device.options.insert("ip".into(), "10.9.0.1".into());
    let outcome = ground.fence(&[device]).await;
    assert_eq!(outcome, FenceOutcome::Confirmed { by: "fence_it".into() });
    assert_eq!(ground.log(), "action=reboot\nip=10.9.0.1\n");
}

#[tokio::test]
async fn off_is_off_and_monitor_is_monitor() {
    let ground = ground();
    let mut device = ground.device("fence_it", "exit 0");
    device.options.insert("action".into(), "off".into());
    ground.fence(std::slice::from_ref(&device)).await;
    monitor(&device, &ground.surroundings).await.unwrap();
    assert_eq!(ground.log(), "action=off\naction=monitor\n");
}

#[tokio::test]
async fn a_device_that_fails_is_tried_again_and_then_the_next_one() {
    let ground = ground();
    let mut first = ground.device("fence_first", "echo 'no route to the board' >&2; exit 1");
    first.retries = 2;
    let second = ground.device("fence_second", "exit 0");
    let outcome = ground.fence(&[first.clone(), second]).await;
    assert_eq!(outcome, FenceOutcome::Confirmed { by: "fence_second".into() });
    assert_eq!(ground.log().lines().count(), 4);
    let why = failed(ground.fence(&[first]).await);
    assert!(why.contains("exit code 1") && why.contains("no route to the board"), "{why}");
    assert_eq!(why.matches("exit code").count(), 1, "{why}");
}

#[tokio::test]
async fn no_answer_in_time_is_no_success_and_the_whole_group_is_gone() {
    let ground = ground();
    let mark = ground.path("still-there");
    let script = format!("(sleep 2; touch {}) & trap '' TERM; sleep 60; exit 0", mark.display());
    let mut device = ground.device("fence_hangs", &script);
    device.timeout = Duration::from_millis(300);
    let why = failed(ground.fence(&[device]).await);
    assert!(why.contains("no answer within 300ms"), "{why}");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!mark.exists(), "a child outlived the timeout");
}

#[tokio::test]
async fn what_is_not_installed_or_killed_is_no_success() {
    let ground = ground();
    let mut device = ground.device("fence_it", "kill -9 $$");
    assert!(failed(ground.fence(std::slice::from_ref(&device)).await).contains("killed by"));
    device.agent = "fence_nowhere_to_be_found".into();
    assert!(failed(ground.fence(&[device]).await).contains("does not exist"));
    assert_eq!(failed(ground.fence(&[]).await), "there is no device");
}

#[tokio::test]
async fn a_password_comes_from_its_file_and_is_seen_nowhere() {
    let ground = ground();
    std::fs::write(ground.path("ipmi"), "t0p s3cret\nsecond line\n").unwrap();
    let mut device = ground.device("fence_it", "echo 'login t0p s3cret as pa55 refused' >&2; exit 1");
    device.options.insert("password_file".into(), ground.path("ipmi").display().to_string());
    device.options.insert("snmp_auth_passwd".into(), "pa55".into());
    let why = failed(ground.fence(std::slice::from_ref(&device)).await);
    assert!(why.contains("login … as … refused"), "{why}");
    assert!(ground.log().contains("password=t0p s3cret\n") && !ground.log().contains("password_file"));
    std::fs::write(ground.path("ipmi"), "\n").unwrap();
    assert!(
        failed(ground.fence(std::slice::from_ref(&device)).await).contains("no password in the first line")
    );
    std::fs::remove_file(ground.path("ipmi")).unwrap();
    assert!(failed(ground.fence(&[device]).await).contains("the password cannot be read"));
}

#[tokio::test]
async fn debians_fence_dummy_works_unchanged() {
    if !Path::new("/usr/sbin/fence_dummy").exists() {
        assert!(
            std::env::var_os("FENCE_REQUIRED").is_none(),
            "fence_dummy (Debian: fence-agents) is not installed"
        );
        return;
    }
    let ground = ground();
    let state = ground.path("state");
    std::fs::write(&state, "on").unwrap();
    let options = [
        ("type", "file".to_owned()),
        ("status_file", state.display().to_string()),
        ("action", "off".to_owned()),
    ];
    let mut device = Fence { agent: "fence_dummy".into(), ..ground.device("unused", "") };
    device.options = options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    monitor(&device, &ground.surroundings).await.unwrap();
    let outcome = ground.fence(std::slice::from_ref(&device)).await;
    assert_eq!(outcome, FenceOutcome::Confirmed { by: "fence_dummy".into() });
    assert_eq!(std::fs::read_to_string(&state).unwrap().trim(), "off");
    device.options.insert("action".into(), "reboot".into());
    assert_eq!(
        ground.fence(std::slice::from_ref(&device)).await,
        FenceOutcome::Confirmed { by: "fence_dummy".into() }
    );
    assert_eq!(std::fs::read_to_string(&state).unwrap().trim(), "on");
    // One that never goes off.
    device.options.insert("type".into(), "fail".into());
    device.options.insert("plug".into(), "1".into());
    device.options.insert("power_timeout".into(), "1".into());
    failed(ground.fence(&[device]).await);
}
