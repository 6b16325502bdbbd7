//! All the real servers: HTTP on every address of a machine, each of which can be told to answer badly.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::clock::monotonic_ns;
use crate::error::Context;

/// Answers given at the same time.
const THREADS: usize = 8;
/// One that connects and asks nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// What they are told and what they saw.
#[derive(Debug, Default)]
pub struct Servers {
    asked: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sick: BTreeSet<IpAddr>,
    /// When each first answered as it was told last; `None`: not yet.
    first: BTreeMap<IpAddr, Option<u64>>,
}

impl Servers {
    /// Serves from now on.
    ///
    /// # Errors
    /// The port cannot be had.
    pub fn serve(self: &Arc<Servers>, address: SocketAddr) -> Result<()> {
        let listener = TcpListener::bind(address).context(|| format!("cannot serve at {address}"))?;
        for _ in 0..THREADS {
            let listener = listener.try_clone().context(|| "no second listener".to_owned())?;
            let servers = Arc::clone(self);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    servers.answer(stream);
                }
            });
        }
        Ok(())
    }

    /// Reads the request to its end, so that closing does not reset what was said.
    fn answer(&self, mut stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let own = stream.local_addr().ok()?.ip();
        let (mut request, mut length) = ([0; 4096], 0);
        while !request[..length].ends_with(b"\r\n\r\n") {
            length += stream.read(&mut request[length..]).ok().filter(|more| *more > 0)?;
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let sick = {
            let mut state = self.state();
            if let Some(first) = state.first.get_mut(&own) {
                // Before it is said: the director cannot know sooner.
                first.get_or_insert_with(monotonic_ns);
            }
            state.sick.contains(&own)
        };
        let answer: &[u8] = if sick {
            b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nsick\n"
        } else {
            b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhappy\n"
        };
        stream.write_all(answer).ok()
    }

    /// Tells some of them to answer badly, or well again.
    pub fn tell(&self, whom: &[IpAddr], sick: bool) {
        let mut state = self.state();
        state.first = whom.iter().map(|address| (*address, None)).collect();
        for address in whom {
            if sick {
                state.sick.insert(*address)
            } else {
                state.sick.remove(address)
            };
        }
    }

    /// When this one first answered as it was told, in nanoseconds.
    pub fn first(&self, who: IpAddr) -> Option<u64> {
        self.state().first.get(&who).copied().flatten()
    }

    /// How often all of them together were asked.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_it_is_told_and_notes_when() {
        let servers = Arc::new(Servers::default());
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        servers.serve(free).unwrap();
        let ask = || {
            let mut stream = TcpStream::connect(free).unwrap();
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        assert!(ask().contains("200 OK") && servers.first(free.ip()).is_none());
        servers.tell(&[free.ip()], true);
        let before = monotonic_ns();
        assert!(ask().contains("503"));
        let first = servers.first(free.ip()).unwrap();
        assert!(ask().contains("sick") && first >= before && servers.first(free.ip()) == Some(first));
        servers.tell(&[free.ip()], false);
        assert!(servers.first(free.ip()).is_none() && ask().contains("happy"));
        assert_eq!(servers.asked(), 4);
    }
}
