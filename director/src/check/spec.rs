//! The kinds of checks with their options.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What to ask of a real server. Two that are equal ask the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Spec {
    /// Nothing: always up.
    Off,
    /// A TCP connection, optionally a word and its answer; with `tls`, over TLS.
    Connect(Dialogue),
    /// A datagram and its answer, or at least no refusal (ICMP).
    Udp(Dialogue),
    /// HTTP/1.1, in clear or over TLS (`https`), or HTTP/2 (`h2`).
    Http(Http),
    /// gRPC's health service (grpc.health.v1).
    Grpc(Grpc),
    /// A DNS question.
    Dns(Dns),
    /// SMTP: greeting and EHLO.
    Smtp(Session),
    /// IMAP: greeting, a login if there is a user.
    Imap(Session),
    /// POP3: greeting, a login if there is a user.
    Pop3(Session),
    /// FTP: greeting, a login, a file if a `path` is given.
    Ftp(Session),
    /// NNTP: greeting.
    Nntp(Session),
    /// LDAP: a bind, a search if a `base` is given.
    Ldap(Ldap),
    /// MySQL or MariaDB: the greeting, a login if there is a user.
    Mysql(Sql),
    /// PostgreSQL: its readiness, a login if there is a user.
    Pgsql(Sql),
    /// Redis: PING or another command, after a login if there is a password.
    Redis(Redis),
    /// RADIUS: an Access-Request.
    Radius(Radius),
    /// SIP: OPTIONS.
    Sip(Sip),
    /// An ICMP echo.
    Ping,
    /// A program.
    Script(Script),
}

/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expect {
    /// It has this text in it.
    Text(String),
    /// It matches this regular expression (`/…/`).
    Regex(String),
}

/// A text that is shown to nobody.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text, for the wire only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// How TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tls {
    /// Whether the certificate must be good for `name`; it is unless told otherwise.
    pub verify: bool,
    /// The name in the certificate, also sent as SNI; the host asked for, else the address.
    pub name: Option<String>,
    /// Whom to trust; the system's authorities if not given.
    pub ca_file: Option<PathBuf>,
    /// When to warn of a certificate that ends.
    pub warn_before: Duration,
    /// In clear first, then upgraded (STARTTLS and its like).
    pub upgrade: bool,
}

/// Words over TCP or UDP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dialogue {
    /// What is sent.
    pub send: Option<String>,
    /// What must come back.
    pub expect: Option<Expect>,
    /// Over TLS.
    pub tls: Option<Tls>,
}

/// Which HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HttpVersion {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// An HTTP request and what must come back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Http {
    /// Which.
    pub version: HttpVersion,
    /// Over TLS.
    pub tls: Option<Tls>,
    /// GET unless told otherwise.
    pub method: String,
    /// With a leading slash.
    pub path: String,
    /// The Host header; the real server's address if not given.
    pub host: Option<String>,
    /// More headers.
    pub headers: BTreeMap<String, String>,
    /// The status codes that are good; 200 to 299 if empty.
    pub status: Vec<u16>,
    /// What the body must have.
    pub expect: Option<Expect>,
    /// Basic authentication.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
}

/// gRPC's health service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grpc {
    /// The service asked for; the server as a whole if empty.
    pub service: String,
    /// The authority.
    pub host: Option<String>,
    /// Over TLS.
    pub tls: Option<Tls>,
}

/// A DNS question.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dns {
    /// The name asked for, or an address (in reverse); if empty, any answer but SERVFAIL is good.
    pub name: String,
    /// The type of record: A, AAAA, NS, MX, SOA, TXT, CNAME, PTR, SRV. A if not given, of an address PTR.
    pub record: Option<String>,
    /// What an answer must have.
    pub expect: Option<Expect>,
    /// Over TCP; the virtual service's protocol unless told otherwise.
    pub tcp: Option<bool>,
}

/// A greeting and perhaps a login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session {
    /// Over TLS.
    pub tls: Option<Tls>,
    /// Who logs in.
    pub user: Option<String>,
    /// With what.
    pub password: Option<Secret>,
    /// The name we give ourselves (SMTP).
    pub hello: Option<String>,
    /// A file, folder or group that must be there (FTP, IMAP, NNTP).
    pub path: Option<String>,
    /// What the greeting (or the file) must have.
    pub expect: Option<Expect>,
}

/// A bind and perhaps a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ldap {
    /// Over TLS.
    pub tls: Option<Tls>,
    /// Who binds; anonymous if not given.
    pub user: Option<String>,
    /// With what.
    pub password: Option<Secret>,
    /// Where to search.
    pub base: Option<String>,
    /// How far.
    pub scope: Scope,
    /// For which entries (RFC 4515); all if not given.
    pub filter: Option<String>,
    /// Which attribute to look at; the entries' names if not given.
    pub attribute: Option<String>,
    /// What an entry's name, or a value of the attribute, must have.
    pub expect: Option<Expect>,
}

/// How far an LDAP search goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The entry itself.
    #[default]
    Base,
    /// Its children.
    One,
    /// All below it, and itself.
    Sub,
}

/// A Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Redis {
    /// Over TLS.
    pub tls: Option<Tls>,
    /// Who logs in, if not the usual user.
    pub user: Option<String>,
    /// With what.
    pub password: Option<Secret>,
    /// What is asked; PING if not given.
    pub command: Option<String>,
    /// What the answer must have.
    pub expect: Option<Expect>,
}

/// A data base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sql {
    /// Over TLS.
    pub tls: Option<Tls>,
    /// Who logs in.
    pub user: Option<String>,
    /// With what.
    pub password: Option<Secret>,
    /// Which data base.
    pub database: Option<String>,
    /// A query that must give a row.
    pub query: Option<String>,
    /// What the first row must have, its columns separated by tabs.
    pub expect: Option<Expect>,
}

/// A RADIUS request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Radius {
    /// Shared with the server.
    pub secret: Secret,
    /// Who logs in; if empty, the server is asked whether it is alive (Status-Server).
    pub user: String,
    /// With what.
    pub password: Secret,
}

/// A SIP request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sip {
    /// From whom, `user@host`; `director@localhost` if not given.
    pub user: Option<String>,
    /// The status codes that are good; 200 if empty.
    pub status: Vec<u16>,
    /// Over TLS.
    pub tls: Option<Tls>,
}

/// How a program is called and what its end means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Calling {
    /// ldirectord: `PROGRAM VIP VPORT RIP RPORT`, or the arguments given with `%h`, `%p`, `%v`, `%V` replaced.
    #[default]
    Plain,
    /// mon: `PROGRAM ARG… HOST`; 0 is good, the first line of output says who is not.
    Mon,
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Script {
    /// Its path.
    pub program: PathBuf,
    /// Its arguments; ldirectord's four if none.
    pub args: Vec<String>,
    /// How it is called.
    pub calling: Calling,
    /// What its output must have (Piranha); else its exit code counts.
    pub expect: Option<Expect>,
}
