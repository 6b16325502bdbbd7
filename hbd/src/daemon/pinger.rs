//! The ping points: asked on the work thread, each address by a socket of its own; only what changes is told.
//!
//! A point is up while any of its addresses answers, and down when none has for a deadtime. A thread that was kept
//! waiting reads what has come before it judges, so its own lateness takes no point down.

use std::net::IpAddr;
use std::time::Duration;

use sys::ping::Echo;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::report::{Report, Reports};
use crate::config::{Config, Ping};

/// An address that cannot be asked is tried again this often.
const REOPEN: Duration = Duration::from_secs(2);
/// The shortest time between two questions.
const FASTEST: Duration = Duration::from_millis(50);

/// What is asked, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pings {
    points: Vec<Ping>,
    every: Duration,
    patience: Duration,
}

impl Pings {
    /// Out of the configuration: as often as heartbeats, at least four times in a deadtime.
    pub fn of(config: &Config) -> Pings {
        let cluster = &config.cluster;
        Pings {
            points: config.pings.clone(),
            every: cluster.keepalive.min(cluster.deadtime / 4).max(FASTEST),
            patience: cluster.deadtime,
        }
    }
}

/// Asks for as long as the set lives. Without points, says so once.
pub fn start(pings: &Pings, reports: &Reports) -> JoinSet<()> {
    let mut set = JoinSet::new();
    set.spawn(watch(pings.clone(), reports.clone()));
    set
}

async fn watch(pings: Pings, reports: Reports) {
    if pings.points.is_empty() {
        let _ = reports.send(Report::Pings(Vec::new())).await;
        return;
    }
    let mut points: Vec<Point> = pings.points.iter().map(Point::new).collect();
    let mut ticks = interval(pings.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut said, mut sequence) = (None, 0_u16);
    loop {
        ticks.tick().await;
        sequence = sequence.wrapping_add(1);
        for point in &mut points {
            let trouble = point.turn(sequence, pings.patience);
            if let Some(why) = trouble {
                let name = point.name.clone();
                if reports.send(Report::PingTrouble { name, why }).await.is_err() {
                    return;
                }
            }
        }
        // Who was away for long holds answers that are old: peers must not go by them for long.
        if points.iter().any(|point| point.in_doubt(pings.patience)) {
            ticks.reset_after(FASTEST);
        }
        // Before all are known nothing is said: half a picture would look like a loss.
        let now: Option<Vec<(String, bool)>> =
            points.iter().map(|point| Some((point.name.clone(), point.up?))).collect();
        if now.is_some() && now != said {
            said = now.clone();
            if reports.send(Report::Pings(now.unwrap_or_default())).await.is_err() {
                return;
            }
        }
    }
}

struct Point {
    name: String,
    addresses: Vec<Address>,
    /// `None` while it is not known.
    up: Option<bool>,
    answered: Instant,
    /// Turns in which it was asked since it last answered.
    asked: u32,
    trouble: Option<String>,
}

struct Address {
    ip: IpAddr,
    socket: Option<Echo>,
    /// When it may be opened again.
    reopen: Instant,
    trouble: Option<String>,
}

impl Point {
    fn new(ping: &Ping) -> Point {
        let now = Instant::now();
        let address = |ip: &IpAddr| Address { ip: *ip, socket: None, reopen: now, trouble: None };
        Point {
            name: ping.name.clone(),
            addresses: ping.addresses.iter().map(address).collect(),
            up: None,
            answered: now,
            asked: 0,
            trouble: None,
        }
    }

    /// It was last heard too long ago to be up, but was not asked often enough since to be down: this process was away.
    fn in_doubt(&self, patience: Duration) -> bool {
        self.up == Some(true) && self.answered.elapsed() >= patience
    }

    /// Reads what has come, judges, and asks again. Gives what is newly wrong with asking, or that it no longer is.
    fn turn(&mut self, sequence: u16, patience: Duration) -> Option<Option<String>> {
        let heard = self.addresses.iter().filter(|address| address.answered()).count();
        if heard > 0 {
            (self.answered, self.asked, self.up) = (Instant::now(), 0, Some(true));
        } else if self.answered.elapsed() >= patience && self.asked > 2 {
            self.up = Some(false);
        }
        self.asked = self.asked.saturating_add(1);
        for address in &mut self.addresses {
            address.ask(sequence);
        }
        let all = self.addresses.iter().all(|address| address.trouble.is_some());
        let trouble = self.addresses.first().and_then(|address| address.trouble.clone()).filter(|_| all);
        let news = trouble != self.trouble;
        self.trouble.clone_from(&trouble);
        news.then_some(trouble)
    }
}

impl Address {
    fn answered(&self) -> bool {
        // An error says that nobody is there, which silence says too.
        self.socket.as_ref().is_some_and(|socket| socket.answered().unwrap_or(false))
    }

    fn ask(&mut self, sequence: u16) {
        if self.socket.is_none() && Instant::now() >= self.reopen {
            self.reopen = Instant::now() + REOPEN;
            let opened =
                getrandom::u64().map_err(std::io::Error::other).and_then(|nonce| Echo::new(self.ip, nonce));
            match opened {
                Ok(socket) => (self.socket, self.trouble) = (Some(socket), None),
                // No way there may be a cut cable: that is what silence is for. What the operator must mend is said.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    self.trouble = Some(format!("{}: {error}", self.ip));
                }
                Err(_) => {}
            }
        }
        if let Some(socket) = &self.socket
            && let Err(error) = socket.ask(sequence)
            && error.kind() != std::io::ErrorKind::WouldBlock
        {
            // The route or the interface is gone; a new socket finds the next.
            self.socket = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn pings(points: &[(&str, &[&str])]) -> Pings {
        let point = |(name, addresses): &(&str, &[&str])| Ping {
            name: (*name).to_owned(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        };
        let (every, patience) = (Duration::from_millis(20), Duration::from_millis(300));
        Pings { points: points.iter().map(point).collect(), every, patience }
    }

    #[test]
    fn after_a_pause_a_silent_point_is_asked_quickly_until_it_is_down() {
        let patience = Duration::from_secs(10);
        let mut point = Point::new(&Ping { name: "router".to_owned(), addresses: Vec::new() });
        point.up = Some(true);
        assert!(!point.in_doubt(patience));
        point.answered = Instant::now().checked_sub(patience).unwrap();
        for turn in 0..3 {
            assert!(point.in_doubt(patience), "turn {turn}");
            point.turn(turn, patience);
        }
        point.turn(3, patience);
        assert_eq!((point.up, point.in_doubt(patience)), (Some(false), false));
    }

    #[tokio::test]
    async fn a_point_is_up_while_any_of_its_addresses_answers() {
        if Echo::new("127.0.0.1".parse().unwrap(), 1).is_err() {
            return; // not root: the lab has the same with whole machines
        }
        let (reports, mut heard) = mpsc::channel(8);
        // 240/4 is nobody's (RFC 1112 section 4).
        let pings =
            pings(&[("both", &["240.0.0.1", "127.0.0.1"]), ("nobody", &["240.0.0.2"]), ("six", &["::1"])]);
        let _asking = start(&pings, &reports);
        let first = tokio::time::timeout(Duration::from_secs(20), heard.recv()).await.unwrap().unwrap();
        let Report::Pings(points) = first else { panic!("{first:?}") };
        assert_eq!(points, [("both".into(), true), ("nobody".into(), false), ("six".into(), true)]);
    }

    #[tokio::test]
    async fn without_points_that_is_said_once() {
        let (reports, mut heard) = mpsc::channel(8);
        let mut asking = start(&Pings::default(), &reports);
        assert!(matches!(heard.recv().await, Some(Report::Pings(points)) if points.is_empty()));
        asking.join_next().await;
    }
}
