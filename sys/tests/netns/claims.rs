//! Who else has an address: a real neighbour answers, and what it says by itself is heard.

use std::io::ErrorKind;
use std::net::IpAddr;

use sys::announce::Announcer;
use sys::claims::{Claim, Listener};

use crate::space::{Space, pair, wait_for};

const MAC: [u8; 6] = [2, 0, 0x5e, 0x10, 0, 7];
const OTHER: [u8; 6] = [2, 0, 0x5e, 0x10, 0, 9];

fn ip(text: &str) -> IpAddr {
    text.parse().expect("ip")
}

fn open(space: &Space, v6: bool) -> Listener {
    let index = space.index("v0");
    space.enter(|| Listener::open(index, v6)).expect("open")
}

/// Two machines: `here` has hardware address [`MAC`], `there` [`OTHER`].
fn machines() -> Option<(Space, Space)> {
    let (here, there) = pair()?;
    here.ip("link set v0 address 02:00:5e:10:00:07");
    there.ip("link set v0 address 02:00:5e:10:00:09");
    there.ip("addr add 10.77.0.2/16 dev v0");
    there.ip("addr add fd77::2/64 dev v0 nodad");
    Some((here, there))
}

#[test]
fn who_has_an_address_answers_a_probe_and_keeps_its_neighbours() {
    let Some((here, there)) = machines() else { return };
    there.ip("addr add 10.77.1.1/16 dev v0");
    there.ip("addr add fd77::1:1/64 dev v0 nodad");
    there.ip("neigh replace 10.77.1.9 lladdr 02:00:5e:99:99:99 dev v0 nud permanent");
    let index = here.index("v0");
    let announcer = here.enter(|| Announcer::open(index, MAC)).expect("open");
    for (address, v6) in [("10.77.1.1", false), ("fd77::1:1", true)] {
        let (listener, address) = (open(&here, v6), ip(address));
        listener.narrow(&[address]).expect("filter");
        let claim = wait_for("the answer", || {
            announcer.probe(&[address]).expect("probe");
            listener.next().ok()
        });
        assert_eq!(claim, Claim { ip: address, mac: OTHER });
    }
    // Nobody has these.
    let nobody = [ip("10.77.1.9"), ip("fd77::1:9")];
    announcer.probe(&nobody).expect("probe");
    assert!(there.ip("neigh show 10.77.1.9 dev v0").contains("02:00:5e:99:99:99"));
}

#[test]
fn what_is_announced_by_somebody_else_is_heard_and_all_else_is_not() {
    let Some((here, there)) = machines() else { return };
    let mine = [ip("10.77.1.1"), ip("10.77.1.2")];
    let listener = open(&here, false);
    let index = there.index("v0");
    let stranger = there.enter(|| Announcer::open(index, OTHER)).expect("open");
    // Before it was told what to listen for, and of others: nothing.
    stranger.announce(&mine).expect("announce");
    listener.narrow(&mine).expect("filter");
    stranger.announce(&[ip("10.77.2.1"), ip("10.77.0.2")]).expect("announce");
    stranger.announce(&mine[1..]).expect("announce");
    let claim = wait_for("the announcement", || listener.next().ok());
    assert_eq!(claim, Claim { ip: mine[1], mac: OTHER });
    let listener = open(&here, true);
    wait_for("the advertisement", || {
        stranger.announce(&[ip("fd77::1:1")]).expect("announce");
        listener.next().ok().filter(|claim| *claim == Claim { ip: ip("fd77::1:1"), mac: OTHER })
    });
    // What this machine says itself is not heard.
    while listener.next().is_ok() {}
    let index = here.index("v0");
    let own = here.enter(|| Announcer::open(index, MAC)).expect("open");
    own.announce(&[ip("fd77::1:1")]).expect("announce");
    assert_eq!(listener.next().expect_err("nothing").kind(), ErrorKind::WouldBlock);
    here.enter(|| Listener::open(9999, false)).expect_err("no such interface");
}
