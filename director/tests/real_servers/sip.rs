//! Kamailio: SIP over UDP, TCP and TLS.

use std::process::Command;

use crate::server::{Server, certificate, folder, port, wanted, write};
use crate::support::{bad, good, here, here_udp};

const CONF: &str = r#"#!KAMAILIO
log_stderror=yes
debug=0
children=1
fork=yes
tcp_children=1
listen=udp:127.0.0.1:@PORT@
listen=tcp:127.0.0.1:@PORT@
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
request_route {
    if (is_method("OPTIONS") && $fU == "busy") { sl_send_reply("486", "Busy Here"); exit; }
    if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
    sl_send_reply("405", "Method Not Allowed");
}
"#;

/// What is added for TLS; the module is a package of its own.
const TLS: &str = r#"
enable_tls=yes
listen=tls:127.0.0.1:@TLS@
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "@DIR@/cert.pem")
modparam("tls", "private_key", "@DIR@/key.pem")
"#;

#[tokio::test]
async fn kamailio() {
    if !wanted("kamailio", "/usr/sbin/kamailio") {
        return;
    }
    let (folder, tls, port) = (folder(), port(), port());
    certificate(folder.path());
    let text = CONF.replace("loadmodule \"sl.so\"", &format!("{TLS}loadmodule \"sl.so\""));
    let conf = write(folder.path(), "kamailio.cfg", &text, &[("PORT", &port), ("TLS", &tls)]);
    let mut command = Command::new("/usr/sbin/kamailio");
    command.args(["-DD", "-E", "-m", "16", "-M", "4", "-f"]).arg(conf);
    command.arg("-P").arg(folder.path().join("pid")).arg("-Y").arg(folder.path());
    let server = Server::start(&mut command, folder.path()).listening(port).listening(tls);
    let trusted =
        format!("type = \"sip\"\ntls = true\nca_file = \"{}\"", folder.path().join("cert.pem").display());
    good(&trusted, &here(tls)).await;
    bad(&format!("{trusted}\nuser = \"busy@example.com\""), &here(tls), "486 Busy Here").await;
    bad("type = \"sip\"\ntls = true", &here(tls), "signed by nobody trusted here").await;
    for target in [here_udp(port), here(port)] {
        good("type = \"sip\"", &target).await;
        bad("type = \"sip\"\nuser = \"busy@example.com\"", &target, "OPTIONS was answered \"486 Busy Here\"")
            .await;
        good("type = \"sip\"\nuser = \"busy@example.com\"\nstatus = [200, 486]", &target).await;
    }
    server.hangs_and_dies("type = \"sip\"", &here_udp(port)).await;
}
