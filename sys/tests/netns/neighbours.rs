//! Announcements, seen by a neighbour that believes something else.

use std::io::ErrorKind;
use std::net::IpAddr;

use sys::announce::{Announcer, frames_for};

use crate::space::{Space, pair, wait_for};

const MAC: [u8; 6] = [2, 0, 0x5e, 0x10, 0, 7];
const STALE: &str = "02:00:5e:99:99:99";

fn announcer(space: &Space) -> Announcer {
    let index = space.index("v0");
    space.enter(|| Announcer::open(index, MAC)).expect("open")
}

#[test]
fn a_stale_entry_is_replaced() {
    let Some((here, there)) = pair() else { return };
    here.ip("link set v0 address 02:00:5e:10:00:07");
    there.ip("addr add 10.77.0.2/16 dev v0");
    there.ip("addr add fd77::2/64 dev v0");
    let announcer = announcer(&here);
    for (ip, frames) in [("10.77.1.1", 2), ("fd77::1", 1)] {
        there.ip(&format!("neigh replace {ip} lladdr {STALE} dev v0 nud stale"));
        assert!(there.ip("neigh show dev v0").contains(STALE));
        let address: IpAddr = ip.parse().expect("ip");
        // The address itself is on no interface: the announcement does not need it.
        wait_for("the new entry", || {
            assert_eq!(announcer.announce(&[address]).expect("announce"), frames);
            let entry = there.ip(&format!("neigh show {ip} dev v0"));
            entry.contains("02:00:5e:10:00:07").then_some(())
        });
    }
}

#[test]
fn a_thousand_addresses_are_announced_in_one_call() {
    let Some((here, there)) = pair() else { return };
    let received = || {
        let file = "/sys/class/net/v0/statistics/rx_packets";
        let words = there.ip("-s -s link show dev v0");
        let after = words.split("RX:").nth(1).expect(file).lines().nth(1).expect(file).to_owned();
        after.split_whitespace().nth(1).and_then(|count| count.parse::<usize>().ok()).expect(file)
    };
    let addresses: Vec<IpAddr> =
        (0..1000u32).map(|number| IpAddr::V4((0x0a4d_0000 + number).into())).collect();
    let before = received();
    assert_eq!(announcer(&here).announce(&addresses).expect("announce"), frames_for(&addresses));
    wait_for("the frames", || (received() >= before + 2000).then_some(()));
}

#[test]
fn a_full_queue_is_waited_for_and_then_counted() {
    let Some((here, _there)) = pair() else { return };
    if !here.shape("v0", "tbf rate 8kbit burst 200 limit 400") {
        eprintln!(
            "\n*** SKIPPED: no token bucket filter (tc, CONFIG_NET_SCH_TBF) to fill a queue with ***\n"
        );
        return;
    }
    let addresses: Vec<IpAddr> =
        (0..1000u32).map(|number| IpAddr::V4((0x0a4d_0000 + number).into())).collect();
    let sent = announcer(&here).announce(&addresses).expect("a full queue is no error");
    assert!(sent > 0 && sent < frames_for(&addresses), "{sent} frames at 8 kbit/s");
}

#[test]
fn interfaces_that_are_down_or_gone_are_errors() {
    let Some((here, _there)) = pair() else { return };
    let announcer = announcer(&here);
    let address = ["10.77.1.1".parse().expect("ip")];
    here.ip("link set v0 down");
    let down = announcer.announce(&address).expect_err("down");
    assert_eq!(down.kind(), ErrorKind::NetworkDown, "{down}");
    here.ip("link set v0 up");
    wait_for("the interface to work again", || announcer.announce(&address).ok());
    here.ip("link del v0");
    announcer.announce(&address).expect_err("gone");
    here.enter(|| Announcer::open(9999, MAC)).expect_err("no such interface");
}
