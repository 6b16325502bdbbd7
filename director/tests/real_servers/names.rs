//! unbound and bind: DNS over UDP and TCP.

use std::process::Command;

use director::check::Target;

use crate::server::{Server, folder, port, wanted, write};
use crate::support::{bad, good, here, here_udp};

async fn asked(server: Server, port: u16, stranger: &str) {
    let (udp, tcp) = (here_udp(port), here(port));
    let www = "type = \"dns\"\nname = \"www.example.com\"\n";
    let both: [&Target; 2] = [&udp, &tcp];
    for target in both {
        good(www, target).await;
        good(&format!("{www}expect = \"192.0.2.1\""), target).await;
        bad(&format!("{www}expect = \"192.0.2.9\""), target, "www.example.com A is \"192.0.2.1\"").await;
        good(&format!("{www}record = \"AAAA\"\nexpect = \"2001:db8::1\""), target).await;
        good(
            "type = \"dns\"\nname = \"example.com\"\nrecord = \"MX\"\nexpect = \"10 mail.example.com\"",
            target,
        )
        .await;
        good("type = \"dns\"\nname = \"example.com\"\nrecord = \"TXT\"\nexpect = \"/happy/\"", target).await;
        good("type = \"dns\"\nname = \"192.0.2.1\"\nexpect = \"www.example.com\"", target).await;
        bad("type = \"dns\"\nname = \"none.example.com\"", target, "NXDOMAIN").await;
        bad(&format!("{www}record = \"SRV\""), target, "has no SRV record here").await;
    }
    // Whatever it says to what it is not asked for, it is there.
    good("type = \"dns\"", &udp).await;
    bad("type = \"dns\"\nname = \"www.example.net\"", &udp, stranger).await;
    server.hangs_and_dies(www, &udp).await;
}

#[tokio::test]
async fn unbound() {
    if !wanted("unbound", "/usr/sbin/unbound") {
        return;
    }
    let conf = r#"
server:
    interface: 127.0.0.1
    port: @PORT@
    chroot: ""
    username: ""
    directory: "@DIR@"
    pidfile: "@DIR@/pid"
    use-syslog: no
    do-daemonize: no
    do-ip6: no
    num-threads: 1
    module-config: "iterator"
    local-zone: "example.com." static
    local-zone: "2.0.192.in-addr.arpa." static
    local-data: "www.example.com. A 192.0.2.1"
    local-data: "www.example.com. AAAA 2001:db8::1"
    local-data: "example.com. MX 10 mail.example.com."
    local-data: 'example.com. TXT "so happy here"'
    local-data-ptr: "192.0.2.1 www.example.com"
    local-zone: "." refuse
remote-control:
    control-enable: no
"#;
    let (folder, port) = (folder(), port());
    let conf = write(folder.path(), "unbound.conf", conf, &[("PORT", &port)]);
    let server =
        Server::start(Command::new("/usr/sbin/unbound").arg("-d").arg("-c").arg(conf), folder.path());
    asked(server.listening(port), port, "REFUSED").await;
}

#[tokio::test]
async fn bind() {
    if !wanted("bind", "/usr/sbin/named") {
        return;
    }
    let conf = r#"
options {
    directory "@DIR@"; pid-file "@DIR@/pid"; session-keyfile "@DIR@/session";
    listen-on port @PORT@ { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; notify no;
};
controls {};
zone "example.com" { type master; file "@DIR@/zone"; };
zone "2.0.192.in-addr.arpa" { type master; file "@DIR@/reverse"; };
"#;
    let (folder, port) = (folder(), port());
    let start = "$TTL 60\n@ SOA ns.example.com. root.example.com. 1 60 60 60 60\n@ NS ns.example.com.\n";
    let zone = format!(
        "{start}@ MX 10 mail\n@ TXT \"so happy here\"\nns A 127.0.0.1\nmail A 192.0.2.2\nwww A 192.0.2.1\nwww AAAA 2001:db8::1\n"
    );
    write(folder.path(), "zone", &zone, &[]);
    write(folder.path(), "reverse", &format!("{start}1 PTR www.example.com.\n"), &[]);
    let conf = write(folder.path(), "named.conf", conf, &[("PORT", &port)]);
    let mut command = Command::new("/usr/sbin/named");
    let server = Server::start(command.args(["-g", "-n", "1", "-c"]).arg(conf), folder.path());
    asked(server.listening(port), port, "REFUSED").await;
}
