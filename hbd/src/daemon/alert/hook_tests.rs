//! Webhooks against a web server on loopback: what it hears, and what is made of its answers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::tests::{by, event, reports, runner};
use super::*;
use crate::config::Webhook;
use crate::http::Url;

/// How the server answers one request.
#[derive(Clone, Debug)]
enum Mood {
    /// With this status line and body.
    Says(&'static str),
    /// Not at all.
    Hangs,
    /// It closes the connection.
    Breaks,
}

/// A web server, for as long as its task runs.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers by the list, and when that is used up with 200.
    async fn start(moods: Vec<Mood>, tls: Option<TlsAcceptor>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let moods = Arc::new(Mutex::new(moods.into_iter()));
        let kept = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, moods, tls) = (Arc::clone(&kept), Arc::clone(&moods), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &kept, &moods).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &kept, &moods).await,
                            Err(_) => kept.lock().unwrap().push("no TLS".to_owned()),
                        },
                    }
                });
            }
        });
        Server { port, heard, task }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The numbers of the events that it has heard of, in order.
    fn numbers(&self) -> Vec<u64> {
        let body = |request: &String| request.split_once("\r\n\r\n").unwrap().1.to_owned();
        let number =
            |body: String| serde_json::from_str::<serde_json::Value>(&body).unwrap()["number"].as_u64();
        self.heard().iter().map(|request| number(body(request)).unwrap()).collect()
    }
}

async fn serve<S>(mut stream: S, heard: &Mutex<Vec<String>>, moods: &Mutex<std::vec::IntoIter<Mood>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    let whole = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        (body.len() >= length.parse().ok()?).then_some(text.clone())
    };
    let request = loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => text.extend_from_slice(&buffer[..count]),
        }
        if let Some(request) = whole(&text) {
            break request;
        }
    };
    heard.lock().unwrap().push(request);
    let mood = moods.lock().unwrap().next().unwrap_or(Mood::Says("200 OK\r\n\r\n"));
    match mood {
        Mood::Says(answer) => {
            let answer = format!("HTTP/1.1 {}", answer.replacen("\r\n", "\r\nConnection: close\r\n", 1));
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Mood::Hangs => std::future::pending().await,
        Mood::Breaks => {}
    }
}

fn hook(url: &str) -> Alert {
    by(Channel::Webhook(Webhook { url: Url::parse(url).unwrap(), header_file: None, ca: None }))
}

fn with(alert: Alert, change: impl FnOnce(&mut Webhook)) -> Alert {
    let mut alert = alert;
    match &mut alert.channel {
        Channel::Webhook(hook) => change(hook),
        other => panic!("{other:?}"),
    }
    alert
}

async fn tell(alert: Alert, numbers: std::ops::RangeInclusive<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let mut alerts = Alerts::new(runner(folder.path()), "test".into(), reports());
    alerts.set(&[alert]);
    for number in numbers {
        alerts.tell(&event(number, "no heartbeat for 1000 ms"));
    }
    alerts.close(Duration::from_secs(60)).await;
}

/// What one attempt says.
async fn attempt(alert: &Alert) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let teller = Teller {
        name: "hook".into(),
        alert: alert.clone(),
        runner: runner(folder.path()),
        cluster: "test".into(),
        lost: Arc::default(),
        reports: reports(),
        well: AtomicBool::new(true),
    };
    teller.once(&Told { event: event(1, "x"), suppressed: 0, repeated: 0 }, 0).await
}

#[tokio::test]
async fn a_server_hears_each_event_in_order_as_json() {
    let server = Server::start(vec![], None).await;
    tell(hook(&format!("http://127.0.0.1:{}/hook?team=lvs", server.port)), 1..=5).await;
    assert_eq!(server.numbers(), [1, 2, 3, 4, 5]);
    let first = server.heard().swap_remove(0);
    let (head, body) = first.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("POST /hook?team=lvs HTTP/1.1"));
    let headers: Vec<&str> = lines.collect();
    for header in ["content-type: application/json", &format!("host: 127.0.0.1:{}", server.port)] {
        assert!(headers.contains(&header), "{headers:?}");
    }
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&json["kind"], &json["from"], &json["to"]), (&"peer".into(), &"up".into(), &"dead".into()));
    assert_eq!((&json["cluster"], &json["why"]), (&"test".into(), &"no heartbeat for 1000 ms".into()));
}

#[tokio::test]
async fn what_was_refused_or_broke_is_tried_again_before_the_next_is_told() {
    for mood in
        [Mood::Says("500 Internal Server Error\r\n\r\nno disk"), Mood::Breaks, Mood::Says("nonsense\r\n\r\n")]
    {
        let server = Server::start(vec![mood], None).await;
        let alert = Alert { retries: 1, ..hook(&format!("http://127.0.0.1:{}/", server.port)) };
        tell(alert, 1..=2).await;
        assert_eq!(server.numbers(), [1, 1, 2]);
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_at_its_bound_and_delays_no_other() {
    let hangs = Server::start(vec![Mood::Hangs; 9], None).await;
    let works = Server::start(vec![], None).await;
    let url = |server: &Server| format!("http://127.0.0.1:{}/", server.port);
    let slow = Alert { timeout: Duration::from_millis(200), ..hook(&url(&hangs)) };
    assert_eq!(attempt(&slow).await, Err(format!("{}: no answer within 200 ms", url(&hangs))));
    let folder = tempfile::tempdir().unwrap();
    let mut alerts = Alerts::new(runner(folder.path()), "test".into(), reports());
    alerts.set(&[Alert { timeout: Duration::from_secs(600), ..slow }, hook(&url(&works))]);
    alerts.tell(&event(7, "x"));
    let end = Instant::now() + Duration::from_secs(60);
    while works.heard().is_empty() {
        assert!(Instant::now() < end, "the one that works was not told");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(works.numbers(), [7]);
}

#[tokio::test]
async fn an_answer_that_is_no_success_is_said_with_its_reason() {
    let body = "403 Forbidden\r\n\r\nthe token is not known here\nmore of it";
    let server =
        Server::start(vec![Mood::Says(body), Mood::Says("302 Found\r\nLocation: /x\r\n\r\n")], None).await;
    let alert = hook(&format!("http://127.0.0.1:{}/hook?key=s3cret", server.port));
    let why = attempt(&alert).await.unwrap_err();
    assert!(why.ends_with("/hook: status 403: the token is not known here"), "{why}");
    let why = attempt(&alert).await.unwrap_err();
    assert!(why.contains("302") && !why.contains("s3cret"), "{why}");
    assert_eq!(attempt(&alert).await, Ok(()));
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let endless: &'static str = Box::leak(format!("200 OK\r\n\r\n{}", "x".repeat(1 << 20)).into_boxed_str());
    let server = Server::start(vec![Mood::Says(endless)], None).await;
    assert_eq!(attempt(&hook(&format!("http://127.0.0.1:{}/", server.port))).await, Ok(()));
}

#[tokio::test]
async fn nobody_there_is_a_reason_too() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let why = attempt(&hook(&format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
    assert!(why.contains("no connection: connection refused"), "{why}");
}

#[tokio::test]
async fn headers_come_from_a_file_that_nobody_else_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(vec![], None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    std::fs::write(&file, "Authorization: Bearer t0p-s3cret\n").unwrap();
    let alert = hook(&format!("http://127.0.0.1:{}/", server.port));
    let alert = with(alert, |hook| hook.header_file = Some(file.clone()));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let why = attempt(&alert).await.unwrap_err();
    assert!(why.contains("mode 0644") && server.heard().is_empty(), "{why}");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(attempt(&alert).await, Ok(()));
    assert!(server.heard()[0].contains("authorization: Bearer t0p-s3cret"));
}

fn openssl(folder: &Path, args: &str) {
    let mut command = Command::new("openssl");
    let done = command.args(args.split_whitespace()).current_dir(folder).stdin(Stdio::null()).output();
    let done = done.expect("openssl is needed for this test");
    assert!(done.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&done.stderr));
}

/// An authority (`ca.pem`), and a server's side with a certificate of it for `name`.
fn tls(folder: &Path, name: &str) -> TlsAcceptor {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority -days 30"));
    openssl(folder, &format!("req {key} -keyout key.pem -out request.pem -subj /CN=server"));
    std::fs::write(folder.join("names"), format!("subjectAltName={name}")).unwrap();
    openssl(
        folder,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -extfile names -days 30",
    );
    let chain = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn attempt_tls(server: &Server, ca: Option<PathBuf>) -> Result<(), String> {
    attempt(&with(hook(&format!("https://127.0.0.1:{}/", server.port)), |hook| hook.ca = ca)).await
}

#[tokio::test]
async fn https_is_told_only_to_whom_the_authority_vouches_for() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Some(folder.path().join("ca.pem"));
    let server = Server::start(vec![], Some(tls(folder.path(), "IP:127.0.0.1"))).await;
    assert_eq!(attempt_tls(&server, ca.clone()).await, Ok(()));
    assert_eq!(server.numbers(), [1]);
    let other = tempfile::tempdir().unwrap();
    drop(tls(other.path(), "IP:127.0.0.1"));
    let why = attempt_tls(&server, Some(other.path().join("ca.pem"))).await.unwrap_err();
    assert!(why.contains("certificate"), "{why}");
    let missing = attempt_tls(&server, Some(folder.path().join("missing.pem"))).await.unwrap_err();
    assert!(missing.contains("cannot read"), "{missing}");
    let stranger = Server::start(vec![], Some(tls(folder.path(), "DNS:else.example.com"))).await;
    let why = attempt_tls(&stranger, ca).await.unwrap_err();
    assert!(why.contains("good for other names"), "{why}");
    assert!(stranger.heard().iter().all(|heard| heard == "no TLS"), "{:?}", stranger.heard());
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    drop(tls(folder.path(), "IP:127.0.0.1"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let ca = Some(folder.path().join("ca.pem"));
    let why = attempt(&with(hook(&format!("https://127.0.0.1:{port}/")), |hook| hook.ca = ca)).await;
    assert!(why.as_ref().is_err_and(|why| why.contains("is it http:// and not https://?")), "{why:?}");
    plain.abort();
}
