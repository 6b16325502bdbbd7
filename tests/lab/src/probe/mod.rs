//! A client's view of a failover: one small datagram each millisecond to an address, and what came back.
//!
//! [`echo`] answers on the nodes and says who it is; [`run`] asks from the client; [`report`] turns the
//! answers into gaps. Times are `CLOCK_MONOTONIC` nanoseconds throughout, comparable with
//! [`crate::net::World::power_off`]'s.

pub mod echo;
pub mod handle;
pub mod report;
pub mod run;
pub mod wire;

pub use handle::ProbeHandle;
pub use report::{Gap, Summary};
