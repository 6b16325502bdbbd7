//! nginx: HTTP/1.1, HTTPS and HTTP/2.

use std::process::Command;

use crate::server::{Server, certificate, folder, port, wanted, write};
use crate::support::{bad, good, here};

const CONF: &str = r#"
daemon off; user root; worker_processes 1; pid @DIR@/pid; error_log @DIR@/error.log;
events {}
http {
    access_log off;
    server {
        listen 127.0.0.1:@HTTP@;
        server_name _;
        location = /index.html { return 200 "so happy here\n"; }
        location = /moved { return 302 /index.html; }
        location = /secret { auth_basic closed; auth_basic_user_file @DIR@/users; try_files /page =404; root @DIR@; }
        location = /asked { if ($http_x_from != director) { return 403; } return 204; }
        location = /method { return 200 $request_method; }
        location = /length { return 200 "$request_method $content_length"; }
    }
    server { listen 127.0.0.1:@HTTP@; server_name www.example.com; location / { return 200 "by name"; } }
    server {
        listen 127.0.0.1:@HTTPS@ ssl http2; ssl_certificate @DIR@/cert.pem; ssl_certificate_key @DIR@/key.pem;
        location / { return 200 "over $server_protocol"; }
    }
    server { listen 127.0.0.1:@H2C@ http2; location / { return 200 "over $server_protocol"; } }
}
"#;

#[tokio::test]
async fn nginx() {
    if !wanted("nginx", "/usr/sbin/nginx") {
        return;
    }
    let folder = folder();
    let (http, https, h2c) = (port(), port(), port());
    certificate(folder.path());
    write(folder.path(), "users", "u:{PLAIN}p\n", &[]);
    write(folder.path(), "page", "let in", &[]);
    let conf = write(folder.path(), "nginx.conf", CONF, &[("HTTP", &http), ("HTTPS", &https), ("H2C", &h2c)]);
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(conf).arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("error.log"));
    let server = Server::start(&mut command, folder.path()).listening(h2c).listening(https).listening(http);

    let target = here(http);
    let page = "type = \"http\"\npath = \"index.html\"\n";
    good(&format!("{page}expect = \"happy\""), &target).await;
    good(&format!("{page}expect = '/h.ppy\\s+here$/'\nstatus = [200]"), &target).await;
    bad(&format!("{page}expect = \"sad\""), &target, "it begins \"so happy here").await;
    bad("type = \"http\"\npath = \"/none\"", &target, "the status is 404").await;
    good(&format!("{page}method = \"HEAD\""), &target).await;
    good("type = \"http\"\npath = \"/method\"\nmethod = \"OPTIONS\"\nexpect = \"/^OPTIONS$/\"", &target)
        .await;
    // A server that wants to know how long the body is: it is told that there is none.
    good("type = \"http\"\npath = \"/length\"\nmethod = \"POST\"\nexpect = \"/^POST 0$/\"", &target).await;
    // A redirect is an answer, and not followed.
    good("type = \"http\"\npath = \"/moved\"\nstatus = [302]", &target).await;
    bad("type = \"http\"\npath = \"/moved\"", &target, "the status is 302").await;
    bad("type = \"http\"\npath = \"/secret\"", &target, "the status is 401").await;
    good("type = \"http\"\npath = \"/secret\"\nuser = \"u\"\npassword = \"p\"\nexpect = \"let in\"", &target)
        .await;
    bad("type = \"http\"\npath = \"/secret\"\nuser = \"u\"\npassword = \"x\"", &target, "the status is 401")
        .await;
    bad("type = \"http\"\npath = \"/asked\"", &target, "the status is 403").await;
    good("type = \"http\"\npath = \"/asked\"\nheaders = { X-From = \"director\" }\nstatus = 204", &target)
        .await;
    good("type = \"http\"\nhost = \"www.example.com\"\nexpect = \"by name\"", &target).await;

    let ca = format!("ca_file = \"{}/cert.pem\"\n", folder.path().display());
    good(&format!("type = \"https\"\n{ca}expect = \"over HTTP/1.1\""), &here(https)).await;
    good(&format!("type = \"h2\"\ntls = true\n{ca}expect = \"over HTTP/2\""), &here(https)).await;
    good("type = \"h2\"\nexpect = \"over HTTP/2\"", &here(h2c)).await;
    bad("type = \"h2\"\nexpect = \"else\"", &here(h2c), "the body has no \"else\"").await;
    bad("type = \"https\"", &here(http), "TLS").await;
    good("type = \"connect\"\nsend = 'GET /index.html HTTP/1.0\\r\\n\\r\\n'\nexpect = \"happy\"", &target)
        .await;

    server.hangs_and_dies(&format!("{page}expect = \"happy\""), &target).await;
}
