use proptest::prelude::*;

use super::*;

fn framed(packet: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, packet);
    out
}

/// All packets in `line`.
fn read(deframer: &mut Deframer, line: &[u8]) -> Vec<Vec<u8>> {
    line.iter().filter_map(|&byte| deframer.push(byte).map(<[u8]>::to_vec)).collect()
}

/// A reader that has joined.
fn joined() -> Deframer {
    let mut deframer = Deframer::new();
    assert_eq!(deframer.push(0), None);
    deframer
}

/// Packets with all that stuffing cares for: zeros in a row, none for long, runs of 253 to 255.
fn packets() -> Vec<Vec<u8>> {
    let numbered = |length: usize| (0..length).map(|n| (n % 255 + 1) as u8).collect::<Vec<u8>>();
    let mut all = vec![vec![0; 13], vec![0; 600], vec![255; 600], b"exactly as it".to_vec()];
    all.extend([246, 249, 250, 251, 252, 253, 254, 255, 256, 508, 510, MAX_PACKET].map(numbered));
    all.push([&numbered(254)[..], &[0], &numbered(254), &[0, 0]].concat());
    all
}

#[test]
fn what_is_framed_is_read_and_no_longer_than_said() {
    let mut deframer = Deframer::new();
    for packet in packets() {
        let line = framed(&packet);
        assert!(line.len() <= longest_frame(packet.len()), "{} of {}", line.len(), packet.len());
        assert_eq!(line.iter().filter(|&&byte| byte == 0).count(), 2, "00 at both ends and nowhere else");
        assert_eq!(read(&mut deframer, &line), [packet]);
    }
    assert_eq!(deframer.dropped(), Dropped::default());
}

/// The bytes of docs/protocol.md.
#[test]
fn pinned() {
    let document = include_str!("../../../docs/protocol.md");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let packet = b"hb\0\0serial line";
    let line = hex(&framed(packet));
    assert_eq!(line, "00036862011073657269616c206c696e65154ea69c00");
    assert!(document.contains(&hex(packet)) && document.contains(&line), "{line}");
}

#[test]
fn a_reader_that_joins_late_hears_the_next_frame() {
    let line = framed(b"the first of all");
    for from in 1..line.len() {
        let mut deframer = Deframer::new();
        assert!(read(&mut deframer, &line[from..]).is_empty());
        assert_eq!(read(&mut deframer, &framed(b"and the second")), [b"and the second"]);
        assert_eq!(deframer.dropped().total(), 0, "joining late is no fault of the line");
    }
}

#[test]
fn a_sender_reset_in_mid_frame_costs_that_frame_only() {
    let line = framed(b"cut in the middle");
    for length in 2..line.len() - 1 {
        let mut deframer = joined();
        let rest = [&line[..length], &framed(b"after the reset")].concat();
        assert_eq!(read(&mut deframer, &rest), [b"after the reset"], "{length}");
        assert_eq!(deframer.dropped().total(), 1);
    }
}

#[test]
fn one_fault_anywhere_costs_at_most_the_frame_it_hits() {
    let (one, two) = (b"packet number one".to_vec(), vec![7; 300]);
    let line = [framed(&one), framed(&two), framed(&one)].concat();
    let first = framed(&one).len();
    for at in 0..line.len() {
        let hit = usize::from(at >= first) + usize::from(at >= first + framed(&two).len());
        let others: Vec<_> = [&one, &two, &one].into_iter().enumerate().filter(|(n, _)| *n != hit).collect();
        let lost = [&line[..at], &line[at + 1..]].concat();
        // What the line hardware makes of a BREAK.
        let broken = [&line[..at], &[0], &line[at..]].concat();
        let noisy = |bit: u8| [&line[..at], &[line[at] ^ 1 << bit], &line[at + 1..]].concat();
        for damaged in [lost, broken].into_iter().chain((0..8).map(noisy)) {
            let mut deframer = joined();
            let heard = read(&mut deframer, &damaged);
            let expected: Vec<_> = others.iter().map(|(_, packet)| (*packet).clone()).collect();
            let all: Vec<_> = [&one, &two, &one].into_iter().cloned().collect();
            assert!(heard == expected || heard == all, "fault at {at}: {} packets", heard.len());
        }
    }
}

#[test]
fn noise_between_frames_costs_no_frame() {
    let mut deframer = joined();
    let noise: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for _ in 0..3 {
        assert!(read(&mut deframer, &noise).is_empty());
        assert_eq!(read(&mut deframer, &framed(b"through all of it")), [b"through all of it"]);
    }
    assert!(deframer.dropped().total() > 3);
}

#[test]
fn a_line_that_never_ends_a_frame_takes_no_memory() {
    let mut deframer = joined();
    for _ in 0..200_000 {
        assert_eq!(deframer.push(0xaa), None);
    }
    assert!(deframer.frame.capacity() <= 4 * MAX_PACKET, "{}", deframer.frame.capacity());
    assert_eq!(deframer.dropped(), Dropped { long: 1, ..Dropped::default() });
    assert_eq!(deframer.pending(), 0, "nothing to wait for");
    assert_eq!(read(&mut deframer, &framed(b"a whole packet")), [b"a whole packet"]);
}

#[test]
fn dropped_by_reason_and_a_silent_line_by_none() {
    let mut deframer = joined();
    assert!(read(&mut deframer, &[0; 100]).is_empty());
    assert_eq!(deframer.dropped(), Dropped::default());
    read(&mut deframer, &framed(b"too short"));
    read(&mut deframer, &[9, 1, 1, 0]);
    let mut line = framed(b"a bit will flip");
    line[5] ^= 0x20;
    read(&mut deframer, &line);
    read(&mut deframer, &framed(&vec![1; MAX_PACKET + 1]));
    assert_eq!(deframer.dropped(), Dropped { cut: 1, short: 1, long: 1, crc: 1 });
}

#[test]
fn it_tells_how_much_of_a_frame_is_there() {
    let mut deframer = Deframer::new();
    read(&mut deframer, b"joined late");
    assert_eq!(deframer.pending(), 0);
    let line = framed(b"how far are we");
    read(&mut deframer, &line[..8]);
    assert_eq!(deframer.pending(), 7);
    read(&mut deframer, &line[8..]);
    assert_eq!(deframer.pending(), 0);
}

proptest! {
    #[test]
    fn anything_goes_through(packet in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 13..700)) {
        prop_assert_eq!(read(&mut Deframer::new(), &framed(&packet)), [packet]);
    }

    #[test]
    fn any_bytes_are_borne(line in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..2000)) {
        crate::fuzz::serial(&line);
    }
}
