//! Listens to the kernel's news of interfaces and addresses, and has the net thread look at what has changed.
//!
//! News comes in bursts (a bridge, a container, a thousand addresses that go), so a moment is waited for more, and looks
//! keep a distance. hbd's own renewals are no news: the kernel does not even wake us for them.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use sys::netlink::{Change, Link, Monitor};
use tokio::time::{sleep, timeout};

use super::net::place::MARK;
use super::net::{Job, Net};

/// From the first news to the look.
const TOGETHER: Duration = Duration::from_millis(50);
/// From one look to the next.
const DISTANCE: Duration = Duration::from_millis(200);
/// Before listening again after the kernel refused.
const RETRY: Duration = Duration::from_secs(10);
/// News of addresses beyond this are all worth a look: nothing is remembered without a bound.
const REMEMBERED: usize = 4096;

/// Listens for as long as the daemon lives.
pub async fn watch(net: Net) {
    let mut said = false;
    loop {
        match Monitor::open_passing_over(MARK) {
            Ok(monitor) => {
                said = false;
                let ended = listen(monitor, &net).await;
                tracing::warn!("the kernel no longer tells of interfaces and addresses: {ended}");
            }
            Err(error) if !said => {
                said = true;
                tracing::warn!(
                    "what becomes of interfaces and addresses is not heard of, only found out: {error}"
                );
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}

async fn listen(mut monitor: Monitor, net: &Net) -> sys::netlink::Error {
    let mut known = Known::default();
    // Listening already, so nothing falls in between.
    look(net, &mut known);
    loop {
        match monitor.next().await {
            Ok(change) if known.is_news(&change) => {}
            Ok(_) => continue,
            Err(error) => return error,
        }
        let mut more = async || {
            loop {
                match monitor.next().await {
                    Ok(change) => drop(known.is_news(&change)),
                    Err(error) => return error,
                }
            }
        };
        if let Ok(error) = timeout(TOGETHER, more()).await {
            return error;
        }
        look(net, &mut known);
        sleep(DISTANCE).await;
    }
}

fn look(net: &Net, known: &mut Known) {
    let gone = std::mem::take(&mut known.gone);
    if net.ask(Job::Gone(gone)).and_then(|()| net.ask(Job::Changed)).is_err() {
        tracing::error!("a change of interfaces was not looked at: the net thread has too much to do");
    }
}

/// What was told last, to tell news from repetitions: the kernel tells of much that changes nothing here.
#[derive(Debug, Default)]
struct Known {
    links: HashMap<u32, Link>,
    addresses: HashSet<(u32, IpAddr, u32)>,
    /// What was removed since the last look: a renewal may have set it again before that.
    gone: HashSet<(u32, IpAddr)>,
}

impl Known {
    fn is_news(&mut self, change: &Change) -> bool {
        match change {
            Change::Link { link, gone: true } => {
                self.links.remove(&link.index);
                true
            }
            Change::Link { link, .. } => self.links.insert(link.index, link.clone()).as_ref() != Some(link),
            // Lifetimes that a router renews again and again are news only once.
            Change::AddressAdded(new) if new.valid.is_none() => true,
            Change::AddressAdded(new) => {
                if self.addresses.len() > REMEMBERED {
                    self.addresses.clear();
                }
                self.addresses.insert((new.ifindex, new.ip, new.flags))
            }
            Change::AddressRemoved(old) => {
                if self.gone.len() < REMEMBERED {
                    self.gone.insert((old.ifindex, old.ip));
                }
                self.addresses.retain(|&(index, ip, _)| (index, ip) != (old.ifindex, old.ip));
                true
            }
            Change::Overrun => true,
        }
    }
}
