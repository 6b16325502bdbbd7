//! Listens, on the work thread, for those who say that they have an address of ours, and has the net thread look into it.
//!
//! However many frames somebody sends, the net thread is told a few times a second at most: what comes in between waits in the
//! socket, and what has no place there is lost.

use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use sys::claims::{Claim, Listener};
use sys::watch::Watched;
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::{Job, Net};

/// Claims taken at a time.
const MOST: usize = 64;
/// After some were told.
const PAUSE: Duration = Duration::from_millis(50);
/// An interface that is off is looked at again after this.
const OFF: Duration = Duration::from_secs(1);

/// An interface and a family: IPv6, or else IPv4.
pub(super) type Ear = (u32, bool);

/// What is to be listened to.
#[derive(Debug)]
pub enum Hear {
    /// This one too.
    Begin(Ear, Arc<Listener>),
    /// No longer this one.
    End(Ear),
}

/// Listens for as long as the daemon lives.
pub async fn hear(mut orders: Receiver<Hear>, net: Net) {
    let mut ears: HashMap<Ear, (JoinHandle<()>, Arc<Listener>)> = HashMap::new();
    while let Some(order) = orders.recv().await {
        let old = match order {
            Hear::Begin(ear, listener) => {
                let task = tokio::spawn(listen(ear.0, Arc::clone(&listener), net.clone()));
                ears.insert(ear, (task, listener))
            }
            Hear::End(ear) => ears.remove(&ear),
        };
        if let Some((task, listener)) = old {
            task.abort();
            let _ = task.await;
            // The kernel closes such a socket when every processor has looked away from it, which may take a while.
            spawn_blocking(move || drop(listener));
        }
    }
}

async fn listen(ifindex: u32, listener: Arc<Listener>, net: Net) {
    let Ok(ear) = Watched::new(listener) else { return };
    loop {
        poll_fn(|context| ear.poll_readable(context)).await;
        let mut claims: BTreeSet<Claim> = BTreeSet::new();
        let end = (0..MOST).find_map(|_| match ear.try_read(|listener| listener.next()) {
            Ok(claim) => {
                claims.insert(claim);
                None
            }
            Err(error) => Some(error.kind()),
        });
        let some = !claims.is_empty();
        // A net thread that has too much to do hears of the next ones.
        if some && net.ask(Job::Claimed { ifindex, claims }).is_err() {
            tracing::warn!("somebody says that it has our addresses, and the net thread has too much to do");
        }
        match end {
            None | Some(ErrorKind::WouldBlock) if some => sleep(PAUSE).await,
            None | Some(ErrorKind::WouldBlock) => {}
            Some(ErrorKind::NetworkDown) => sleep(OFF).await,
            // The interface is gone; another one has another number.
            Some(_) => return,
        }
    }
}
