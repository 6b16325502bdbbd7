//! Redis, MariaDB and PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::server::{Server, certificate, done, folder, port, wanted, write};
use crate::support::{bad, good, here};

#[tokio::test]
async fn redis() {
    if !wanted("redis", "/usr/bin/redis-server") {
        return;
    }
    let (folder, port) = (folder(), port());
    let conf =
        "bind 127.0.0.1\nport @PORT@\ndir @DIR@\nsave \"\"\nrequirepass p\nuser other on >q ~* +@all\n";
    let conf = write(folder.path(), "redis.conf", conf, &[("PORT", &port)]);
    let server =
        Server::start(Command::new("/usr/bin/redis-server").arg(conf), folder.path()).listening(port);
    let target = here(port);
    let with = |more: &str| format!("type = \"redis\"\npassword = \"p\"\n{more}");
    good(&with(""), &target).await;
    bad("type = \"redis\"", &target, "NOAUTH").await;
    bad("type = \"redis\"\npassword = \"x\"", &target, "the login was answered").await;
    good("type = \"redis\"\nuser = \"other\"\npassword = \"q\"", &target).await;
    good(&with("command = \"INFO replication\"\nexpect = \"role:master\""), &target).await;
    bad(&with("command = \"INFO replication\"\nexpect = \"role:slave\""), &target, "has no \"role:slave\"")
        .await;
    bad(&with("command = \"NONSENSE\""), &target, "unknown command").await;
    server.hangs_and_dies(&with(""), &target).await;
}

#[tokio::test]
async fn mariadb() {
    if !wanted("mariadb", "/usr/sbin/mariadbd") {
        return;
    }
    let (folder, port) = (folder(), port());
    certificate(folder.path());
    let data = folder.path().join("data");
    let mut install = Command::new("mariadb-install-db");
    install.args([
        "--no-defaults",
        "--user=root",
        "--skip-test-db",
        "--auth-root-authentication-method=normal",
    ]);
    done(install.arg(format!("--datadir={}", data.display())));
    let init = "CREATE USER u@'127.0.0.1' IDENTIFIED BY 'p';\nCREATE DATABASE shop;\n\
                CREATE TABLE shop.t (a INT, b TEXT);\nINSERT INTO shop.t VALUES (7, 'happy');\n\
                CREATE TABLE shop.empty (a INT);\nGRANT SELECT ON shop.* TO u@'127.0.0.1';\n";
    let init = write(folder.path(), "init.sql", init, &[]);
    let mut command = Command::new("/usr/sbin/mariadbd");
    command.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--skip-name-resolve"]);
    for (key, value) in [
        ("datadir", data.display().to_string()),
        ("port", port.to_string()),
        ("socket", folder.path().join("s").display().to_string()),
        ("init-file", init.display().to_string()),
        ("ssl-cert", folder.path().join("cert.pem").display().to_string()),
        ("ssl-key", folder.path().join("key.pem").display().to_string()),
    ] {
        command.arg(format!("--{key}={value}"));
    }
    let server = Server::start(&mut command, folder.path()).listening(port);
    let target = here(port);
    let with = |more: &str| format!("type = \"mysql\"\nuser = \"u\"\npassword = \"p\"\n{more}");
    let query = "database = \"shop\"\nquery = \"SELECT * FROM t\"\n";
    good("type = \"mysql\"", &target).await;
    good(&with(""), &target).await;
    good(&with(query), &target).await;
    good(&with(&format!("{query}expect = '/^7\\thappy$/'")), &target).await;
    bad(&with(&format!("{query}expect = \"sad\"")), &target, "the row has no \"sad\"").await;
    bad(&with("database = \"shop\"\nquery = \"SELECT * FROM empty\""), &target, "the query gave no row")
        .await;
    bad(&with("database = \"shop\"\nquery = \"SELECT * FROM none\""), &target, "(1146)").await;
    bad("type = \"mysql\"\nuser = \"u\"\npassword = \"x\"", &target, "Access denied").await;
    let tls = format!("starttls = true\nca_file = \"{}/cert.pem\"\n", folder.path().display());
    good(&with(&format!("{tls}{query}")), &target).await;
    // Far more than max_connect_errors of them (100): a check without a login must not get this host locked out.
    for _ in 0..150 {
        good("type = \"mysql\"", &target).await;
    }
    server.hangs_and_dies(&with(query), &target).await;
}

/// Where Debian has the server's programs.
fn postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions.flatten().map(|version| version.path().join("bin")).find(|bin| bin.join("postgres").exists())
}

/// As the user `postgres`: the server refuses to be root.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"])
        .arg(program)
        .current_dir("/");
    command
}

#[tokio::test]
async fn postgresql() {
    let bin = postgres().unwrap_or_else(|| "/usr/lib/postgresql".into());
    if !wanted("postgresql", &bin.join("postgres").display().to_string()) {
        return;
    }
    let (folder, port) = (folder(), port());
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    done(Command::new("chown").arg("postgres").arg(&data));
    done(as_postgres(&bin.join("initdb")).args(["-N", "-A", "reject", "-D"]).arg(&data));
    let sql = "SET password_encryption='md5'; CREATE ROLE old LOGIN PASSWORD 'p';\n\
               SET password_encryption='scram-sha-256'; CREATE ROLE u LOGIN PASSWORD 'p';\n\
               CREATE ROLE plain LOGIN PASSWORD 'p';\n\
               CREATE TABLE t AS SELECT 7 AS a, 'happy' AS b; GRANT SELECT ON t TO u, old, plain;\n";
    let mut single = as_postgres(&bin.join("postgres"));
    let single = single
        .args(["--single", "-D"])
        .arg(&data)
        .arg("postgres")
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut single = single.stderr(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(single.stdin.as_mut().unwrap(), sql.replace("; ", ";\n").as_bytes()).unwrap();
    assert!(single.wait().unwrap().success());
    let hba = "host all old 127.0.0.1/32 md5\nhost all u 127.0.0.1/32 scram-sha-256\n\
               host all plain 127.0.0.1/32 password\n";
    fs::write(data.join("pg_hba.conf"), hba).unwrap();
    certificate(folder.path());
    for file in ["cert.pem", "key.pem"] {
        fs::copy(folder.path().join(file), data.join(file)).unwrap();
    }
    done(Command::new("chown").arg("postgres").arg(data.join("cert.pem")).arg(data.join("key.pem")));
    done(Command::new("chmod").arg("600").arg(data.join("key.pem")));
    let mut command = as_postgres(&bin.join("postgres"));
    command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()]);
    command.args(["-c", "ssl=on", "-c", "ssl_cert_file=cert.pem", "-c", "ssl_key_file=key.pem"]);
    let target = here(port);
    let with = |user: &str, more: &str| {
        format!("type = \"pgsql\"\nuser = \"{user}\"\npassword = \"p\"\ndatabase = \"postgres\"\n{more}")
    };
    let query = "query = \"SELECT * FROM t\"\n";
    let server = Server::start(&mut command, folder.path()).listening(port);
    let server = server.serving("type = \"pgsql\"", &target).await;
    for user in ["u", "old", "plain"] {
        good(&with(user, ""), &target).await;
        good(&with(user, query), &target).await;
    }
    good(&with("u", &format!("{query}expect = '/^7\\thappy$/'")), &target).await;
    bad(&with("u", &format!("{query}expect = \"sad\"")), &target, "the row has no \"sad\"").await;
    bad(&with("u", "query = \"SELECT * FROM t WHERE a = 8\""), &target, "the query gave no row").await;
    bad(&with("u", "query = \"SELECT * FROM none\""), &target, "(42P01)").await;
    bad("type = \"pgsql\"\nuser = \"u\"\npassword = \"x\"\ndatabase = \"postgres\"", &target, "(28P01)")
        .await;
    let tls = format!("starttls = true\nca_file = \"{}/cert.pem\"\n", folder.path().display());
    good(&with("u", &format!("{tls}{query}")), &target).await;
    server.hangs_and_dies(&with("u", query), &target).await;
}
