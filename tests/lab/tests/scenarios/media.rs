//! Every medium is cut, alone and in every combination, in both directions and in one, while a client is served: one
//! medium that carries is enough, and both nodes say of each whether it does.

use lab::hbd::Status;
use lab::hbd::config::{address, bcast, mcast, ucast};
use lab::live::dice::Dice;
use lab::net::{Cut, Lan, NullModem};
use lab::pair::{GROUP, Pair, VIP};

use lab::scenario::{check, scenario, until};
use lab::{LabError, Result};

/// A medium of the network, on a port of its own, so that it can be cut alone.
struct Medium {
    link: String,
    lan: Lan,
    port: u16,
}

fn media() -> Vec<Medium> {
    let to = |a: &str, b: &str| ucast(&[("a".to_owned(), a.to_owned()), ("b".to_owned(), b.to_owned())]);
    let links = [
        (bcast("eth1"), Lan::Heartbeat),
        (to("10.77.0.1", "10.77.0.2"), Lan::Service),
        (to("fd78::1", "fd78::2"), Lan::Heartbeat),
        (mcast("eth1", "239.255.42.1"), Lan::Heartbeat),
        (mcast("eth0", "ff02::6894"), Lan::Service),
    ];
    let own_port = |((link, lan), port): ((String, Lan), u16)| Medium {
        link: format!("{link}\nport = {port}"),
        lan,
        port,
    };
    links.into_iter().zip(6941..).map(own_port).collect()
}

/// All of these and, last, a serial line.
const COUNT: usize = 6;

fn make(modem: &NullModem) -> Result<Pair> {
    Pair::with(|mut settings| {
        settings.links = media().into_iter().map(|medium| medium.link).collect();
        settings.links.push(modem.link());
        settings.group(GROUP, Some("a"), &[&address(VIP, 16, "eth0")])
    })
}

/// For each medium: does it carry from a to b, and from b to a?
type Carries = Vec<(bool, bool)>;

fn cuts(carries: &Carries) -> Vec<Cut> {
    let of = |(medium, (ab, ba)): (Medium, &(bool, bool))| {
        let there = (!ab).then(|| Cut::udp("a", "b", medium.lan, medium.port));
        let back = (!ba).then(|| Cut::udp("b", "a", medium.lan, medium.port));
        there.into_iter().chain(back)
    };
    media().into_iter().zip(carries).flat_map(of).collect()
}

/// The states of all links as a node says, in the order of the configuration.
fn links(status: &Status) -> Vec<bool> {
    status.nodes.iter().flat_map(|peer| &peer.links).map(|link| link.state == "up").collect()
}

/// Cuts what does not carry; both nodes must say so, link by link, and nothing else may happen.
fn tried(pair: &Pair, modem: &NullModem, carries: &Carries, epoch: u64) -> Result<()> {
    pair.world.recut(cuts(carries))?;
    let (there, back) = carries[COUNT - 1];
    modem.cut(!there, !back);
    let hears: [(&str, Vec<bool>); 2] = [
        ("a", carries.iter().map(|(_, ba)| *ba).collect()),
        ("b", carries.iter().map(|(ab, _)| *ab).collect()),
    ];
    until("each node says what it hears", || {
        for (node, wanted) in &hears {
            let said = pair.status(node).ok_or_else(|| LabError(format!("{node} does not answer")))?;
            check(links(&said) == *wanted, || format!("{node} was to hear {wanted:?}: {said}"))?;
        }
        Ok(true)
    })?;
    for node in ["a", "b"] {
        let said = pair.status(node).ok_or_else(|| LabError(format!("{node} does not answer")))?;
        let same = said.has(GROUP, "started", Some("a")) && said.groups[0].epoch == epoch;
        check(same && said.sees(lab::pair::other(node), "up"), || {
            format!("{carries:?}: {node} says {said}")
        })?;
    }
    pair.audit().expect_owner("a").map(drop)
}

/// Tries all of these under a running client, who must not lose a packet; by two pairs, a half each: it is mostly waiting.
fn walk(all: impl FnOnce(usize) -> Vec<Carries>) {
    let all = all(COUNT);
    let (one, other) = all.split_at(all.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| walk_by_one(one));
        walk_by_one(other);
    });
}

fn walk_by_one(all: &[Carries]) {
    let modem = NullModem::new(57600).unwrap();
    let work = |pair: &Pair| {
        pair.start_both()?;
        pair.owned_by("a")?;
        let epoch = pair.joined("b", "a")?.groups[0].epoch;
        let probe = pair.probe("probe")?;
        for carries in all {
            tried(pair, &modem, carries, epoch)?;
        }
        pair.world.heal()?;
        modem.cut(false, false);
        for node in ["a", "b"] {
            pair.wait(node, "all links are up", |s| s.degraded.is_empty())?;
        }
        let seen = probe.finish()?;
        check(seen.lost == seen.late, || format!("packets were lost: {seen:?}"))?;
        check(seen.changes.is_empty(), || format!("the owner changed: {seen:?}"))
    };
    scenario(|| make(&modem), work);
}

/// Every combination with at least one medium left; from one to the next a single medium changes (Gray's code).
fn combinations(count: usize, cut: (bool, bool)) -> Vec<Carries> {
    let gray = (0..1_usize << count).map(|number| number ^ (number >> 1));
    let some = gray.filter(|mask| *mask != (1 << count) - 1 && *mask != 0);
    some.map(|mask| (0..count).map(|m| if mask >> m & 1 == 1 { cut } else { (true, true) }).collect())
        .collect()
}

#[test]
fn every_combination_cut_in_both_directions() {
    walk(|count| combinations(count, (false, false)));
}

#[test]
fn every_combination_cut_from_the_owner() {
    walk(|count| combinations(count, (false, true)));
}

#[test]
fn every_combination_cut_to_the_owner() {
    walk(|count| combinations(count, (true, false)));
}

#[test]
fn each_direction_by_another_medium() {
    walk(|count| {
        // Every pair of media: one carries only there, the other only back, all else is dead.
        let one = |there: usize, back: usize| (0..count).map(|m| (m == there, m == back)).collect();
        let pairs = (0..count).flat_map(|t| (0..count).filter(move |b| *b != t).map(move |b| (t, b)));
        let mut all: Vec<Carries> = pairs.map(|(there, back)| one(there, back)).collect();
        // And any mixture, as long as something carries each way.
        let mut dice = Dice::new(4);
        while all.len() < 40 {
            let any: Carries = (0..count).map(|_| (dice.chance(50), dice.chance(50))).collect();
            if any.iter().any(|(ab, _)| *ab) && any.iter().any(|(_, ba)| *ba) {
                all.push(any);
            }
        }
        all
    });
}

#[test]
fn serial_alone_keeps_the_pair_together_when_every_network_cable_is_cut() {
    let modem = NullModem::new(19200).unwrap();
    scenario(
        || make(&modem),
        |pair| {
            pair.start_both()?;
            pair.owned_by("a")?;
            let epoch = pair.joined("b", "a")?.groups[0].epoch;
            let probe = pair.probe("probe")?;
            let only_serial = |s: &Status| links(s) == [false, false, false, false, false, true];
            pair.cut_all_links()?;
            for node in ["a", "b"] {
                pair.wait(node, "the serial line alone is up", only_serial)?;
            }
            pair.stays_with("a", super::WHILE)?;
            let seen = probe.finish()?;
            check(seen.lost == seen.late, || format!("packets were lost: {seen:?}"))?;
            // Not even the clients are reached: still nothing moves.
            let dead = |node: &str| [Lan::Service, Lan::Heartbeat].map(|lan| Cut::cable(node, lan));
            pair.world.recut([dead("a"), dead("b")].concat())?;
            pair.stays_with("a", super::WHILE)?;
            let carried = modem.carried();
            check(carried.iter().all(|bytes| *bytes > 1000), || format!("the line carried {carried:?}"))?;
            // An order and a hand-over pass the line, too.
            pair.world
                .recut(vec![Cut::between("a", "b", Lan::Service), Cut::between("a", "b", Lan::Heartbeat)])?;
            let status = pair.joined("b", "a")?;
            check(status.groups[0].epoch == epoch, || format!("the epoch was {epoch}: {status}"))?;
            pair.order("b", &["move", GROUP, "--to", "b"])?;
            pair.owned_by("b")?;
            pair.world.heal()?;
            for node in ["a", "b"] {
                pair.wait(node, "all links are up", |s| s.degraded.is_empty())?;
            }
            // And what is left when the line goes, too, is the network.
            modem.cut(true, true);
            for node in ["a", "b"] {
                pair.wait(node, "the serial line is down", |s| {
                    links(s) == [true, true, true, true, true, false]
                })?;
            }
            pair.stays_with("b", super::WHILE / 2)
        },
    );
}
