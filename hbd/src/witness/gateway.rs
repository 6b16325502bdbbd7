//! What is asked of an etcd, in the JSON of its gateway: `/v3/…` since 3.4, `/v3beta/…` in 3.3.
//!
//! A [`Client`] knows all endpoints and remembers which one was good. A whole exchange goes to one member, on one
//! connection; if that member has no clear answer, the next one is asked, until the deadline.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::base64;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::password;
use super::wire::{Endpoint, Seen, Session};
use crate::config::Witness;

/// Where the gateway is, by the version of etcd.
const ROOTS: [&str; 2] = ["/v3", "/v3beta"];
/// Of a user who logs in, etcd's gateway wants to hear nothing else.
const COMMON_NAME: &str = "with authentication enabled, etcd's gateway refuses a certificate that has a CommonName: make one \
     without for [witness] cert (openssl req -subj /O=hbd ...)";
/// Connections kept for later.
const IDLE: usize = 8;

/// Why a question has no good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No clear answer; another member may have one.
    Unclear(String),
    /// The connection was of no use any more.
    Broken(String),
    /// etcd knows no such lease.
    NoLease,
    /// The answer is clear, and no other member will say otherwise.
    Refused(String),
}

/// A key as etcd has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The revision of its last change, a number; `0` if there is no such key.
    pub revision: String,
    /// The lease it is tied to, a number.
    pub lease: String,
    /// Its value.
    pub value: Vec<u8>,
}

impl Entry {
    /// Whether the key is there.
    pub fn exists(&self) -> bool {
        self.revision != "0"
    }
}

/// Talks to an etcd.
#[derive(Debug)]
pub(super) struct Client {
    settings: Witness,
    endpoints: Vec<Endpoint>,
    /// The endpoint that was good last.
    good: AtomicUsize,
    /// The gateway's root that was right last.
    root: AtomicUsize,
    idle: Mutex<Vec<Session>>,
    token: Mutex<Option<Zeroizing<String>>>,
}

impl Client {
    /// Of endpoints that the configuration has found good.
    ///
    /// # Errors
    /// A sentence.
    pub fn new(settings: Witness) -> Result<Client, String> {
        let endpoints =
            settings.endpoints.iter().map(|url| Endpoint::parse(url)).collect::<Result<_, _>>()?;
        Ok(Client {
            settings,
            endpoints,
            good: AtomicUsize::new(0),
            root: AtomicUsize::new(0),
            idle: Mutex::default(),
            token: Mutex::default(),
        })
    }

    /// The endpoint that was good last.
    pub fn endpoint(&self) -> &str {
        let at = self.good.load(Ordering::Relaxed);
        self.endpoints.get(at).map_or("", |endpoint| &endpoint.shown)
    }

    /// Has `exchange` with one member after the other, until one gives a clear answer or `deadline` comes.
    ///
    /// # Errors
    /// The clear refusal; or [`Fault::Unclear`] with what each member tried was like.
    pub async fn with<T>(
        &self,
        deadline: Instant,
        exchange: impl AsyncFn(&Client, &mut Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let first = self.good.load(Ordering::Relaxed);
        let mut tried: Vec<String> = Vec::new();
        for step in 0..self.endpoints.len() {
            let at = (first + step) % self.endpoints.len();
            let begun = Instant::now();
            if begun >= deadline {
                break;
            }
            let until = deadline.min(begun + self.settings.timeout);
            let why = match timeout_at(until, self.on(at, &exchange)).await {
                Ok(Err(Fault::Unclear(why) | Fault::Broken(why))) => why,
                Ok(answer) => {
                    self.good.store(at, Ordering::Relaxed);
                    return answer;
                }
                Err(_) => format!("no answer within {} ms", (until - begun).as_millis()),
            };
            // The next question begins elsewhere.
            self.good.store((at + 1) % self.endpoints.len(), Ordering::Relaxed);
            tried.push(format!("{}: {why}", self.endpoints[at].shown));
        }
        if tried.is_empty() {
            tried.push("there was no time left to ask".to_owned());
        }
        Err(Fault::Unclear(tried.join("; ")))
    }

    /// The exchange with the member `at`, on a connection that is there or else a new one.
    async fn on<T>(
        &self,
        at: usize,
        exchange: &impl AsyncFn(&Client, &mut Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if let Some(mut session) = self.idle(at) {
            match exchange(self, &mut session).await {
                // It may have been closed since it was used last.
                Err(Fault::Broken(_)) => {}
                answer => return self.done(session, answer),
            }
        }
        let opened = Session::open(at, &self.endpoints[at], &self.settings).await;
        let mut session = opened.map_err(Fault::Unclear)?;
        let answer = exchange(self, &mut session).await;
        self.done(session, answer)
    }

    fn idle(&self, at: usize) -> Option<Session> {
        let mut idle = lock(&self.idle);
        idle.retain(Session::is_open);
        let found = idle.iter().position(|session| session.endpoint == at)?;
        Some(idle.swap_remove(found))
    }

    fn done<T>(&self, session: Session, answer: Result<T, Fault>) -> Result<T, Fault> {
        if !matches!(answer, Err(Fault::Broken(_) | Fault::Unclear(_))) {
            let mut idle = lock(&self.idle);
            if idle.len() < IDLE {
                idle.push(session);
            }
        }
        answer
    }

    /// One question. A token that is no longer good is replaced once.
    async fn call(&self, session: &mut Session, path: &str, body: &Value) -> Result<Value, Fault> {
        let answer = self.ask(session, path, body).await;
        match answer {
            Err(Asked::Token) if self.settings.user.is_some() => {
                *lock(&self.token) = None;
                match self.ask(session, path, body).await {
                    Err(Asked::Token) => Err(Fault::Unclear("it does not take its own token".to_owned())),
                    answer => answer.map_err(Asked::fault),
                }
            }
            answer => answer.map_err(Asked::fault),
        }
    }

    async fn ask(&self, session: &mut Session, path: &str, body: &Value) -> Result<Value, Asked> {
        let token = self.token(session).await?;
        self.post(session, path, token.as_ref().map(|token| token.as_str()), body).await
    }

    async fn post(
        &self,
        session: &mut Session,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Result<Value, Asked> {
        let first = self.root.load(Ordering::Relaxed);
        for step in 0..ROOTS.len() {
            let root = (first + step) % ROOTS.len();
            let path = format!("{}{path}", ROOTS[root]);
            let reply = session.post(&path, token, body.to_string().into_bytes()).await;
            let reply = reply.map_err(|why| Asked::Fault(Fault::Broken(why)))?;
            let value = serde_json::from_slice::<Value>(&reply.body);
            match (reply.status, value) {
                (200, Ok(value)) if value.get("error").is_none() => {
                    self.root.store(root, Ordering::Relaxed);
                    return Ok(value);
                }
                // Not etcd's own 404: no such place.
                (404, Err(_)) => {}
                (_, Ok(value)) => return Err(refusal(&value, &self.settings)),
                // The gateway speaks for itself here, and not in JSON.
                (400, Err(_)) if reply.body.starts_with(b"CommonName of client") => {
                    return Err(Asked::Fault(Fault::Refused(COMMON_NAME.to_owned())));
                }
                (status, Err(_)) => {
                    let why = format!("its answer is none of etcd's gateway (HTTP status {status})");
                    return Err(Asked::Fault(Fault::Unclear(why)));
                }
            }
        }
        let why = format!("no etcd gateway is there: neither {} nor {} is known", ROOTS[0], ROOTS[1]);
        Err(Asked::Fault(Fault::Unclear(why)))
    }

    /// The token to show, if there is a user.
    async fn token(&self, session: &mut Session) -> Result<Option<Zeroizing<String>>, Asked> {
        let (Some(user), Some(file)) = (&self.settings.user, &self.settings.password_file) else {
            return Ok(None);
        };
        if let Some(token) = lock(&self.token).clone() {
            return Ok(Some(token));
        }
        let password = password::read(file).map_err(|why| Asked::Fault(Fault::Refused(why)))?;
        let body = json!({"name": user, "password": password.as_str()});
        let answer = self.post(session, "/auth/authenticate", None, &body).await?;
        let token = Zeroizing::new(text(&answer, "token"));
        *lock(&self.token) = Some(token.clone());
        Ok(Some(token))
    }

    /// The token at hand.
    #[cfg(test)]
    pub fn token_at_hand(&self) -> MutexGuard<'_, Option<Zeroizing<String>>> {
        lock(&self.token)
    }

    /// A new lease, called `id`; how long it lives.
    pub async fn grant(&self, session: &mut Session, id: i64, ttl: Duration) -> Result<Duration, Fault> {
        let body = json!({"ID": id.to_string(), "TTL": ttl.as_secs().to_string()});
        let answer = self.call(session, "/lease/grant", &body).await?;
        match (text(&answer, "ID") == id.to_string(), seconds(&answer)) {
            (true, Some(ttl)) => Ok(ttl),
            _ => Err(Fault::Unclear("its answer to a grant is not clear".to_owned())),
        }
    }

    /// Renews a lease; how long it lives from now, and which member in which term says so.
    ///
    /// # Errors
    /// [`Fault::NoLease`] if there is none of this number any more.
    pub async fn keep_alive(&self, session: &mut Session, id: i64) -> Result<(Duration, Seen), Fault> {
        let answer = self.call(session, "/lease/keepalive", &json!({"ID": id.to_string()})).await?;
        // It is a stream of one answer.
        let result = answer.get("result").unwrap_or(&Value::Null);
        if text(result, "ID") != id.to_string() {
            return Err(Fault::Unclear("its answer to a renewal is not clear".to_owned()));
        }
        let seen = seen(result).ok_or_else(|| Fault::Unclear("it does not say who it is".to_owned()))?;
        Ok((seconds(result).ok_or(Fault::NoLease)?, seen))
    }

    /// How long a lease will live if it is not renewed, if etcd says so.
    pub async fn left(&self, session: &mut Session, id: &str) -> Option<Duration> {
        let answer = self.call(session, "/lease/timetolive", &json!({"ID": id})).await.ok()?;
        seconds(&answer)
    }

    /// How many members this etcd has.
    pub async fn members(&self, session: &mut Session) -> Result<usize, Fault> {
        let answer = self.call(session, "/cluster/member/list", &json!({})).await?;
        match answer.get("members").and_then(Value::as_array) {
            Some(members) if !members.is_empty() => Ok(members.len()),
            _ => Err(Fault::Unclear("its list of members is not clear".to_owned())),
        }
    }

    /// Reads keys as a quorum has them, and in which term of which member that was.
    pub async fn read(&self, session: &mut Session, keys: &[&str]) -> Result<(Vec<Entry>, Seen), Fault> {
        let range = |key: &&str| json!({"request_range": {"key": base64::encode(key.as_bytes())}});
        let success: Vec<Value> = keys.iter().map(range).collect();
        let answer = self.call(session, "/kv/txn", &json!({"success": success})).await?;
        let responses = answer.get("responses").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let entries: Option<Vec<Entry>> = responses.iter().map(entry).collect();
        match (entries.filter(|entries| entries.len() == keys.len()), seen(&answer)) {
            (Some(entries), Some(seen)) => Ok((entries, seen)),
            _ => Err(Fault::Unclear("what it read is not clear".to_owned())),
        }
    }

    /// Changes keys in one transaction if these are still of these revisions. Whether they were.
    pub async fn change(
        &self,
        session: &mut Session,
        unchanged: &[(&str, &Entry)],
        changes: &[Change<'_>],
    ) -> Result<bool, Fault> {
        let compare = |(key, entry): &(&str, &Entry)| {
            let key = base64::encode(key.as_bytes());
            json!({"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": entry.revision})
        };
        let compare: Vec<Value> = unchanged.iter().map(compare).collect();
        let success: Vec<Value> = changes.iter().map(Change::json).collect();
        let body = json!({"compare": compare, "success": success});
        let answer = self.call(session, "/kv/txn", &body).await?;
        // A truth that is false is left out of the answer.
        match answer.get("succeeded") {
            Some(Value::Bool(succeeded)) => Ok(*succeeded),
            None if answer.get("header").is_some() => Ok(false),
            _ => Err(Fault::Unclear("its answer to a change is not clear".to_owned())),
        }
    }
}

/// One change of a key.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// It has this value, and is tied to this lease (0: to none).
    Put(&'a str, Vec<u8>, i64),
    /// It is gone.
    Delete(&'a str),
}

impl Change<'_> {
    fn json(&self) -> Value {
        match self {
            Change::Put(key, value, lease) => json!({"request_put": {
                "key": base64::encode(key.as_bytes()), "value": base64::encode(value), "lease": lease.to_string()
            }}),
            Change::Delete(key) => json!({"request_delete_range": {"key": base64::encode(key.as_bytes())}}),
        }
    }
}

/// How one question went.
#[derive(Debug)]
enum Asked {
    /// The token is not good (any more).
    Token,
    Fault(Fault),
}

impl Asked {
    fn fault(self) -> Fault {
        match self {
            Asked::Fault(fault) => fault,
            Asked::Token => Fault::Refused(
                "etcd wants a user: write user and password_file into [witness], or disable its authentication"
                    .to_owned(),
            ),
        }
    }
}

/// What etcd's refusal (a code of gRPC and a sentence) means; that of a stream is one level down.
fn refusal(value: &Value, settings: &Witness) -> Asked {
    let value = value.get("error").filter(|inner| inner.is_object()).unwrap_or(value);
    let message = value.get("message").or_else(|| value.get("error")).and_then(Value::as_str);
    let message = message.unwrap_or("no reason").trim_start_matches("etcdserver: ");
    let code = value.get("code").or_else(|| value.get("grpc_code")).and_then(Value::as_u64);
    let code = code.unwrap_or_default();
    let user = settings.user.as_deref().unwrap_or("");
    Asked::Fault(match (code, message) {
        (7, _) if settings.user.is_none() => return Asked::Token,
        (16, _) | (_, "user name is empty" | "revision of auth store is old" | "invalid auth token") => {
            return Asked::Token;
        }
        (_, "requested lease not found") => Fault::NoLease,
        (_, "authentication is not enabled") => Fault::Refused(
            "its authentication is not enabled: leave user and password_file out, or etcdctl auth enable"
                .to_owned(),
        ),
        (_, text) if text.starts_with("authentication failed") => Fault::Refused(format!(
            "etcd does not know the user {user} with the password in {}",
            settings.password_file.as_deref().unwrap_or(std::path::Path::new("")).display()
        )),
        (7, text) => Fault::Refused(format!(
            "etcd refuses the user {user} ({text}): give its role readwrite on the prefix {}/ (etcdctl role grant-permission ROLE --prefix=true readwrite {}/)",
            settings.prefix, settings.prefix
        )),
        (8, text) => Fault::Refused(format!(
            "etcd has no room ({text}): compact and defragment it, then etcdctl alarm disarm"
        )),
        (_, text) => Fault::Unclear(text.to_owned()),
    })
}

fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// Who answered, and in which term it was.
fn seen(answer: &Value) -> Option<Seen> {
    let header = answer.get("header")?;
    let (member, term) = (text(header, "member_id"), text(header, "raft_term"));
    (!member.is_empty() && !term.is_empty()).then_some((member, term))
}

/// A lease's time, if it lives.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = text(value, "TTL").parse::<u64>().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// What one range of one key gave.
fn entry(response: &Value) -> Option<Entry> {
    let range = response.get("response_range")?;
    let Some(kvs) = range.get("kvs").and_then(Value::as_array) else {
        return Some(Entry { revision: "0".to_owned(), ..Entry::default() });
    };
    let kv = kvs.first()?;
    let revision = text(kv, "mod_revision");
    revision.parse::<u64>().ok().filter(|revision| *revision > 0)?;
    Some(Entry { revision, lease: text(kv, "lease"), value: base64::decode(&text(kv, "value"))? })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
