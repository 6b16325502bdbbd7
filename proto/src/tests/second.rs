//! The second implementation, `tests/protocol/second.py`, written from `docs/protocol.md` alone, against this one: each
//! reads what the other has written, and both refuse the same packets for the same reasons.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::serial::put_frame;

/// Runs it with `input`; gives the lines it says.
fn second(mode: &str, input: String) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/protocol/second.py");
    let mut child = Command::new("python3")
        .arg(script)
        .arg(mode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test: apt-get install python3");
    let mut stdin = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    assert!(output.status.success(), "it failed");
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// A line for `judge`: the packet as the node with the `n`th of [`KEYS`] gets it.
fn case(n: usize, packet: &[u8]) -> String {
    let (method, text) = KEYS[n];
    let id = keys(text).signing().0;
    let secret = text.lines().nth(1).and_then(|line| line.splitn(3, ' ').nth(2)).unwrap_or_default();
    let method = method.number();
    format!("{:x} {method:x} {id:x} {} {}\n", cluster().0, hex(secret.as_bytes()), hex(packet))
}

/// What `judge` is to say of it.
fn verdict(n: usize, packet: &[u8]) -> String {
    let keys = keys(KEYS[n].1);
    match keys.open(cluster(), packet) {
        Ok(message) => format!("ok {}", hex(&keys.seal(cluster(), &message))),
        Err(reject) => reject.reason().to_owned(),
    }
}

/// Any messages, the same in each run.
fn messages(count: usize) -> Vec<Message> {
    let (mut runner, strategy) = (TestRunner::deterministic(), any_message());
    let mut some = || strategy.new_tree(&mut runner).expect("a message").current();
    (0..count).map(|_| some()).collect()
}

/// Both say the same of all these packets; gives how many were taken.
fn agree(packets: &[(usize, Vec<u8>)]) -> usize {
    let said = second("judge", packets.iter().map(|(n, packet)| case(*n, packet)).collect());
    assert_eq!(said.len(), packets.len());
    for ((n, packet), said) in packets.iter().zip(&said) {
        assert_eq!(*said, verdict(*n, packet), "of {}", hex(packet));
    }
    said.iter().filter(|said| said.starts_with("ok")).count()
}

#[test]
fn the_heartbeat_it_makes_from_the_document_is_the_pinned_one() {
    let made = second("pinned", String::new());
    assert_eq!(made.len(), KEYS.len());
    for ((_, text), made) in KEYS.into_iter().zip(made) {
        assert_eq!(keys(text).open(cluster(), &unhex(&made)), Ok(heartbeat()));
        assert_eq!(made, hex(&keys(text).seal(cluster(), &heartbeat())));
    }
}

#[test]
fn it_reads_every_message_and_writes_it_to_the_same_bytes() {
    let mut packets = Vec::new();
    for message in messages(40).iter().chain(&[heartbeat(), eventful()]) {
        for (n, (_, text)) in KEYS.into_iter().enumerate() {
            packets.push((n, keys(text).seal(cluster(), message)));
        }
    }
    assert_eq!(agree(&packets), packets.len());
}

#[test]
fn it_refuses_what_this_one_refuses_and_for_the_same_reason() {
    let mut packets = Vec::new();
    for (n, (_, text)) in KEYS.into_iter().enumerate() {
        let packet = keys(text).seal(cluster(), &eventful());
        for at in 0..packet.len() {
            packets.push((n, packet[..at].to_vec()));
            for bit in 0..8 {
                let mut bytes = packet.clone();
                bytes[at] ^= 1 << bit;
                packets.push((n, bytes));
            }
        }
        packets.push((n, [packet.as_slice(), &[0; MAX_PACKET]].concat()));
    }
    assert_eq!(agree(&packets), 0);
}

#[test]
fn both_understand_or_refuse_the_same_bodies() {
    let mut packets = Vec::new();
    let keys = keys(KEYS[0].1);
    let mut body = Vec::new();
    crate::codec::put_body(&mut body, &eventful());
    let mut seal = |minor: u8, body: &[u8]| {
        packets.push((0, keys.seal_with(minor, cluster(), |packet| packet.extend_from_slice(body))));
    };
    // Authentic, but not what a sender of this version makes: cut, one byte another, one more, one less.
    for at in 0..body.len() {
        seal(0, &body[..at]);
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = body.clone();
            bytes[at] ^= change;
            seal(at as u8 & 15, &bytes);
        }
        let mut bytes = body.clone();
        bytes.insert(at, 0x80);
        seal(1, &bytes);
        bytes.remove(at);
        bytes.remove(at);
        seal(1, &bytes);
    }
    // A section of a newer version, behind all others.
    seal(3, &[body.as_slice(), &[9, 3, 1, 2, 3]].concat());
    let taken = agree(&packets);
    assert!(taken > 50 && packets.len() - taken > 500, "{taken} of {} were taken", packets.len());
}

#[test]
fn it_frames_packets_for_a_serial_line_as_this_one_does() {
    let mut packets: Vec<Vec<u8>> = (250..262)
        .flat_map(|length| {
            [vec![1; length], vec![0; length], [&[1].repeat(length)[..], &[0], &[1].repeat(length)].concat()]
        })
        .collect();
    for message in messages(10).iter().chain(&[heartbeat(), eventful()]) {
        packets.push(keys(KEYS[0].1).seal(cluster(), message));
    }
    let said = second("frame", packets.iter().map(|packet| hex(packet) + "\n").collect());
    assert_eq!(said.len(), packets.len());
    for (packet, said) in packets.iter().zip(said) {
        let mut frame = Vec::new();
        put_frame(&mut frame, packet);
        assert_eq!(said, hex(&frame), "of {}", hex(packet));
    }
}
