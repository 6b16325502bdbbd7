//! A check made ready: patterns compiled, requests built, TLS set up, once for all its runs.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use super::progress::Progress;
use super::proto::dns::{Dns, Kind};
use super::proto::ftp::Ftp;
use super::proto::http::Wanted;
use super::proto::imap::Imap;
use super::proto::ladder::Ladder;
use super::proto::ldap::{Ldap, Scope};
use super::proto::mysql::Mysql;
use super::proto::nntp::Nntp;
use super::proto::pgsql::Pgsql;
use super::proto::pop3::Pop3;
use super::proto::radius::Radius;
use super::proto::redis::Redis;
use super::proto::scram::Salted;
use super::proto::sendexpect::{DatagramExchange, StreamTalk};
use super::proto::sip::{Ends, Sip};
use super::proto::smtp::Smtp;
use super::proto::text::{self, Expect};
use super::proto::{Exchange, Talk};
use super::spec::{self, Session, Spec, Tls};
use super::stream::Conversation;
use super::tls::Secure;
use super::web::Web;
use super::wire::Wire;
use super::{Target, datagram, ping, random, script};
use crate::table::Protocol;

const NO_TALK: &str = "internal: this check has no conversation";

/// What must not be foreseen of one check.
pub(super) type Nonce = [u8; 18];

/// A check made ready.
#[derive(Debug)]
pub(super) struct Prepared {
    kind: Kinds,
    secure: Option<Secure>,
    /// TLS comes on the way, not from the start.
    upgrade: bool,
}

#[derive(Debug)]
enum Kinds {
    Off,
    Connect,
    Words { send: Vec<u8>, expect: Expect },
    Udp { send: Vec<u8>, expect: Option<Expect> },
    Web(Box<Web>),
    Dns { dns: Dns, tcp: Option<bool> },
    Smtp(Smtp),
    Imap(Imap),
    Pop3(Pop3),
    Ftp(Ftp),
    Nntp(Nntp),
    Ldap(Ldap),
    Mysql(Mysql),
    Pgsql(Pgsql),
    Redis(Redis),
    Radius(Radius),
    Sip(Sip),
    Ping,
    Script { script: spec::Script, expect: Option<Expect> },
}

impl Prepared {
    /// Makes `spec` ready.
    ///
    /// # Errors
    /// A sentence: what of it cannot be used.
    pub fn new(spec: &Spec) -> Result<Prepared, String> {
        let tls = spec.tls();
        let kind = kind(spec)?;
        // HTTP has its own, for it knows which protocol to offer.
        let secure = match (&kind, tls) {
            (Kinds::Web(_), _) | (_, None) => None,
            (_, Some(tls)) => Some(Secure::new(tls, None, &[])?),
        };
        let upgrade = tls.is_some_and(|tls| tls.upgrade);
        if upgrade
            && !matches!(
                kind,
                Kinds::Smtp(_)
                    | Kinds::Imap(_)
                    | Kinds::Pop3(_)
                    | Kinds::Ftp(_)
                    | Kinds::Ldap(_)
                    | Kinds::Mysql(_)
                    | Kinds::Pgsql(_)
            )
        {
            return Err("this type of check has no starttls; write tls = true".to_owned());
        }
        Ok(Prepared { kind, secure, upgrade })
    }

    /// Asks once. `deadline` is when the caller will stop waiting; how often to ask again follows from it.
    ///
    /// # Errors
    /// A sentence.
    pub async fn ask(&self, target: &Target, deadline: Duration, progress: &Progress) -> Result<(), String> {
        let address = SocketAddr::new(target.address, target.port);
        // A lost datagram must not cost the check: three tries.
        let patience = (deadline / 3).max(Duration::from_millis(1));
        // Each kind in a box of its own, else every check under way would be as large as the largest of them.
        let asked: Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> = match &self.kind {
            Kinds::Off => return Ok(()),
            Kinds::Ping => Box::pin(ping::ping(target.address, patience, progress)),
            Kinds::Script { script, expect } => {
                progress.at("and the program was ended");
                Box::pin(script::run(script, expect.as_ref(), target))
            }
            Kinds::Web(web) => Box::pin(web.ask(address, progress)),
            Kinds::Connect => Box::pin(self.connect(address, progress)),
            Kinds::Udp { send, expect: None } => {
                Box::pin(datagram::not_refused(address, send, deadline / 4 * 3, progress))
            }
            _ if self.by_datagrams(target.protocol) => {
                Box::pin(self.exchange_with(address, patience, progress))
            }
            _ => Box::pin(self.converse(address, progress)),
        };
        asked.await
    }

    async fn connect(&self, address: SocketAddr, progress: &Progress) -> Result<(), String> {
        Wire::open(address, self.secure.as_ref(), progress).await?.farewell(b"").await;
        Ok(())
    }

    async fn exchange_with(
        &self,
        address: SocketAddr,
        patience: Duration,
        progress: &Progress,
    ) -> Result<(), String> {
        let socket = datagram::open(address, progress).await?;
        let local = socket.local_addr().map_err(|e| e.to_string())?;
        let mut exchange = self.exchange(local, address, &random()?)?;
        datagram::ask(&socket, address, &mut *exchange, patience, progress).await
    }

    async fn converse(&self, address: SocketAddr, progress: &Progress) -> Result<(), String> {
        let at_once = self.secure.as_ref().filter(|_| !self.upgrade);
        let wire = Wire::open(address, at_once, progress).await?;
        let mut talk = self.talk(wire.local()?, address, &random()?)?;
        Conversation { wire, address, upgrade: self.secure.as_ref(), progress }.hold(&mut *talk).await
    }

    /// Whether it asks by datagrams, and not over a stream.
    pub(super) fn by_datagrams(&self, service: Protocol) -> bool {
        match &self.kind {
            Kinds::Udp { .. } | Kinds::Radius(_) => true,
            Kinds::Dns { tcp, .. } => !tcp.unwrap_or(service == Protocol::Tcp),
            Kinds::Sip(_) => self.secure.is_none() && service == Protocol::Udp,
            _ => false,
        }
    }

    /// The question by datagrams, with what must not be foreseen made of `nonce`.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn exchange(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        nonce: &Nonce,
    ) -> Result<Box<dyn Exchange>, String> {
        Ok(match &self.kind {
            Kinds::Udp { send, expect: Some(expect) } => {
                Box::new(DatagramExchange::new(send.clone(), expect.clone()))
            }
            Kinds::Dns { dns, .. } => Box::new(dns.exchange(u16::from_be_bytes(first(nonce)))),
            Kinds::Radius(radius) => Box::new(radius.exchange(nonce[17], first(nonce))),
            Kinds::Sip(sip) => {
                let nonce = u64::from_be_bytes(first(nonce));
                Box::new(sip.exchange(&Ends { local, remote, transport: "UDP", nonce }))
            }
            _ => return Err("internal: this check has no datagrams".to_owned()),
        })
    }

    /// The conversation over a stream, likewise.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn talk(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        nonce: &Nonce,
    ) -> Result<Box<dyn Talk>, String> {
        let ladder = |ladder: Ladder| -> Box<dyn Talk> { Box::new(ladder) };
        Ok(match &self.kind {
            Kinds::Words { send, expect } => Box::new(StreamTalk::new(send.clone(), expect.clone())),
            Kinds::Dns { dns, .. } => Box::new(dns.talk(u16::from_be_bytes(first(nonce)))),
            Kinds::Smtp(smtp) => ladder(smtp.talk()),
            Kinds::Imap(imap) => ladder(imap.talk()),
            Kinds::Pop3(pop3) => ladder(pop3.talk()),
            Kinds::Nntp(nntp) => ladder(nntp.talk()),
            Kinds::Ftp(ftp) => Box::new(ftp.talk()),
            Kinds::Ldap(ldap) => Box::new(ldap.talk()),
            Kinds::Mysql(mysql) => Box::new(mysql.talk()),
            Kinds::Pgsql(pgsql) => Box::new(pgsql.talk(nonce)),
            Kinds::Redis(redis) => Box::new(redis.talk()),
            Kinds::Sip(sip) => {
                let transport = if self.secure.is_some() { "TLS" } else { "TCP" };
                let nonce = u64::from_be_bytes(first(nonce));
                Box::new(sip.talk(&Ends { local, remote, transport, nonce }))
            }
            Kinds::Web(web) => Box::new(web.talk(remote).ok_or(NO_TALK)?),
            // Asked without a stream.
            Kinds::Off
            | Kinds::Connect
            | Kinds::Udp { .. }
            | Kinds::Radius(_)
            | Kinds::Ping
            | Kinds::Script { .. } => return Err(NO_TALK.to_owned()),
        })
    }
}

/// The first bytes of it.
fn first<const N: usize>(nonce: &Nonce) -> [u8; N] {
    std::array::from_fn(|place| nonce.get(place).copied().unwrap_or_default())
}

fn kind(spec: &Spec) -> Result<Kinds, String> {
    Ok(match spec {
        Spec::Off => Kinds::Off,
        Spec::Ping => Kinds::Ping,
        Spec::Connect(words) => match (&words.send, &words.expect) {
            (None, None) => Kinds::Connect,
            // Said, and heard until the server answers anything at all.
            (send, expect) => {
                Kinds::Words { send: bytes(send.as_deref())?, expect: required(expect.as_ref())? }
            }
        },
        Spec::Udp(words) => {
            Kinds::Udp { send: bytes(words.send.as_deref())?, expect: expected(words.expect.as_ref())? }
        }
        Spec::Http(http) => {
            let wanted = Wanted { status: http.status.clone(), expect: expected(http.expect.as_ref())? };
            Kinds::Web(Box::new(Web::http(http, wanted)?))
        }
        Spec::Grpc(grpc) => Kinds::Web(Box::new(Web::grpc(grpc)?)),
        Spec::Dns(dns) => {
            let record = dns.record.as_deref().map(|name| {
                Kind::named(name).ok_or_else(|| format!("{} is no type of record", text::quoted(name)))
            });
            let asked = Dns::new(&dns.name, record.transpose()?, expected(dns.expect.as_ref())?)?;
            Kinds::Dns { dns: asked, tcp: dns.tcp }
        }
        Spec::Smtp(_) | Spec::Imap(_) | Spec::Pop3(_) | Spec::Ftp(_) | Spec::Nntp(_) => mail_and_files(spec)?,
        Spec::Ldap(_) | Spec::Mysql(_) | Spec::Pgsql(_) | Spec::Redis(_) => stores(spec)?,
        Spec::Radius(radius) => {
            plain(&[&radius.user])?;
            let login =
                (!radius.user.is_empty()).then(|| (radius.user.clone(), radius.password.reveal().to_owned()));
            let secret = radius.secret.reveal().to_owned();
            Kinds::Radius(Radius { secret, login, nas: "director".to_owned() })
        }
        Spec::Sip(sip) => {
            let login = sip.user.clone().unwrap_or_else(|| "director@localhost".to_owned());
            plain(&[&login])?;
            let status = if sip.status.is_empty() { vec![200] } else { sip.status.clone() };
            Kinds::Sip(Sip { login, status })
        }
        Spec::Script(script) => {
            Kinds::Script { script: script.clone(), expect: expected(script.expect.as_ref())? }
        }
    })
}

fn mail_and_files(spec: &Spec) -> Result<Kinds, String> {
    let starttls = spec.tls().is_some_and(|tls| tls.upgrade);
    Ok(match spec {
        Spec::Smtp(session) => {
            let helo = session.hello.clone().unwrap_or_else(|| "director.localdomain".to_owned());
            plain(&[&helo])?;
            Kinds::Smtp(Smtp {
                helo,
                starttls,
                login: login(session)?,
                expect: expected(session.expect.as_ref())?,
            })
        }
        Spec::Imap(session) => Kinds::Imap(Imap {
            starttls,
            login: login(session)?,
            folder: path(session)?,
            expect: expected(session.expect.as_ref())?,
        }),
        Spec::Pop3(session) => {
            Kinds::Pop3(Pop3 { starttls, login: login(session)?, expect: expected(session.expect.as_ref())? })
        }
        Spec::Nntp(session) => Kinds::Nntp(Nntp {
            login: login(session)?,
            group: path(session)?,
            expect: expected(session.expect.as_ref())?,
        }),
        Spec::Ftp(session) => {
            let file = path(session)?;
            // As everybody does who only wants a public file.
            let anonymous = file.is_some().then(|| ("anonymous".to_owned(), "director@localhost".to_owned()));
            Kinds::Ftp(Ftp {
                starttls,
                login: login(session)?.or(anonymous),
                file,
                expect: expected(session.expect.as_ref())?,
            })
        }
        _ => Kinds::Off,
    })
}

fn stores(spec: &Spec) -> Result<Kinds, String> {
    let starttls = spec.tls().is_some_and(|tls| tls.upgrade);
    Ok(match spec {
        Spec::Ldap(ldap) => {
            let scope = match ldap.scope {
                spec::Scope::Base => Scope::Base,
                spec::Scope::One => Scope::One,
                spec::Scope::Sub => Scope::Sub,
            };
            let password = || ldap.password.as_ref().map_or("", |password| password.reveal()).to_owned();
            let asked = Ldap {
                starttls,
                login: ldap.user.clone().map(|user| (user, password())),
                base: ldap.base.clone(),
                scope,
                attribute: ldap.attribute.clone(),
                expect: expected(ldap.expect.as_ref())?,
                ..Ldap::default()
            };
            Kinds::Ldap(asked.with_filter(ldap.filter.as_deref().unwrap_or_default())?)
        }
        Spec::Mysql(sql) => {
            let (login, expect) = (sql_login(sql)?, expected(sql.expect.as_ref())?);
            Kinds::Mysql(Mysql {
                starttls,
                login,
                database: sql.database.clone(),
                query: sql.query.clone(),
                expect,
            })
        }
        Spec::Pgsql(sql) => {
            let (login, expect) = (sql_login(sql)?, expected(sql.expect.as_ref())?);
            let (database, query) = (sql.database.clone(), sql.query.clone());
            Kinds::Pgsql(Pgsql { starttls, login, database, query, expect, salted: Salted::default() })
        }
        Spec::Redis(redis) => Kinds::Redis(Redis {
            user: redis.user.clone(),
            password: redis.password.as_ref().map(|password| password.reveal().to_owned()),
            command: redis.command.clone().unwrap_or_default(),
            expect: expected(redis.expect.as_ref())?,
        }),
        _ => Kinds::Off,
    })
}

fn sql_login(sql: &spec::Sql) -> Result<Option<(String, String)>, String> {
    if sql.user.is_none() && sql.query.is_some() {
        return Err("a query needs a user".to_owned());
    }
    let words = [&sql.user, &sql.database, &sql.query].map(|word| word.as_deref().unwrap_or_default());
    if words.iter().any(|word| word.contains('\0')) {
        return Err("a NUL byte cannot be said to a data base".to_owned());
    }
    let password = || sql.password.as_ref().map_or("", |password| password.reveal()).to_owned();
    Ok(sql.user.clone().map(|user| (user, password())))
}

fn login(session: &Session) -> Result<Option<(String, String)>, String> {
    let password = session.password.as_ref().map_or("", |password| password.reveal());
    let user = session.user.as_deref().unwrap_or_default();
    // The sentence has neither of them in it.
    plain(&[user, password]).map_err(|_| "a user and a password cannot have line ends in them".to_owned())?;
    Ok(session.user.clone().map(|user| (user, password.to_owned())))
}

fn path(session: &Session) -> Result<Option<String>, String> {
    plain(&[session.path.as_deref().unwrap_or_default()])?;
    Ok(session.path.clone())
}

/// Words of a protocol of lines have no control characters: they would be words of their own.
fn plain(words: &[&str]) -> Result<(), String> {
    match words.iter().find(|word| word.chars().any(char::is_control)) {
        Some(word) => {
            Err(format!("{} has a character that cannot be said in this protocol", text::quoted(word)))
        }
        None => Ok(()),
    }
}

fn bytes(words: Option<&str>) -> Result<Vec<u8>, String> {
    text::unescaped(words.unwrap_or_default())
}

fn expected(expect: Option<&spec::Expect>) -> Result<Option<Expect>, String> {
    expect
        .map(|expect| match expect {
            spec::Expect::Text(text) => {
                text::unescaped(text).map(|bytes| Expect::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
            spec::Expect::Regex(pattern) => Expect::pattern(pattern, false),
        })
        .transpose()
}

/// Something sent without an expectation: anything at all must come back.
fn required(expect: Option<&spec::Expect>) -> Result<Expect, String> {
    expected(expect)?.map_or_else(Expect::anything, Ok)
}

impl Spec {
    /// How TLS is spoken, if it is.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Spec::Off | Spec::Udp(_) | Spec::Dns(_) | Spec::Radius(_) | Spec::Ping | Spec::Script(_) => None,
            Spec::Connect(words) => words.tls.as_ref(),
            Spec::Http(http) => http.tls.as_ref(),
            Spec::Grpc(grpc) => grpc.tls.as_ref(),
            Spec::Smtp(s) | Spec::Imap(s) | Spec::Pop3(s) | Spec::Ftp(s) | Spec::Nntp(s) => s.tls.as_ref(),
            Spec::Ldap(ldap) => ldap.tls.as_ref(),
            Spec::Mysql(sql) | Spec::Pgsql(sql) => sql.tls.as_ref(),
            Spec::Redis(redis) => redis.tls.as_ref(),
            Spec::Sip(sip) => sip.tls.as_ref(),
        }
    }
}
