//! The pair on real networks: what breaks, what operators do, and what must come out; one subject per file.
//!
//! Each scenario has its own world (machines, cables, clients), so they run side by side. After each step the audit
//! looks from outside: who has the address, does the client's neighbour table agree, is exactly one the owner.
//! A failure prints the scenario's timeline and the logs of its machines. Needs root; see `lab::available`.

mod agents;
mod beside;
mod boot;
mod care;
mod clock;
mod config;
mod console;
mod crash;
mod cuts;
mod duplicates;
mod events;
mod fence_wishes;
mod fencing;
mod flags;
mod forgery;
mod freeze;
mod ground;
mod handover;
mod interfaces;
mod ipv6;
mod kernel;
mod keys;
mod leave;
mod links;
mod lone;
mod many;
mod media;
mod operator;
mod pings;
mod power;
mod refused;
mod reload;
mod replay;
mod second;
mod splits;
mod standards;
mod strangers;
mod torn;
mod witness;

use std::time::Duration;

/// Long enough for a false failover to happen at the lab's deadtime of one second.
const WHILE: Duration = Duration::from_millis(2500);
