//! The asking side: one thread that sends on a fixed beat, one that receives, nothing allocated meanwhile.
//!
//! Every probe has its slot on the beat (`start + sequence × interval`). A sender that was not given the
//! processor in time leaves its missed slots out (`unsent` in the summary) instead of sending a burst, so that a
//! busy machine is not mistaken for a dead service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_nanosleep};

use super::wire;
use crate::error::Context;
use crate::{LabError, Result, clock};

/// What to ask, how often, for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The addresses asked in turn; most runs have one.
    pub targets: Vec<SocketAddr>,
    /// Time between two probes (to any target).
    pub interval: Duration,
    /// The longest the run may take; memory for it is taken at the start.
    pub duration: Duration,
    /// A reply later than this counts as lost (it sat in a neighbour queue: nobody was served).
    pub late: Duration,
}

/// No plan may have more probes than this (about 34 bytes each).
pub const PROBES_MAX: u64 = 20_000_000;

/// Everything one run measured; index = sequence. 0 = did not happen.
#[derive(Debug)]
pub struct Samples {
    /// When each probe was sent.
    pub sent_ns: Vec<AtomicU64>,
    /// When its first reply came.
    pub received_ns: Vec<AtomicU64>,
    /// Who answered: index into [`Samples::names`] plus 1.
    pub who: Vec<AtomicU8>,
    /// What the kernel said when it was sent; see [`Trouble`].
    pub trouble: Vec<AtomicU8>,
    /// Replies that came a second time.
    pub duplicates: AtomicU64,
    /// Slots left out because the sender was late.
    pub unsent: AtomicU64,
    /// Names of all who answered.
    pub names: std::sync::Mutex<Vec<String>>,
}

/// What the kernel told the client when it tried to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Trouble {
    /// Nothing.
    None = 0,
    /// Port unreachable: the machine is there, the service is not.
    Refused = 1,
    /// Host unreachable: nobody answers ARP or neighbour discovery.
    Unreachable = 2,
    /// Anything else.
    Other = 3,
}

/// Runs `plan` until its time is over or `stop` is set; calls `begun` with the time of the first slot.
///
/// # Errors
/// A bad plan, or the socket cannot be made.
pub fn run(plan: &Plan, stop: &Arc<AtomicBool>, begun: impl FnOnce(u64)) -> Result<Arc<Samples>> {
    let count = check(plan)?;
    let samples = Arc::new(Samples::new(count));
    let socket = open(plan)?;
    let cookie = clock::monotonic_ns() ^ (u64::from(std::process::id()) << 40);
    let done = Arc::new(AtomicBool::new(false));
    let receiver = {
        let socket = socket.try_clone().context(|| "cannot share the probe's socket".to_owned())?;
        let (samples, done) = (Arc::clone(&samples), Arc::clone(&done));
        thread::spawn(move || receive(&socket, cookie, &samples, &done))
    };
    // Timers are rounded by 50 µs for ordinary threads; the beat should be truer.
    let _ = nix::sys::prctl::set_timerslack(1);
    let start = clock::monotonic_ns() + 1_000_000;
    begun(start);
    send(plan, &socket, cookie, start, count, &samples, stop);
    // The last probes have as long as the others to be answered.
    thread::sleep(plan.late + Duration::from_millis(20));
    done.store(true, Ordering::Relaxed);
    receiver.join().map_err(|_| LabError::new("the probe's receiver panicked"))?;
    Ok(samples)
}

fn check(plan: &Plan) -> Result<u64> {
    if plan.targets.is_empty() {
        return Err(LabError::new("the probe needs an address to ask"));
    }
    let first_is_v4 = plan.targets[0].is_ipv4();
    if plan.targets.iter().any(|t| t.is_ipv4() != first_is_v4) {
        return Err(LabError::new("one probe asks IPv4 or IPv6 addresses, not both"));
    }
    if plan.interval < Duration::from_micros(5) {
        return Err(LabError::new("the probe's interval is at least 5us"));
    }
    let count = (plan.duration.as_nanos() / plan.interval.as_nanos()) as u64 + 1;
    if count > PROBES_MAX {
        return Err(LabError(format!(
            "{count} probes are too many (at most {PROBES_MAX}): ask less often or shorter"
        )));
    }
    Ok(count)
}

/// With one target the socket is connected, so the kernel's errors (refused, unreachable) come back to it.
fn open(plan: &Plan) -> Result<UdpSocket> {
    let any: IpAddr = match plan.targets[0] {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).context(|| "cannot open the probe's socket".to_owned())?;
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBuf, &(4 << 20))
        .context(|| "cannot enlarge the probe's buffer".to_owned())?;
    if let [target] = plan.targets[..] {
        socket.connect(target).context(|| format!("cannot ask {target}"))?;
    }
    let timeout = Some(Duration::from_millis(20));
    socket.set_read_timeout(timeout).context(|| "cannot bound the probe's wait".to_owned())?;
    Ok(socket)
}

fn send(
    plan: &Plan,
    socket: &UdpSocket,
    cookie: u64,
    start: u64,
    count: u64,
    samples: &Samples,
    stop: &AtomicBool,
) {
    let interval = plan.interval.as_nanos() as u64;
    for sequence in 0..count {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let slot = start + sequence * interval;
        let now = clock::monotonic_ns();
        if now < slot {
            sleep_until(slot);
        } else if now > slot + 2 * interval + 1_000_000 {
            samples.unsent.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let target = plan.targets[(sequence % plan.targets.len() as u64) as usize];
        let datagram = wire::request(cookie, sequence);
        let index = sequence as usize;
        samples.sent_ns[index].store(clock::monotonic_ns(), Ordering::Relaxed);
        let one = plan.targets.len() == 1;
        let attempt = || {
            if one { socket.send(&datagram) } else { socket.send_to(&datagram, target) }
        };
        if let Err(first) = attempt() {
            samples.trouble[index].store(Trouble::of(&first) as u8, Ordering::Relaxed);
            // A connected socket reports the fate of an earlier probe here and does not send this one.
            let _ = attempt();
        }
    }
}

fn sleep_until(at_ns: u64) {
    let at = TimeSpec::new((at_ns / 1_000_000_000) as i64, (at_ns % 1_000_000_000) as i64);
    // Woken early by a signal: the probe goes out a little before its slot, which its time stamp says.
    let _ = clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &at);
}

fn receive(socket: &UdpSocket, cookie: u64, samples: &Samples, done: &AtomicBool) {
    let mut buffer = [0; 128];
    let mut names: Vec<String> = Vec::with_capacity(16);
    while !done.load(Ordering::Relaxed) {
        // Time-outs only look at `done`; the errors of a connected socket were noted by the sender, or are its own.
        let Ok(length) = socket.recv(&mut buffer) else {
            continue;
        };
        let now = clock::monotonic_ns();
        let Some((sequence, name)) = wire::parse_reply(&buffer[..length], cookie) else {
            continue;
        };
        let Some(received) = samples.received_ns.get(sequence as usize) else {
            continue;
        };
        if received.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            samples.duplicates.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let known = names.iter().position(|n| n == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            if let Ok(mut shared) = samples.names.lock() {
                shared.clone_from(&names);
            }
            names.len() - 1
        });
        samples.who[sequence as usize].store((known + 1).min(255) as u8, Ordering::Relaxed);
    }
}

impl Trouble {
    fn of(error: &std::io::Error) -> Trouble {
        use nix::libc::{ECONNREFUSED, EHOSTUNREACH, ENETUNREACH};
        match error.raw_os_error() {
            Some(ECONNREFUSED) => Trouble::Refused,
            Some(EHOSTUNREACH | ENETUNREACH) => Trouble::Unreachable,
            _ => Trouble::Other,
        }
    }
}

impl Samples {
    fn new(count: u64) -> Samples {
        Samples {
            sent_ns: (0..count).map(|_| AtomicU64::new(0)).collect(),
            received_ns: (0..count).map(|_| AtomicU64::new(0)).collect(),
            who: (0..count).map(|_| AtomicU8::new(0)).collect(),
            trouble: (0..count).map(|_| AtomicU8::new(0)).collect(),
            duplicates: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            names: std::sync::Mutex::default(),
        }
    }
}
