//! Every deadline the core waits for: one table, each with its sentence.

use std::fmt;

/// What the core may be waiting for. Deadlines are derived from the state each time they are
/// asked for ([`crate::Core::deadline`]), so none can be forgotten or left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The next heartbeat is due.
    Keepalive,
    /// A peer's silence reaches deadtime.
    PeerDead,
    /// A link's silence reaches deadtime.
    LinkDown,
    /// The wait for peers never heard is over.
    InitDead,
    /// The address leases must be renewed.
    LeaseRenew,
    /// The doubt after a late wake is over without news.
    DoubtEnds,
    /// The wait for a joining peer that may want or have a group is over.
    JoinWait,
    /// The preferred node has been up for long enough.
    Failback,
    /// The disk has been waited for long enough.
    DiskWait,
    /// The next word of farewell is due.
    Farewell,
    /// The heir of a leaving node has been waited for long enough.
    LeaveBound,
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Timer::Keepalive => "the next heartbeat",
            Timer::PeerDead => "a silent peer to be declared dead",
            Timer::LinkDown => "a silent link to be declared down",
            Timer::InitDead => "the end of initdead",
            Timer::LeaseRenew => "the next renewal of the address leases",
            Timer::DoubtEnds => "the end of the doubt after a late wake",
            Timer::JoinWait => "a joining peer to say what it has",
            Timer::Failback => "the preferred node to be up long enough",
            Timer::DiskWait => "the disk to keep the epoch",
            Timer::Farewell => "the next word of farewell",
            Timer::LeaveBound => "the heir to take what was given",
        })
    }
}
