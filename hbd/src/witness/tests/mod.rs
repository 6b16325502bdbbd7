//! Against Debian's etcd, started here on ports of its own.

mod liars;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

const TTL: Duration = Duration::from_secs(2);
/// For what should take milliseconds: a test never judges speed by it.
const BOUND: Duration = Duration::from_secs(20);

/// One member of an etcd.
struct Member {
    child: Child,
    arguments: Vec<String>,
    _folder: tempfile::TempDir,
    url: String,
}

impl Member {
    fn start(name: &str, client: u16, peer: u16, cluster: &str, more: &[String]) -> Member {
        let folder = tempfile::tempdir().unwrap();
        let scheme = if more.iter().any(|one| one == "--cert-file") { "https" } else { "http" };
        let (url, peer) = (format!("{scheme}://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let data = folder.path().join("data").display().to_string();
        let mut arguments: Vec<String> = [
            ("--name", name),
            ("--data-dir", &data),
            ("--listen-client-urls", &url),
            ("--advertise-client-urls", &url),
            ("--listen-peer-urls", &peer),
            ("--initial-advertise-peer-urls", &peer),
            ("--initial-cluster", cluster),
        ]
        .iter()
        .flat_map(|(key, value)| [(*key).to_owned(), (*value).to_owned()])
        .collect();
        arguments.extend_from_slice(more);
        Member { child: run(&arguments), arguments, _folder: folder, url }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = run(&self.arguments);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(arguments: &[String]) -> Child {
    let mut command = Command::new("etcd");
    // etcd refuses to start on processors it does not know well unless it is told that this is meant.
    command.args(arguments).env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("etcd")
}

fn is_installed() -> bool {
    let installed = Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_ok();
    let required = std::env::var_os("ETCD_REQUIRED").is_some();
    assert!(installed || !required, "etcd (Debian: etcd-server) is not installed");
    installed
}

/// Ports that nobody had a moment ago.
fn ports<const N: usize>() -> [u16; N] {
    let listeners: Vec<TcpListener> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    std::array::from_fn(|at| listeners[at].local_addr().unwrap().port())
}

fn etcd(more: &[&str]) -> Member {
    let [client, peer] = ports();
    let more: Vec<String> = more.iter().map(|one| (*one).to_owned()).collect();
    Member::start("one", client, peer, &format!("one=http://127.0.0.1:{peer}"), &more)
}

/// Three members.
fn three() -> Vec<Member> {
    let ports: [u16; 6] = ports();
    let peers = |at: usize| format!("m{at}=http://127.0.0.1:{}", ports[3 + at]);
    let cluster = (0..3).map(peers).collect::<Vec<_>>().join(",");
    (0..3).map(|at| Member::start(&format!("m{at}"), ports[at], ports[3 + at], &cluster, &[])).collect()
}

fn settings(urls: &[&str]) -> Witness {
    Witness {
        endpoints: urls.iter().map(|url| (*url).to_owned()).collect(),
        ttl: TTL,
        timeout: Duration::from_secs(2),
        prefix: "/hbd".into(),
        user: None,
        password_file: None,
        ca: None,
        identity: None,
    }
}

fn engine(me: &str, settings: &Witness) -> Engine {
    Engine::new(settings, "lvs", me).unwrap()
}

async fn ask(engine: &Engine, ask: WitnessAsk) -> WitnessAnswer {
    engine.answer(ask, Instant::now() + Duration::from_secs(5)).await
}

async fn renew(engine: &Engine) -> WitnessAnswer {
    ask(engine, WitnessAsk::Renew { ttl: TTL }).await
}

async fn take(engine: &Engine, epoch: u64, life: u64) -> WitnessAnswer {
    ask(engine, WitnessAsk::Take { group: "vip".into(), epoch, life }).await
}

async fn release(engine: &Engine, epoch: u64) -> WitnessAnswer {
    ask(engine, WitnessAsk::Release { group: "vip".into(), epoch }).await
}

/// Renews until that works: etcd takes a moment to start, and to elect.
async fn begin(engine: &Engine) {
    until(async || matches!(renew(engine).await, WitnessAnswer::Renewed { .. })).await;
}

async fn until(mut is: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + BOUND;
    while !is().await {
        assert!(Instant::now() < end, "it did not come to that");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn failed(answer: WitnessAnswer) -> String {
    match answer {
        WitnessAnswer::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

const KEPT: WitnessAnswer = WitnessAnswer::Renewed { ttl: TTL, new: false };
const NEW: WitnessAnswer = WitnessAnswer::Renewed { ttl: TTL, new: true };

#[tokio::test]
async fn one_node_has_the_key_at_a_time_and_epochs_grow() {
    if !is_installed() {
        return;
    }
    let etcd = etcd(&[]);
    let settings = settings(&[&etcd.url]);
    let (a, b) = (engine("a", &settings), engine("b", &settings));
    assert_eq!(take(&a, 1, 7).await, WitnessAnswer::LeaseGone, "no lease yet");
    begin(&a).await;
    assert_eq!(renew(&a).await, KEPT);
    assert_eq!(renew(&b).await, NEW);
    assert_eq!(take(&a, 3, 7).await, WitnessAnswer::Taken);
    assert_eq!(take(&a, 3, 7).await, WitnessAnswer::Taken, "a lost answer is asked for again");
    assert_eq!(take(&a, 3, 8).await, WitnessAnswer::Outdated { epoch: 3 }, "another life");
    assert_eq!(take(&a, 2, 7).await, WitnessAnswer::Outdated { epoch: 3 });
    let WitnessAnswer::Held { by, epoch, left } = take(&b, 9, 1).await else { panic!() };
    assert_eq!((by.as_str(), epoch), ("a", 3));
    assert!(left.is_some_and(|left| left <= TTL));
    // b has no key to give back, and what it might have asked for is of no effect any more.
    assert_eq!(release(&b, 9).await, WitnessAnswer::Released);
    assert_eq!(take(&a, 9, 7).await, WitnessAnswer::Outdated { epoch: 9 });
    assert_eq!(take(&a, 10, 8).await, WitnessAnswer::Taken, "a later life of the same node");
    assert_eq!(release(&a, 10).await, WitnessAnswer::Released);
    assert_eq!(release(&a, 10).await, WitnessAnswer::Released);
    assert_eq!(take(&a, 10, 8).await, WitnessAnswer::Outdated { epoch: 10 }, "what comes late");
    assert_eq!(take(&b, 11, 1).await, WitnessAnswer::Taken, "at once");
}

#[tokio::test]
async fn a_key_goes_with_the_lease_of_a_node_that_does_not_renew_it() {
    if !is_installed() {
        return;
    }
    let etcd = etcd(&[]);
    let settings = settings(&[&etcd.url]);
    let (a, b) = (engine("a", &settings), engine("b", &settings));
    begin(&a).await;
    assert_eq!(take(&a, 1, 1).await, WitnessAnswer::Taken);
    let before = Instant::now();
    assert_eq!(renew(&a).await, KEPT);
    until(async || {
        renew(&b).await;
        take(&b, 2, 1).await == WitnessAnswer::Taken
    })
    .await;
    assert!(before.elapsed() >= TTL, "it was taken before its time: {:?}", before.elapsed());
    assert_eq!(renew(&a).await, NEW, "its lease is gone");
    assert!(matches!(take(&a, 3, 1).await, WitnessAnswer::Held { by, .. } if by == "b"));
}

#[tokio::test]
async fn what_is_revoked_or_written_by_others_is_noticed() {
    if !is_installed() {
        return;
    }
    let etcd = etcd(&[]);
    let a = engine("a", &settings(&[&etcd.url]));
    begin(&a).await;
    let ctl = |words: &[&str]| {
        let status = Command::new("etcdctl")
            .args(["--endpoints", &etcd.url])
            .args(words)
            .env("ETCDCTL_API", "3")
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    };
    ctl(&["lease", "revoke", &format!("{:x}", a.lease.load(Ordering::SeqCst))]);
    assert_eq!(take(&a, 1, 1).await, WitnessAnswer::LeaseGone);
    assert_eq!(renew(&a).await, NEW);
    ctl(&["put", "/hbd/lvs/group/vip", "mine!"]);
    let WitnessAnswer::Held { by, epoch: 0, .. } = take(&a, 1, 1).await else { panic!() };
    assert_eq!(by, UNREADABLE);
    ctl(&["del", "/hbd/lvs/group/vip"]);
    ctl(&["put", "/hbd/lvs/epoch/vip", "yours!"]);
    let why = failed(take(&a, 1, 1).await);
    assert!(why.contains("/hbd/lvs/epoch/vip is no last epoch of hbd"), "{why}");
}

#[tokio::test]
async fn an_etcd_that_is_stopped_is_no_answer_and_one_that_was_restarted_remembers() {
    if !is_installed() {
        return;
    }
    let mut etcd = etcd(&[]);
    let (a, b) = (engine("a", &settings(&[&etcd.url])), engine("b", &settings(&[&etcd.url])));
    begin(&a).await;
    begin(&b).await;
    assert_eq!(take(&a, 1, 1).await, WitnessAnswer::Taken);
    etcd.signal(Signal::SIGSTOP);
    let deadline = Instant::now() + Duration::from_millis(300);
    let why = failed(a.answer(WitnessAsk::Renew { ttl: TTL }, deadline).await);
    assert!(why.contains(&etcd.url) && why.contains("no answer within"), "{why}");
    etcd.signal(Signal::SIGCONT);
    begin(&a).await;
    etcd.restart();
    let why = failed(renew(&a).await);
    assert!(why.contains("no connection: connection refused"), "{why}");
    begin(&a).await;
    let answer = take(&b, 2, 1).await;
    assert!(matches!(&answer, WitnessAnswer::Held { by, .. } if by == "a"), "{answer:?}");
}

#[tokio::test]
async fn the_next_endpoint_is_asked_and_remembered() {
    if !is_installed() {
        return;
    }
    let etcd = etcd(&[]);
    let [closed] = ports();
    // One that takes connections and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let (closed, mute) =
        (format!("http://127.0.0.1:{closed}"), format!("http://{}", mute.local_addr().unwrap()));
    let mut settings = settings(&[&mute, &closed, &etcd.url]);
    settings.timeout = Duration::from_millis(200);
    let a = engine("a", &settings);
    begin(&a).await;
    assert_eq!(a.endpoint(), etcd.url);
    let begun = Instant::now();
    assert!(matches!(renew(&a).await, WitnessAnswer::Renewed { .. }));
    assert!(begun.elapsed() < BOUND);
    assert_eq!(a.endpoint(), etcd.url);
    let nobody = engine("a", &Witness { endpoints: vec![mute.clone(), closed.clone()], ..settings });
    let why = failed(renew(&nobody).await);
    assert!(why.contains(&format!("{mute}: no answer within 200 ms; {closed}: no connection")), "{why}");
}

#[tokio::test]
async fn of_several_members_a_key_that_is_gone_is_waited_for_once_more() {
    if !is_installed() {
        return;
    }
    let members = three();
    let urls: Vec<&str> = members.iter().map(|member| member.url.as_str()).collect();
    let settings = settings(&urls);
    let (a, b) = (engine("a", &settings), engine("b", &settings));
    begin(&a).await;
    begin(&b).await;
    assert_eq!(take(&a, 1, 1).await, WitnessAnswer::Taken);
    assert_eq!(renew(&a).await, KEPT);
    let before = Instant::now();
    // As a former leader would, although it was renewed just now.
    let lease = format!("{:x}", a.lease.load(Ordering::SeqCst));
    let revoke = Command::new("etcdctl")
        .args(["--endpoints", urls[0], "lease", "revoke", &lease])
        .env("ETCDCTL_API", "3")
        .stdout(Stdio::null())
        .status();
    assert!(revoke.unwrap().success());
    assert!(matches!(take(&b, 2, 1).await, WitnessAnswer::Held { by, left: Some(_), .. } if by == "a"));
    // What b gives up does not make it forget.
    assert_eq!(release(&b, 2).await, WitnessAnswer::Released);
    until(async || {
        renew(&b).await;
        take(&b, 3, 1).await == WitnessAnswer::Taken
    })
    .await;
    assert!(before.elapsed() >= TTL, "a may still have relied on it: {:?}", before.elapsed());
    // What is given back is not waited for.
    assert_eq!(release(&b, 3).await, WitnessAnswer::Released);
    assert_eq!(renew(&a).await, NEW);
    assert_eq!(take(&a, 4, 1).await, WitnessAnswer::Taken);
    // The leader is lost: the others elect one, and the leases live on.
    let leader = leader(&members).await;
    members[leader].signal(Signal::SIGSTOP);
    let mut answers = Vec::new();
    until(async || {
        let answer = renew(&a).await;
        let kept = answer == KEPT;
        answers.push(answer);
        kept
    })
    .await;
    assert!(!answers.contains(&NEW), "{answers:?}");
    members[leader].signal(Signal::SIGCONT);
}

/// Which member leads.
async fn leader(members: &[Member]) -> usize {
    for (at, member) in members.iter().enumerate() {
        let client = Client::new(settings(&[&member.url])).unwrap();
        let mut session =
            Session::open(0, &wire::Endpoint::parse(&member.url).unwrap(), &settings(&[])).await.unwrap();
        let reply = session.post("/v3/maintenance/status", None, b"{}".to_vec()).await.unwrap();
        let value: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        drop(client);
        if value["leader"] == value["header"]["member_id"] {
            return at;
        }
    }
    panic!("nobody leads");
}

#[tokio::test]
async fn with_tls_and_a_user() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    certificates(folder.path());
    let etcd = etcd(&[
        "--cert-file",
        &at("server.pem"),
        "--key-file",
        &at("server.key"),
        "--trusted-ca-file",
        &at("ca.pem"),
        "--client-cert-auth",
        "--auth-token-ttl",
        "2",
    ]);
    let mut settings = settings(&[&etcd.url]);
    settings.ca = Some(at("ca.pem").into());
    settings.identity = Some((at("client.pem").into(), at("client.key").into()));
    let a = engine("a", &settings);
    begin(&a).await;
    let ctl = |words: &[&str]| {
        let status = Command::new("etcdctl")
            .args(["--endpoints", &etcd.url, "--cacert", &at("ca.pem"), "--cert", &at("client.pem")])
            .args(["--key", &at("client.key")])
            .args(words)
            .env("ETCDCTL_API", "3")
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{words:?}");
    };
    ctl(&["user", "add", "root:r00t"]);
    ctl(&["user", "grant-role", "root", "root"]);
    ctl(&["user", "add", "hbd:s3cret"]);
    ctl(&["role", "add", "hbd"]);
    ctl(&["user", "grant-role", "hbd", "hbd"]);
    ctl(&["auth", "enable"]);
    // Nobody.
    assert!(failed(renew(&a).await).contains("refuses a certificate that has a CommonName"));
    settings.identity = Some((at("nameless.pem").into(), at("nameless.key").into()));
    let a = engine("a", &settings);
    // A lease is granted to anybody; what is tied to it is another matter.
    assert_eq!(renew(&a).await, NEW);
    let why = failed(take(&a, 1, 1).await);
    assert!(why.contains("etcd wants a user: write user and password_file"), "{why}");
    // The wrong password.
    settings.user = Some("hbd".into());
    settings.password_file = Some(at("password").into());
    password(&at("password"), "wr0ng");
    let a = engine("a", &settings);
    let why = failed(renew(&a).await);
    assert!(why.contains("does not know the user hbd") && !why.contains("wr0ng"), "{why}");
    // No rights.
    password(&at("password"), "s3cret");
    assert_eq!(renew(&a).await, NEW);
    let why = failed(take(&a, 1, 1).await);
    assert!(why.contains("grant-permission ROLE --prefix=true readwrite /hbd/"), "{why}");
    ctl(&["--user", "root:r00t", "role", "grant-permission", "hbd", "--prefix=true", "readwrite", "/hbd/"]);
    // The token of before is of no use any more, by the change and by its age.
    assert!(matches!(renew(&a).await, WitnessAnswer::Renewed { .. }));
    assert_eq!(take(&a, 1, 1).await, WitnessAnswer::Taken);
    *a_token(&a) = Some("no.token".to_owned().into());
    assert!(matches!(renew(&a).await, WitnessAnswer::Renewed { .. }));
    // An authority that is none of etcd's, and no certificate to show.
    let other = Witness { ca: Some(at("other.pem").into()), ..settings.clone() };
    let why = failed(renew(&engine("a", &other)).await);
    assert!(why.contains("signed by nobody trusted here"), "{why}");
    let why = failed(renew(&engine("a", &Witness { identity: None, ..settings.clone() })).await);
    assert!(why.contains("does it want a certificate of ours"), "{why}");
    let plain = Witness { endpoints: vec![etcd.url.replace("https", "http")], ..settings };
    failed(renew(&engine("a", &plain)).await);
}

fn a_token(engine: &Engine) -> std::sync::MutexGuard<'_, Option<zeroize::Zeroizing<String>>> {
    engine.client.token_at_hand()
}

fn password(path: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// An authority, a server's and a client's certificate of it; another authority.
fn certificates(folder: &Path) {
    let script = r#"
        exec 2>/dev/null
        authority() {
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" -keyout "$1.key" -out "$1.pem"
        }
        signed() {
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/$2$1" -keyout "$1.key" -out "$1.csr"
            printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' > "$1.ext"
            openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile "$1.ext" -out "$1.pem"
        }
        authority ca && authority other && signed server CN= && signed client CN= && signed nameless O=
    "#;
    let done = Command::new("sh").args(["-c", script]).current_dir(folder).status().unwrap();
    assert!(done.success(), "openssl");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    std::fs::write(path("nothing.pem"), "nothing").unwrap();
    let mut settings = settings(&["https://127.0.0.1:1"]);
    assert!(wrong_files(&settings).is_empty());
    settings.ca = Some(path("nothing.pem"));
    settings.user = Some("hbd".into());
    settings.password_file = Some(path("password"));
    let wrong = wrong_files(&settings);
    assert_eq!(wrong.len(), 2);
    assert!(wrong[0].1.contains("the password cannot be read"), "{wrong:?}");
    assert!(wrong[1].1.contains("has no certificate of an authority in it"), "{wrong:?}");
}
