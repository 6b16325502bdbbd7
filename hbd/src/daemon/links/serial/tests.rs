//! Serial links over a null modem of pseudo terminals, at the pace of a real one and with its faults.

#[path = "modem.rs"]
mod modem;

use std::collections::VecDeque;

use cluster::Input;
use proto::serial::longest_frame;

use super::super::{Change, Links};
use super::*;
use crate::config::{Link, LinkKind};
use crate::daemon::when::now;
use modem::{From, NullModem};

const KEEPALIVE: Duration = Duration::from_millis(200);
/// Far longer than anything here takes, on a machine that has much else to do.
const BOUND: Duration = Duration::from_secs(30);

/// One node's end, and what happened there.
struct End {
    links: Links,
    heard: Vec<Vec<u8>>,
    changes: Vec<Option<String>>,
    turns: usize,
}

impl End {
    fn new(device: &std::path::Path, baud: u32) -> End {
        let link = Link { name: "serial:tty".into(), kind: LinkKind::Serial { device: device.into(), baud } };
        let (links, changes) = Links::open("a", &[link], KEEPALIVE, now());
        let mut end = End { links, heard: Vec::new(), changes: Vec::new(), turns: 0 };
        end.note(changes);
        end
    }

    fn note(&mut self, changes: Vec<Change>) {
        self.changes.extend(changes.into_iter().map(|change| change.broken));
    }

    /// One turn of the loop, as the daemon's.
    async fn turn(&mut self) {
        let due = self.links.due().map_or(Duration::from_millis(50), |due| due.since(now()));
        let _ = tokio::time::timeout(due.min(Duration::from_millis(50)), self.links.readable()).await;
        self.look();
    }

    fn look(&mut self) {
        self.turns += 1;
        let mut inputs = VecDeque::new();
        let changes = self.links.read(64, now(), &mut inputs);
        self.note(changes);
        let changes = self.links.time(now());
        self.note(changes);
        for input in inputs {
            match input {
                Input::Datagram { link: 0, bytes } => self.heard.push(bytes),
                other => panic!("{other:?}"),
            }
        }
    }

    fn send(&mut self, packet: &[u8]) {
        let changes = self.links.send(packet, now());
        self.note(changes);
    }

    fn line(&self) -> LineStatus {
        self.links.lines(now()).remove(0)
    }
}

/// Lets both ends run until `done`.
async fn until(what: &str, a: &mut End, b: &mut End, mut done: impl FnMut(&mut End, &mut End) -> bool) {
    let end = now() + BOUND;
    while !done(a, b) {
        assert!(
            now() < end,
            "{what}: a heard {} {:?}, b heard {} {:?}",
            a.heard.len(),
            a.changes,
            b.heard.len(),
            b.changes
        );
        tokio::join!(a.turn(), b.turn());
    }
}

async fn pair(modem: &NullModem, baud: u32) -> (End, End) {
    let (mut a, mut b) = (End::new(&modem.a, baud), End::new(&modem.b, baud));
    until("both open", &mut a, &mut b, |a, b| a.line().open && b.line().open).await;
    (a, b)
}

/// As long as a heartbeat, and no other is the same.
fn beat(n: usize) -> Vec<u8> {
    let mut packet = vec![b'h'; 77];
    packet.extend_from_slice(&(n as u64).to_be_bytes());
    packet
}

/// Sends from `a` until `b` has heard `count` more, each once the one before has had its time.
async fn beats_arrive(a: &mut End, b: &mut End, count: usize) {
    let wanted = b.heard.len() + count;
    let (mut n, mut next) = (1000, now());
    until("heartbeats arrive", a, b, |a, b| {
        if now() >= next {
            n += 1;
            a.send(&beat(n));
            next = now() + KEEPALIVE;
        }
        b.heard.len() >= wanted
    })
    .await;
}

#[tokio::test]
async fn at_every_speed_heartbeats_go_both_ways() {
    for baud in [9600, 19200, 38400, 57600, 115_200] {
        let modem = NullModem::new(baud);
        let (mut a, mut b) = pair(&modem, baud).await;
        for n in 0..3 {
            a.send(&beat(n));
            b.send(&beat(100 + n));
            until("one each", &mut a, &mut b, |a, b| a.heard.len() == n + 1 && b.heard.len() == n + 1).await;
        }
        assert_eq!(b.heard, [beat(0), beat(1), beat(2)], "{baud}");
        assert_eq!(a.heard, [beat(100), beat(101), beat(102)], "{baud}");
        assert_eq!(a.changes, [], "{baud}");
        assert_eq!(a.line().dropped, Dropped::default());
        assert!(a.line().fill_percent > 0, "{:?}", a.line());
    }
}

#[tokio::test]
async fn the_loop_is_woken_for_frames_and_not_for_bytes() {
    const BEATS: usize = 10;
    let modem = NullModem::new(19200);
    let (mut a, mut b) = pair(&modem, 19200).await;
    a.send(&beat(0));
    until("the first, which tells how long they are", &mut a, &mut b, |_, b| b.heard.len() == 1).await;
    b.turns = 0;
    let start = now();
    beats_arrive(&mut a, &mut b, BEATS).await;
    // The test's own turns come each 50 ms.
    let idle = usize::try_from(now().since(start).as_millis()).unwrap() / 50;
    // 94 bytes come in about ten pieces each.
    assert!(b.turns <= idle + 4 * BEATS, "{} turns, {idle} of them idle", b.turns);
}

#[tokio::test]
async fn after_every_fault_the_next_heartbeat_is_heard() {
    let modem = NullModem::new(57600);
    let (mut a, mut b) = pair(&modem, 57600).await;
    beats_arrive(&mut a, &mut b, 1).await;
    let mut count = 0_u32;
    let mut each = move |nth: u32| {
        count += 1;
        count.is_multiple_of(nth)
    };
    let faults: Vec<(&str, modem::Fault)> = vec![
        ("a byte lost here and there", Box::new(move |bytes| bytes.retain(|_| !each(40)))),
        (
            "a bit flipped in every piece",
            Box::new(|bytes| bytes.iter_mut().take(1).for_each(|byte| *byte ^= 0x10)),
        ),
        ("a BREAK in every piece", Box::new(|bytes| bytes.push(0))),
        ("nothing gets through", Box::new(Vec::clear)),
        ("all bits high", Box::new(|bytes| bytes.fill(0xff))),
    ];
    for (what, fault) in faults {
        modem.fault(From::A, Some(fault));
        for n in 0..4 {
            a.send(&beat(n));
            let end = now() + Duration::from_millis(40);
            while now() < end {
                tokio::join!(a.turn(), b.turn());
            }
        }
        modem.fault(From::A, None);
        beats_arrive(&mut a, &mut b, 3).await;
        assert_eq!((&a.changes, &b.changes), (&vec![], &vec![]), "{what}: the line itself is not broken");
    }
    let noise: Vec<u8> = (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    modem.noise(From::A, &noise);
    modem.noise(From::B, &noise);
    beats_arrive(&mut a, &mut b, 2).await;
    beats_arrive(&mut b, &mut a, 2).await;
    assert!(b.line().dropped.total() > 0, "{:?}", b.line());
    assert!(b.heard.iter().all(|packet| packet.len() == 85), "nothing else was taken for a packet");
}

#[tokio::test]
async fn noise_without_end_wakes_the_loop_now_and_then() {
    let modem = NullModem::new(57600);
    let (mut a, mut b) = pair(&modem, 57600).await;
    let mut dice = 1_u32;
    let noise = move |bytes: &mut Vec<u8>| {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.push((dice >> 24) as u8);
    };
    modem.fault(From::A, Some(Box::new(noise)));
    let (begun, turns) = (now(), b.turns);
    until("a second of it", &mut a, &mut b, |_, _| now().since(begun) > Duration::from_secs(1)).await;
    // A piece each millisecond; a look each ten, and the test's own turns.
    assert!(b.turns - turns < 400, "{}", b.turns - turns);
    modem.fault(From::A, None);
    beats_arrive(&mut a, &mut b, 2).await;
}

#[tokio::test]
async fn who_joins_late_or_is_reset_in_mid_frame_hears_on() {
    let baud = 9600;
    let modem = NullModem::new(baud);
    let (mut a, mut b) = pair(&modem, baud).await;
    for round in 0..3 {
        a.send(&beat(round));
        // Half of it is through; then this side starts anew.
        let begun = modem.carried(From::A);
        until("half of it", &mut a, &mut b, |_, _| modem.carried(From::A) > begun + 30).await;
        drop(b);
        b = End::new(&modem.b, baud);
        until("open again", &mut a, &mut b, |_, b| b.line().open).await;
        beats_arrive(&mut a, &mut b, 2).await;
        // And now the sender.
        a.send(&beat(50 + round));
        let begun = modem.carried(From::A);
        until("half of it", &mut a, &mut b, |_, _| modem.carried(From::A) > begun + 30).await;
        drop(a);
        a = End::new(&modem.a, baud);
        until("open again", &mut a, &mut b, |a, _| a.line().open).await;
        beats_arrive(&mut a, &mut b, 2).await;
    }
}

#[tokio::test]
async fn a_burst_costs_the_line_two_frames_and_the_newest_is_one() {
    let modem = NullModem::new(9600);
    let (mut a, mut b) = pair(&modem, 9600).await;
    for n in 0..50 {
        a.send(&beat(n));
    }
    until("the newest", &mut a, &mut b, |_, b| b.heard.last() == Some(&beat(49))).await;
    assert_eq!(b.heard, [beat(0), beat(49)]);
    assert_eq!(a.line().skipped, 48);
    assert_eq!(modem.carried(From::A), 2 * longest_frame(85));
}

#[tokio::test]
async fn nobody_at_the_other_end_is_no_fault_and_blocks_nothing() {
    // A pseudo terminal whose other side nobody reads: its buffer fills up and stays full.
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut a = End::new(&nix::unistd::ttyname(&pty.slave).unwrap(), 115_200);
    let end = now() + BOUND;
    let mut slowest = Duration::ZERO;
    while a.changes.is_empty() {
        assert!(now() < end, "a line that takes nothing is said to");
        let begun = now();
        a.send(&vec![1; 8000]);
        slowest = slowest.max(now().since(begun));
        a.turn().await;
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let said = a.changes[0].clone().unwrap();
    assert!(said.contains("has taken nothing for"), "{said}");
}

#[tokio::test]
async fn a_device_that_is_missing_or_pulled_is_said_once_and_used_when_it_is_there() {
    let mut modem = NullModem::new(57600);
    let (mut a, mut b) = pair(&modem, 57600).await;
    beats_arrive(&mut a, &mut b, 1).await;
    modem.unplug();
    until("both say so", &mut a, &mut b, |a, b| !a.changes.is_empty() && !b.changes.is_empty()).await;
    let said = a.changes[0].clone().expect("broken");
    assert!(said.contains("ttyA"), "{said}");
    // Some tries later it was not said again.
    let tries = now() + Duration::from_millis(3500);
    until("three tries", &mut a, &mut b, |a, _| {
        a.send(&beat(1));
        now() > tries
    })
    .await;
    assert_eq!((a.changes.len(), b.changes.len()), (1, 1), "{:?}", a.changes);
    modem.plug(57600);
    until("both are open", &mut a, &mut b, |a, b| a.line().open && b.line().open).await;
    beats_arrive(&mut a, &mut b, 2).await;
    assert_eq!(a.changes[1..], [None], "works again, once");
}

#[tokio::test]
async fn tries_become_rarer() {
    let mut serial = Serial::new("/dev/ttyNONE9".into(), 19200, KEEPALIVE, now());
    let mut waits = Vec::new();
    let mut clock = now();
    let mut buffer = [0; 64];
    while waits.len() < 7 {
        let end = now() + BOUND;
        let news = loop {
            assert!(now() < end);
            if let Err(news) = serial.read(clock, &mut buffer, |_| {}) {
                break news;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert_eq!(news, News::Broken("/dev/ttyNONE9: there is no such device".into()));
        let due = serial.due().unwrap();
        waits.push(due.since(clock).as_secs());
        clock = due;
        assert_eq!(serial.time(clock), None, "begins another");
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
}

#[tokio::test]
async fn a_line_of_ones_own_that_is_being_closed_is_waited_for_and_another_ones_is_said() {
    let modem = NullModem::new(57600);
    let (mut a, mut b) = pair(&modem, 57600).await;
    // A new configuration of the same device: the old line is still open when the new one is first tried.
    let other = |baud| {
        let device = modem.a.clone();
        [Link { name: "serial:other".into(), kind: LinkKind::Serial { device, baud } }]
    };
    let changes = a.links.reload(&other(38400), KEEPALIVE, now());
    a.note(changes);
    until("open again", &mut a, &mut b, |a, _| a.line().open).await;
    assert_eq!((a.line().baud, &a.changes), (38400, &vec![]));
    let mut second = End::new(&modem.a, 57600);
    until("said", &mut second, &mut b, |second, _| !second.changes.is_empty()).await;
    let said = second.changes[0].clone().unwrap();
    assert!(said.contains("another program has it"), "{said}");
}
