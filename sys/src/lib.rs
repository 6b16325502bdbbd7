//! What the kernel does for hbd, and the only crate with `unsafe`.
//!
//! | module | what |
//! |---|---|
//! | [`clock`] | the one clock of the daemon |
//! | [`rt`] | real-time scheduling, locked memory, a small heap |
//! | [`ipvs`] | the load balancer: services, real servers, connection sync |
//! | [`netlink`] | interfaces, addresses in bursts, routes, the monitor |
//! | [`announce`] | gratuitous ARP and unsolicited neighbour advertisements |
//! | [`claims`] | who else says that it has an address |
//! | [`serial`] | serial lines, opened, locked and never waited for |
//! | [`udp`] | heartbeat sockets tied to their interface |
//! | [`ping`] | ICMP and ICMPv6 echo |
//! | [`process`] | signals to whole process groups |
//! | [`watchdog`] | the clock that resets a frozen machine |
//! | [`watch`] | waiting for descriptors, an exact alarm clock |
//!
//! Nothing here decides anything, and nothing here waits without a bound. Calls block unless they are `async`; keep
//! them off the heartbeat loop.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod announce;
pub mod claims;
pub mod clock;
pub mod ipvs;
pub mod netlink;
mod option;
pub mod ping;
pub mod process;
pub mod rt;
pub mod serial;
pub mod udp;
pub mod watch;
pub mod watchdog;
