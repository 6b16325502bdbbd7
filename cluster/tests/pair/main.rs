//! The pair on a virtual clock: no thread, no socket, no waiting.

mod agents;
mod boot;
mod care;
mod diff;
mod fence_wishes;
mod fencing;
mod forgery;
mod ground;
mod handover;
mod hopeless;
mod leases;
mod links;
mod operators;
mod order;
mod pauses;
mod pings;
mod reload;
mod replay;
mod restarts;
mod silence;
mod witness;
mod world;

use cluster::*;

fn ms(ms: u64) -> std::time::Duration {
    std::time::Duration::from_millis(ms)
}

#[track_caller]
fn done(reply: Reply) -> String {
    match reply {
        Reply::Done(text) => text,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(reply: Reply) -> String {
    match reply {
        Reply::Refused(text) => text,
        other => panic!("{other:?}"),
    }
}
