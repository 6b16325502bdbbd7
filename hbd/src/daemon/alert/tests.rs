use std::path::Path;

use super::*;
use crate::agents::RunnerSettings;
use cluster::Level;

pub(super) fn runner(folder: &Path) -> Arc<Runner> {
    Arc::new(Runner::new(RunnerSettings::new("a", "test", folder.join("scratch"))))
}

pub(super) fn event(number: u64, why: &str) -> Arc<StoredEvent> {
    let event = cluster::Event {
        level: Level::Warn,
        kind: "peer".into(),
        subject: "b".into(),
        from: Some("up".into()),
        to: Some("dead".into()),
        why: why.into(),
        took_ms: None,
    };
    Arc::new(StoredEvent { number, time: "2026-01-02T03:04:05.678Z".into(), node: "a".into(), event })
}

/// Where nobody listens.
pub(super) fn reports() -> Reports {
    mpsc::channel(64).0
}

/// An alert that runs the shell lines `script`, with the folder in `$1`.
fn exec(folder: &Path, script: &str) -> Alert {
    let (program, args) = ("/bin/sh".into(), vec!["-c".into(), script.into(), "sh".into()]);
    let args = [args, vec![folder.display().to_string()]].concat();
    by(Channel::Exec { program, args })
}

/// An alert of all events, tried once.
pub(super) fn by(channel: Channel) -> Alert {
    Alert {
        channel,
        level: None,
        events: None,
        timeout: Duration::from_secs(20),
        retries: 0,
        every: Duration::ZERO,
        repeat: None,
    }
}

async fn tell(folder: &Path, alert: Alert, events: &[Arc<StoredEvent>]) {
    let mut alerts = Alerts::new(runner(folder), "test".into(), reports());
    alerts.set(&[alert]);
    for event in events {
        alerts.tell(event);
    }
    alerts.close(Duration::from_secs(60)).await;
}

fn lines(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("out")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_program_is_told_in_order_by_environment_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"read -r json; echo "$HBD_ALERT_NUMBER $HBD_ALERT_LEVEL $HBD_ALERT_KIND $HBD_ALERT_SUBJECT $HBD_ALERT_FROM-$HBD_ALERT_TO $HBD_NODE $HBD_CLUSTER" >>"$1/out"; echo "$json" >>"$1/json""#;
    let events: Vec<_> = (1..=5).map(|number| event(number, "no heartbeat for 1000 ms")).collect();
    tell(folder.path(), exec(folder.path(), script), &events).await;
    let expected: Vec<String> = (1..=5).map(|n| format!("{n} warn peer b up-dead a test")).collect();
    assert_eq!(lines(folder.path()), expected);
    let json = std::fs::read_to_string(folder.path().join("json")).unwrap();
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["why"], "no heartbeat for 1000 ms");
    assert_eq!((&first["kind"], &first["to"]), (&"peer".into(), &"dead".into()));
}

#[tokio::test]
async fn what_failed_is_tried_again_before_the_next_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"echo "$HBD_ALERT_NUMBER" >>"$1/out"; [ $(wc -l <"$1/out") -ge 2 ]"#;
    let alert = Alert { retries: 1, ..exec(folder.path(), script) };
    tell(folder.path(), alert, &[event(1, "x"), event(2, "y")]).await;
    assert_eq!(lines(folder.path()), ["1", "1", "2"]);
}

#[tokio::test]
async fn one_that_hangs_is_ended_and_delays_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = Alert { timeout: Duration::from_millis(200), ..exec(folder.path(), "sleep 600") };
    let works = exec(folder.path(), r#"echo "$HBD_ALERT_NUMBER" >>"$1/out""#);
    let mut alerts = Alerts::new(runner(folder.path()), "test".into(), reports());
    alerts.set(&[hangs, works]);
    alerts.tell(&event(1, "x"));
    alerts.close(Duration::from_secs(60)).await;
    assert_eq!(lines(folder.path()), ["1"]);
}

#[tokio::test]
async fn more_than_can_wait_are_counted_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"echo "$HBD_ALERT_NUMBER $HBD_ALERT_LOST" >>"$1/out""#;
    let every = Duration::from_secs(3600);
    let mut alerts = Alerts::new(runner(folder.path()), "test".into(), reports());
    alerts.set(&[Alert { every, ..exec(folder.path(), script) }]);
    // Nothing is taken from the queue before the first await.
    for number in 0..WAITING as u64 + 7 {
        alerts.tell(&event(number, "x"));
    }
    alerts.close(Duration::from_secs(60)).await;
    assert_eq!(lines(folder.path()), ["0 7"]);
}

#[test]
fn a_mail_has_its_headers_and_no_line_of_anybody_else() {
    let folder = tempfile::tempdir().unwrap();
    let teller = Teller {
        alert: Alert { channel: Channel::Mail { to: "root@example.com".into() }, ..exec(folder.path(), "") },
        runner: runner(folder.path()),
        name: "mail".into(),
        cluster: "lvs".into(),
        lost: Arc::default(),
        reports: reports(),
        well: AtomicBool::new(true),
    };
    let mut stored = (*event(3, "evil\nBcc: x@example.com")).clone();
    stored.event.subject = "b\r\nBcc: y@example.com".into();
    let told = Told { event: Arc::new(stored), suppressed: 2, repeated: 1 };
    let program = teller.mailer("root@example.com", &told, 1);
    let text = String::from_utf8(program.input.unwrap()).unwrap();
    let (head, body) = text.split_once("\n\n").unwrap();
    assert!(head.lines().all(|line| !line.starts_with("Bcc")), "{head}");
    assert!(head.contains("Subject: hbd: peer b  Bcc: y@example.com up -> dead (lvs, a)"), "{head}");
    assert!(body.contains("3 more events were not told") && body.contains("said 1 times before"), "{body}");
    assert_eq!(program.args.last().unwrap(), "root@example.com");
}

#[test]
fn the_longest_event_fits_into_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let teller = Teller {
        alert: exec(folder.path(), ""),
        runner: runner(folder.path()),
        name: "sh".into(),
        cluster: "c".repeat(64),
        lost: Arc::default(),
        reports: reports(),
        well: AtomicBool::new(true),
    };
    let told =
        Told { event: event(u64::MAX, &"ä".repeat(10_000)), suppressed: u64::MAX, repeated: u32::MAX };
    let input = teller.json(&told, u64::MAX);
    assert!(input.len() <= Program::INPUT, "{}", input.len());
    assert_eq!(short("äää"), "äää");
}

#[tokio::test]
async fn whoever_cannot_be_told_is_known_until_somebody_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, mut heard) = mpsc::channel(64);
    let mut alerts = Alerts::new(runner(folder.path()), "test".into(), reports);
    let script = r#"echo x >>"$1/out"; [ $(wc -l <"$1/out") = 3 ]"#;
    alerts.set(&[exec(folder.path(), script)]);
    for number in 1..=5 {
        alerts.tell(&event(number, "x"));
    }
    alerts.close(Duration::from_secs(60)).await;
    drop(alerts);
    let mut said = Vec::new();
    while let Some(report) = heard.recv().await {
        match report {
            Report::Alert { name, told } if name == "/bin/sh" => said.push(told),
            other => panic!("{other:?}"),
        }
    }
    // Two fail, the third is told, two more fail, and with the alert its trouble goes.
    assert_eq!(said, [false, true, false, true]);
}

/// Hears what is told until so many troubles are left, for half a minute at most.
async fn until_left(
    count: usize,
    heard: &mut mpsc::Receiver<Report>,
    left: &mut std::collections::BTreeSet<String>,
) {
    for _ in 0..600 {
        while let Ok(report) = heard.try_recv() {
            match report {
                Report::Alert { name, told: false } => left.insert(name),
                Report::Alert { name, told: true } => left.remove(&name),
                other => panic!("{other:?}"),
            };
        }
        if left.len() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn two_that_run_the_same_program_are_told_apart_and_one_that_works_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, mut heard) = mpsc::channel(64);
    let mut alerts = Alerts::new(runner(folder.path()), "test".into(), reports);
    let fails = exec(folder.path(), "exit 1");
    let works = exec(folder.path(), r#"[ -e "$1/works" ] && echo "$HBD_ALERT_NUMBER" >>"$1/out""#);
    alerts.set(&[fails.clone(), works.clone()]);
    let mut left = std::collections::BTreeSet::new();
    let both =
        ["/bin/sh (number 1 of the 2 [[alert]] with it)", "/bin/sh (number 2 of the 2 [[alert]] with it)"];
    alerts.tell(&event(1, "x"));
    until_left(2, &mut heard, &mut left).await;
    assert!(left.iter().eq(&both), "{left:?}");
    std::fs::write(folder.path().join("works"), "").unwrap();
    alerts.tell(&event(2, "x"));
    until_left(1, &mut heard, &mut left).await;
    assert!(left.iter().eq(&both[..1]), "{left:?}");
    // When one is taken out of the configuration, its trouble goes with it, and the other's name is plain.
    alerts.set(&[works]);
    alerts.tell(&event(3, "x"));
    alerts.close(Duration::from_secs(60)).await;
    until_left(0, &mut heard, &mut left).await;
    assert!(left.is_empty(), "{left:?}");
}
