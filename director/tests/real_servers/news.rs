//! Leafnode: NNTP.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::server::{Server, done, folder, port, wanted, write};
use crate::support::{bad, good, here};

/// Its paths are built in: in a mount namespace of its own it finds ours there. Every connection is a program whose
/// standard input is the socket.
const START: &str = "mount --bind @DIR@/config /etc/news/leafnode/config && \
    mount --bind @DIR@/spool /var/spool/news && \
    exec socat TCP-LISTEN:@PORT@,bind=127.0.0.1,reuseaddr,fork EXEC:/usr/sbin/leafnode,nofork\n";
/// It asks nobody, but wants names that could be.
const CONFIG: &str = "server = news.hbd-check.org\nexpire = 20\nhostname = news.hbd-check.org\n";

#[tokio::test]
async fn leafnode() {
    if !wanted("leafnode", "/usr/sbin/leafnode") {
        return;
    }
    let (folder, port) = (folder(), port());
    let spool = folder.path().join("spool");
    for name in
        ["failed.postings", "interesting.groups", "leaf.node", "message.id", "out.going", "temp.files"]
    {
        std::fs::create_dir_all(spool.join(name)).expect("the spool");
    }
    write(&spool, "leaf.node/groupinfo", "local.test 3 1 0 a group\n", &[]);
    let config = write(folder.path(), "config", CONFIG, &[]);
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    done(Command::new("chown").args(["-R", "news:news"]).arg(&spool));
    let start = write(folder.path(), "start", START, &[("PORT", &port)]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh"]).arg(start);
    let target = here(port);
    let server = Server::start(&mut command, folder.path()).serving("type = \"nntp\"", &target).await;
    good("type = \"nntp\"\npath = \"local.test\"", &target).await;
    bad("type = \"nntp\"\npath = \"no.such.group\"", &target, "411 No such group").await;
    server.hangs_and_dies("type = \"nntp\"", &target).await;
}
