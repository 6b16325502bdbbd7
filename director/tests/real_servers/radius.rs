//! FreeRADIUS.

use std::process::Command;

use crate::server::{Server, folder, port, wanted, write};
use crate::support::{bad, good, here_udp};

const CONF: &str = r#"
prefix = /usr
exec_prefix = /usr
libdir = /usr/lib/freeradius
logdir = @DIR@
run_dir = @DIR@
pidfile = @DIR@/pid
max_request_time = 5
cleanup_delay = 1
security {
    reject_delay = 0
    status_server = yes
}
modules {
    pap {
    }
    files {
        filename = @DIR@/users
    }
}
client here {
    ipaddr = 127.0.0.1
    secret = s3cret
    require_message_authenticator = yes
}
server default {
    listen {
        type = auth
        ipaddr = 127.0.0.1
        port = @PORT@
    }
    authorize {
        files
        pap
    }
    authenticate {
        Auth-Type PAP {
            pap
        }
    }
}
"#;

#[tokio::test]
async fn freeradius() {
    if !wanted("freeradius", "/usr/sbin/freeradius") {
        return;
    }
    let (folder, port) = (folder(), port());
    write(folder.path(), "users", "u Cleartext-Password := \"a password longer than one block\"\n", &[]);
    write(folder.path(), "radiusd.conf", CONF, &[("PORT", &port)]);
    let mut command = Command::new("/usr/sbin/freeradius");
    let server = Server::start(command.args(["-f", "-l", "stdout", "-d"]).arg(folder.path()), folder.path());
    let target = here_udp(port);
    let with = |secret: &str, password: &str| {
        format!("type = \"radius\"\nsecret = \"{secret}\"\nuser = \"u\"\npassword = \"{password}\"")
    };
    let login = with("s3cret", "a password longer than one block");
    let server = server.serving(&login, &target).await;
    good("type = \"radius\"\nsecret = \"s3cret\"", &target).await;
    bad(&with("s3cret", "x"), &target, "the login was rejected").await;
    // It answers nothing at all to whom it cannot believe.
    let late =
        director::check::run(&crate::support::spec(&with("other", "x")), &target, crate::support::SHORT)
            .await;
    assert!(late.result.unwrap_err().starts_with("no answer within 300ms"));
    server.hangs_and_dies(&login, &target).await;
}
