//! Postfix and Dovecot: SMTP, IMAP and POP3.

use std::fs;
use std::process::Command;

use crate::server::{Server, certificate, done, folder, port, wanted, write};
use crate::support::{bad, good, here};

const MAIN: &str = "compatibility_level = 3.6\nqueue_directory = @DIR@/queue\ndata_directory = @DIR@/data\n\
                    maillog_file = /dev/stdout\nmyhostname = mail.example.com\nmynetworks = 127.0.0.0/8\n\
                    inet_interfaces = loopback-only\nalias_maps =\nlocal_recipient_maps =\n\
                    smtpd_tls_cert_file = @DIR@/cert.pem\nsmtpd_tls_key_file = @DIR@/key.pem\n\
                    smtpd_tls_security_level = may\nsmtputf8_enable = no\nsmtpd_tls_session_cache_database =\n";

const MASTER: &str = "127.0.0.1:@PORT@ inet n - n - - smtpd\npostlog unix-dgram n - n - 1 postlogd\n\
                      anvil unix - - n - 1 anvil\ntlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n\
                      proxymap unix - - n - - proxymap\ncleanup unix n - n - 0 cleanup\n\
                      pickup unix n - n 60 1 pickup\nqmgr unix n - n 300 1 qmgr\n";

#[tokio::test]
async fn postfix() {
    if !wanted("postfix", "/usr/sbin/postfix") {
        return;
    }
    let (folder, port) = (folder(), port());
    for name in ["queue", "data"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    done(Command::new("chown").arg("postfix").arg(folder.path().join("data")));
    certificate(folder.path());
    write(folder.path(), "main.cf", MAIN, &[]);
    write(folder.path(), "master.cf", MASTER, &[("PORT", &port)]);
    let mut command = Command::new("/usr/sbin/postfix");
    command.arg("-c").arg(folder.path()).arg("start-fg");
    let server = Server::start(&mut command, folder.path()).listening(port);
    let target = here(port);
    let server = server.serving("type = \"smtp\"", &target).await;
    good("type = \"smtp\"\nexpect = \"mail.example.com\"\nhello = \"lb.example.com\"", &target).await;
    bad("type = \"smtp\"\nexpect = \"another\"", &target, "has no \"another\"").await;
    let tls =
        format!("type = \"smtp\"\nstarttls = true\nca_file = \"{}/cert.pem\"\n", folder.path().display());
    good(&tls, &target).await;
    bad(&format!("{tls}tls_name = \"mail.example.net\""), &target, "not good for mail.example.net").await;
    bad("type = \"smtp\"\nuser = \"u\"\npassword = \"p\"", &target, "the login was answered").await;
    server.hangs_and_dies("type = \"smtp\"", &target).await;
}

const DOVECOT: &str = r#"
base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = /dev/stderr
protocols = imap pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <@DIR@/cert.pem
ssl_key = <@DIR@/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = maildir:@DIR@/mail/%u
first_valid_uid = 1
passdb {
  driver = static
  args = password=p
}
userdb {
  driver = static
  args = uid=mail gid=mail home=@DIR@/mail/%u
}
service imap-login {
  inet_listener imap {
    port = @IMAP@
  }
  inet_listener imaps {
    port = @IMAPS@
  }
}
service pop3-login {
  inet_listener pop3 {
    port = @POP3@
  }
  inet_listener pop3s {
    port = @POP3S@
  }
}
"#;

#[tokio::test]
async fn dovecot() {
    if !wanted("dovecot", "/usr/sbin/dovecot") {
        return;
    }
    let (folder, imap, imaps, pop3, pop3s) = (folder(), port(), port(), port(), port());
    fs::create_dir(folder.path().join("mail")).unwrap();
    done(Command::new("chown").arg("mail").arg(folder.path().join("mail")));
    certificate(folder.path());
    let ports: [(&str, &dyn std::fmt::Display); 4] =
        [("IMAP", &imap), ("IMAPS", &imaps), ("POP3", &pop3), ("POP3S", &pop3s)];
    let conf = write(folder.path(), "dovecot.conf", DOVECOT, &ports);
    let mut command = Command::new("/usr/sbin/dovecot");
    let server = Server::start(command.arg("-F").arg("-c").arg(conf), folder.path());
    let server = server.listening(imap).listening(imaps).listening(pop3).listening(pop3s);
    let ca = format!("ca_file = \"{}/cert.pem\"\n", folder.path().display());
    for (kind, plain, secure) in [("imap", imap, imaps), ("pop3", pop3, pop3s)] {
        let kind = format!("type = \"{kind}\"\n");
        let login = format!("{kind}user = \"u\"\npassword = \"p\"\n");
        good(&kind, &here(plain)).await;
        good(&format!("{kind}expect = \"Dovecot\""), &here(plain)).await;
        good(&login, &here(plain)).await;
        bad(&format!("{kind}user = \"u\"\npassword = \"x\""), &here(plain), "was answered").await;
        good(&format!("{login}tls = true\n{ca}"), &here(secure)).await;
        good(&format!("{login}starttls = true\n{ca}"), &here(plain)).await;
    }
    let folder_of =
        |name: &str| format!("type = \"imap\"\nuser = \"u\"\npassword = \"p\"\npath = \"{name}\"");
    good(&folder_of("INBOX"), &here(imap)).await;
    bad(&folder_of("None"), &here(imap), "the folder was answered").await;
    server.hangs_and_dies("type = \"imap\"", &here(imap)).await;
}
