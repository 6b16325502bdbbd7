//! Certificates: whom to trust, for which name, until when. The server is `openssl s_server`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use director::check::Outcome;

use crate::support::{bad, good, here};

/// Killed at the end of the test.
struct Server(Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl(folder: &Path, args: &str) {
    let mut command = Command::new("openssl");
    let done = command
        .args(args.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("openssl");
    assert!(done.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&done.stderr));
}

/// An authority (`ca.pem`) and a certificate of it (`cert.pem`) for `name`, for so many days.
fn certificate(folder: &Path, name: &str, days: i32) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority -days 30"));
    openssl(folder, &format!("req {key} -keyout key.pem -out request.pem -subj /CN={name}"));
    std::fs::write(folder.join("names"), format!("subjectAltName={name}")).unwrap();
    let days = format!("-days {days}");
    openssl(
        folder,
        &format!(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -extfile names {days}"
        ),
    );
}

/// Answers HTTPS with a page of its own.
fn serve(folder: &Path, more: &[&str]) -> Server {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-www",
            "-cert",
            "cert.pem",
            "-key",
            "key.pem",
            "-port",
            &port.to_string(),
        ])
        .args(more)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    let end = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "openssl s_server does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    Server(child, port)
}

/// A certificate for five days ends in five of them only within the second it was made in.
fn five_days(outcome: &Outcome) -> bool {
    let said = outcome.warning.as_deref();
    matches!(said, Some("the certificate ends in 5 days" | "the certificate ends in 4 days"))
}

#[tokio::test]
async fn authority_name_and_end() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "DNS:www.example.com", 5);
    let server = serve(folder.path(), &[]);
    let target = here(server.1);
    let ca = format!("ca_file = \"{}/ca.pem\"\n", folder.path().display());
    let https = |more: &str| format!("type = \"https\"\n{more}");
    // Nobody here trusts the authority.
    bad(&https("host = \"www.example.com\""), &target, "signed by nobody trusted here").await;
    // By the host asked for, or by a name of its own.
    let outcome =
        good(&https(&format!("{ca}host = \"www.example.com\"\nexpect = \"/s_server/\"")), &target).await;
    assert!(five_days(&outcome), "{outcome:?}");
    let quiet = format!("{ca}tls_name = \"www.example.com\"\nwarn_before = \"24h\"");
    assert_eq!(good(&https(&quiet), &target).await.warning, None);
    // The address is not in the certificate, nor is another name.
    bad(&https(&ca), &target, "not good for 127.0.0.1").await;
    bad(&https(&format!("{ca}host = \"other.example.com:8443\"")), &target, "not good for other.example.com")
        .await;
    // Whoever asks for no verification gets none, and still the warning.
    let outcome = good(&https("verify = false"), &target).await;
    assert!(five_days(&outcome), "{outcome:?}");
    // The same by the plainest check.
    good(&format!("type = \"connect\"\ntls = true\n{ca}tls_name = \"www.example.com\""), &target).await;
    bad(&format!("type = \"connect\"\ntls = true\n{ca}"), &target, "not good for 127.0.0.1").await;
}

#[tokio::test]
async fn an_address_in_the_certificate_and_old_versions() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "IP:127.0.0.1", 20);
    let server = serve(folder.path(), &["-tls1_2"]);
    let ca = format!("ca_file = \"{}/ca.pem\"", folder.path().display());
    assert_eq!(good(&format!("type = \"https\"\n{ca}"), &here(server.1)).await.warning, None);
}

#[tokio::test]
async fn an_expired_certificate() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "IP:127.0.0.1", -1);
    let server = serve(folder.path(), &[]);
    let ca = format!("ca_file = \"{}/ca.pem\"", folder.path().display());
    bad(&format!("type = \"https\"\n{ca}"), &here(server.1), "the certificate has expired").await;
    let outcome = good("type = \"https\"\nverify = false", &here(server.1)).await;
    assert!(
        outcome.warning.unwrap().starts_with("the certificate ended"),
        "said although it is not verified"
    );
}

/// A certificate (`cert.pem`) that signs itself and is an authority's too, as `openssl req -x509` makes them.
fn signed_by_itself(folder: &Path, days: i32) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req {key} -keyout key.pem -out request.pem -subj /CN=itself"));
    std::fs::write(folder.join("more"), "basicConstraints=critical,CA:TRUE\nsubjectAltName=IP:127.0.0.1")
        .unwrap();
    let days = format!("-days {days}");
    openssl(
        folder,
        &format!("x509 -req -in request.pem -signkey key.pem -out cert.pem -extfile more {days}"),
    );
}

#[tokio::test]
async fn a_certificate_that_signs_itself_is_trusted_if_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    signed_by_itself(folder.path(), 20);
    let server = serve(folder.path(), &[]);
    let target = here(server.1);
    let ca = format!("type = \"https\"\nca_file = \"{}/cert.pem\"\n", folder.path().display());
    good(&ca, &target).await;
    bad(&format!("{ca}tls_name = \"www.example.com\""), &target, "not good for www.example.com").await;
    // The same words, but another's key.
    let other = tempfile::tempdir().unwrap();
    signed_by_itself(other.path(), 20);
    let ca = format!("type = \"https\"\nca_file = \"{}/cert.pem\"\n", other.path().display());
    bad(&ca, &target, "an authority's, and in no ca_file of this check").await;
    bad("type = \"https\"", &target, "an authority's, and in no ca_file of this check").await;
}

#[tokio::test]
async fn a_certificate_that_signs_itself_ends_too() {
    let folder = tempfile::tempdir().unwrap();
    signed_by_itself(folder.path(), -1);
    let server = serve(folder.path(), &[]);
    let ca = format!("ca_file = \"{}/cert.pem\"", folder.path().display());
    bad(&format!("type = \"https\"\n{ca}"), &here(server.1), "the certificate has expired").await;
}
