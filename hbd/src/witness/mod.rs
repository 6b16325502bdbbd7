//! The witness: an etcd that holds each group's key for one node at a time. How the core's requests become etcd's.
//!
//! ```text
//!  WitnessAsk ─▶ Engine::answer ─▶ Client: member after member, until the deadline ─▶ Session: one connection
//!                  renew           │  a clear answer, or none                            HTTP/1.1, TLS
//!                  take, release   ▼
//!                                WitnessAnswer
//! ```
//! Keys of a group: `PREFIX/CLUSTER/group/NAME`, tied to the lease of the node that holds it, and
//! `PREFIX/CLUSTER/epoch/NAME`, the last epoch, which stays. Both are read as a quorum has them and written in one
//! transaction that holds only while neither has changed, so what comes late changes nothing.
//!
//! **A renewal is believed only under a leader that a quorum follows.** etcd's leader renews leases by itself; one that
//! was stopped, and replaced without knowing it, does so too. So what a quorum says is read after each renewal on the same
//! connection: if the term is that of the read before the renewal, the leader between the two was the only one, and each
//! later one gives all leases their whole time again.
//!
//! **A key that is gone is not believed to have run out** where etcd has several members: a former leader that was stopped
//! can revoke leases that were renewed with its successor (etcd's issue 15247). Whoever held the key may go on for the whole
//! time of its lease then, so the taker waits that long before it takes what was not given back.

mod gateway;
pub(crate) mod password;
mod record;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cluster::{WitnessAnswer, WitnessAsk};
use tokio::time::Instant;

use crate::config::Witness;
use gateway::{Change, Client, Entry, Fault};
use record::Record;
use wire::Session;

/// So often a transaction is tried again whose keys were changed by somebody else meanwhile.
const TURNS: usize = 4;
/// So often a renewal is tried again that was made under a leader of the past.
const TERMS: usize = 4;
/// No lease yet.
const NONE: i64 = 0;

/// One node's part in an etcd.
#[derive(Debug)]
pub struct Engine {
    client: Client,
    me: String,
    /// What all keys begin with.
    base: String,
    ttl: Duration,
    /// The number of this node's lease.
    lease: AtomicI64,
    /// Since when a key is known to be gone that was not given back, by group, with who took it under which epoch.
    gone: Mutex<HashMap<String, (String, u64, Instant)>>,
}

/// The two keys of a group, as they were read.
struct Keys {
    holder: Entry,
    last: Entry,
}

/// What is to be done about a wish to take a group.
enum Verdict {
    /// It is this node's already, by this very request.
    Done,
    /// It may be written.
    Allowed,
    /// It may not.
    Denied(WitnessAnswer),
}

impl Engine {
    /// The part of node `me` in `cluster`.
    ///
    /// # Errors
    /// A sentence: an endpoint is none.
    pub fn new(settings: &Witness, cluster: &str, me: &str) -> Result<Engine, String> {
        Ok(Engine {
            client: Client::new(settings.clone())?,
            me: me.to_owned(),
            base: format!("{}/{cluster}", settings.prefix),
            ttl: settings.ttl,
            lease: AtomicI64::new(NONE),
            gone: Mutex::default(),
        })
    }

    /// The endpoint that was good last.
    pub fn endpoint(&self) -> &str {
        self.client.endpoint()
    }

    /// Asks, and answers by `deadline`.
    pub async fn answer(&self, ask: WitnessAsk, deadline: Instant) -> WitnessAnswer {
        let answer = match &ask {
            WitnessAsk::Renew { ttl } => {
                self.client
                    .with(deadline, async |client: &Client, session: &mut Session| {
                        self.renew(client, session, *ttl).await
                    })
                    .await
            }
            WitnessAsk::Take { group, epoch, life } => {
                let mine = Record { node: self.me.clone(), life: *life, epoch: *epoch, taken: *epoch };
                let lease = self.lease.load(Ordering::SeqCst);
                if lease == NONE {
                    return WitnessAnswer::LeaseGone;
                }
                let answer = self
                    .client
                    .with(deadline, async |client: &Client, session: &mut Session| {
                        self.take(client, session, group, &mine, lease).await
                    })
                    .await;
                // What is tied to a lease that another one has followed is gone, or soon will be.
                match answer {
                    Ok(WitnessAnswer::Taken) if self.lease.load(Ordering::SeqCst) != lease => {
                        Ok(WitnessAnswer::LeaseGone)
                    }
                    answer => answer,
                }
            }
            WitnessAsk::Release { group, epoch } => {
                self.client
                    .with(deadline, async |client: &Client, session: &mut Session| {
                        self.release(client, session, group, *epoch).await
                    })
                    .await
            }
        };
        match answer {
            Ok(answer) => answer,
            Err(Fault::NoLease) => WitnessAnswer::LeaseGone,
            Err(Fault::Unclear(why) | Fault::Broken(why)) => WitnessAnswer::Failed(why),
            Err(Fault::Refused(why)) => WitnessAnswer::Failed(format!("{}: {why}", self.endpoint())),
        }
    }

    async fn renew(
        &self,
        client: &Client,
        session: &mut Session,
        ttl: Duration,
    ) -> Result<WitnessAnswer, Fault> {
        let probe = format!("{}/epoch/", self.base);
        for _ in 0..TERMS {
            let id = self.lease.load(Ordering::SeqCst);
            if id == NONE {
                return self.grant(client, session, ttl).await;
            }
            let before = match session.seen.take() {
                Some(seen) => seen,
                None => client.read(session, &[&probe]).await?.1,
            };
            let (lives, at) = match client.keep_alive(session, id).await {
                Err(Fault::NoLease) => {
                    self.lease.store(NONE, Ordering::SeqCst);
                    continue;
                }
                answer => answer?,
            };
            let after = client.read(session, &[&probe]).await?.1;
            session.seen = Some(after.clone());
            if before == at && at == after {
                return Ok(WitnessAnswer::Renewed { ttl: lives, new: false });
            }
        }
        Err(Fault::Unclear("its leader changes all the time".to_owned()))
    }

    async fn grant(
        &self,
        client: &Client,
        session: &mut Session,
        ttl: Duration,
    ) -> Result<WitnessAnswer, Fault> {
        let random = getrandom::u64()
            .map_err(|error| Fault::Refused(format!("the kernel gives no random number: {error}")))?;
        // A positive number that is not 0.
        let id = i64::try_from(random >> 1).unwrap_or(i64::MAX).max(1);
        let ttl = client.grant(session, id, ttl).await?;
        self.lease.store(id, Ordering::SeqCst);
        Ok(WitnessAnswer::Renewed { ttl, new: true })
    }

    async fn take(
        &self,
        client: &Client,
        session: &mut Session,
        group: &str,
        mine: &Record,
        lease: i64,
    ) -> Result<WitnessAnswer, Fault> {
        let (holder, last) = self.names(group);
        for _ in 0..TURNS {
            let keys = self.look(client, session, &holder, &last).await?;
            match self.judge(client, session, group, mine, &keys, lease).await? {
                Verdict::Done => return Ok(WitnessAnswer::Taken),
                Verdict::Denied(answer) => return Ok(answer),
                Verdict::Allowed => {}
            }
            let unchanged = [(holder.as_str(), &keys.holder), (last.as_str(), &keys.last)];
            let changes = [Change::Put(&holder, mine.write(), lease), Change::Put(&last, mine.write(), NONE)];
            match client.change(session, &unchanged, &changes).await {
                Ok(true) => return Ok(WitnessAnswer::Taken),
                Ok(false) => {}
                Err(Fault::NoLease) => {
                    let _ = self.lease.compare_exchange(lease, NONE, Ordering::SeqCst, Ordering::SeqCst);
                    return Err(Fault::NoLease);
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Unclear(format!("the keys of {group} change all the time")))
    }

    async fn judge(
        &self,
        client: &Client,
        session: &mut Session,
        group: &str,
        mine: &Record,
        keys: &Keys,
        lease: i64,
    ) -> Result<Verdict, Fault> {
        let last = keys.last.exists().then(|| Record::read(&keys.last.value));
        if keys.holder.exists() {
            self.forget(group);
            let holder = Record::read(&keys.holder.value);
            let ours = holder.as_ref().is_some_and(|holder| holder.node == self.me);
            if !ours {
                let left = client.left(session, &keys.holder.lease).await;
                let holder =
                    holder.unwrap_or_else(|| Record { node: UNREADABLE.to_owned(), ..Record::default() });
                let answer = WitnessAnswer::Held { by: holder.node, epoch: holder.epoch, left };
                return Ok(Verdict::Denied(answer));
            }
            if holder.as_ref() == Some(mine)
                && last == Some(Some(mine.clone()))
                && keys.holder.lease == lease.to_string()
            {
                return Ok(Verdict::Done);
            }
        }
        match last {
            None => Ok(Verdict::Allowed),
            Some(None) => {
                let name = self.names(group).1;
                Err(Fault::Refused(format!(
                    "{name} is no last epoch of hbd: look at it with etcdctl get, and delete it"
                )))
            }
            Some(Some(last)) if last != *mine && last.epoch >= mine.epoch => {
                Ok(Verdict::Denied(WitnessAnswer::Outdated { epoch: last.epoch }))
            }
            Some(Some(last)) => self.has_run_out(client, session, group, keys, &last).await,
        }
    }

    /// Whether a key that is gone, and was not given back, is gone for long enough.
    async fn has_run_out(
        &self,
        client: &Client,
        session: &mut Session,
        group: &str,
        keys: &Keys,
        last: &Record,
    ) -> Result<Verdict, Fault> {
        let given_back = last.node.is_empty() || last.node == self.me;
        if keys.holder.exists() || given_back || client.members(session).await? == 1 {
            self.forget(group);
            return Ok(Verdict::Allowed);
        }
        let now = Instant::now();
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match gone.get(group) {
            Some((node, taken, since)) if *node == last.node && *taken == last.taken => *since,
            _ => now,
        };
        let until = since + self.ttl;
        if now >= until {
            gone.remove(group);
            return Ok(Verdict::Allowed);
        }
        gone.insert(group.to_owned(), (last.node.clone(), last.taken, since));
        let answer =
            WitnessAnswer::Held { by: last.node.clone(), epoch: last.epoch, left: Some(until - now) };
        Ok(Verdict::Denied(answer))
    }

    fn forget(&self, group: &str) {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
    }

    async fn release(
        &self,
        client: &Client,
        session: &mut Session,
        group: &str,
        epoch: u64,
    ) -> Result<WitnessAnswer, Fault> {
        let (holder, last) = self.names(group);
        for _ in 0..TURNS {
            let keys = self.look(client, session, &holder, &last).await?;
            let mut changes = Vec::new();
            if Record::read(&keys.holder.value).is_some_and(|record| record.node == self.me) {
                changes.push(Change::Delete(&holder));
            }
            if let Some(record) = self.after_release(&keys.last, epoch) {
                changes.push(Change::Put(&last, record.write(), NONE));
            }
            let unchanged = [(holder.as_str(), &keys.holder), (last.as_str(), &keys.last)];
            if changes.is_empty() || client.change(session, &unchanged, &changes).await? {
                return Ok(WitnessAnswer::Released);
            }
        }
        Err(Fault::Unclear(format!("the keys of {group} change all the time")))
    }

    /// What the last epoch must say for a release of `epoch`, unless it says so already.
    fn after_release(&self, last: &Entry, epoch: u64) -> Option<Record> {
        let nobody = Record { epoch, ..Record::default() };
        if !last.exists() {
            return Some(nobody);
        }
        // What nobody can read is not this node's to change: no taking succeeds over it.
        let last = Record::read(&last.value)?;
        if last.node == self.me && last.epoch <= epoch {
            Some(nobody)
        } else if last.epoch < epoch {
            // Who took it, and has not given it back, stays known.
            Some(Record { epoch, ..last })
        } else {
            None
        }
    }

    async fn look(
        &self,
        client: &Client,
        session: &mut Session,
        holder: &str,
        last: &str,
    ) -> Result<Keys, Fault> {
        let (mut entries, _) = client.read(session, &[holder, last]).await?;
        match (entries.pop(), entries.pop()) {
            (Some(last), Some(holder)) => Ok(Keys { holder, last }),
            _ => Err(Fault::Unclear("what it read is not clear".to_owned())),
        }
    }

    fn names(&self, group: &str) -> (String, String) {
        (format!("{}/group/{group}", self.base), format!("{}/epoch/{group}", self.base))
    }
}

/// What is wrong with the files that `settings` name, each with the sentence.
pub fn wrong_files(settings: &Witness) -> Vec<(PathBuf, String)> {
    let mut wrong = Vec::new();
    if let Some(file) = &settings.password_file
        && let Err(why) = password::read(file)
    {
        wrong.push((file.clone(), why));
    }
    let files = [settings.ca.as_ref(), settings.identity.as_ref().map(|(cert, _)| cert)];
    if let Some(file) = files.into_iter().flatten().next()
        && let Err(why) = wire::trust(settings)
    {
        wrong.push((file.clone(), why));
    }
    wrong
}

/// Who holds a key that hbd has not written.
const UNREADABLE: &str = "somebody else (not readable)";
