//! Arbitrary servers against every protocol: no input may make one panic, hang or grow.

use proptest::prelude::*;

use super::talk::{Exchange, Heard, MOST_HEARD, Step, Talk};

/// What arbitrary servers are made of: noise, and noise after a plausible start.
pub fn servers(good: &'static [u8]) -> impl Strategy<Value = (Vec<u8>, usize)> {
    let noise = prop::collection::vec(any::<u8>(), 0..600);
    let lines = prop::collection::vec(prop_oneof!["[ -~]{0,40}\r?\n", "[245+*-]{1,4}[ -].{0,9}\r\n"], 0..12)
        .prop_map(|lines| lines.concat().into_bytes());
    let cut = (0..=good.len(), prop::collection::vec(any::<u8>(), 0..60)).prop_map(move |(at, rest)| {
        let mut said = good[..at].to_vec();
        said.extend(rest);
        said
    });
    let flipped = (0..good.len().max(1), any::<u8>()).prop_map(move |(at, byte)| {
        let mut said = good.to_vec();
        if let Some(slot) = said.get_mut(at) {
            *slot = byte;
        }
        said
    });
    (prop_oneof![noise, lines, cut, flipped], 1..80_usize)
}

/// Lets `talk` hear `said` in pieces. Returns its verdict and all it said; the end of the stream counts as its close.
pub fn converse(talk: &mut dyn Talk, said: &[u8], piece: usize) -> (Result<(), String>, Vec<u8>) {
    let mut spoken = talk.opening();
    let mut heard = Heard::default();
    for part in said.chunks(piece.max(1)) {
        if !heard.add(part) {
            return (Err("too much".to_owned()), spoken);
        }
        if let Some(verdict) = drive(talk, &mut heard, &mut spoken) {
            return (verdict, spoken);
        }
        assert!(!talk.stage().is_empty());
    }
    (talk.closed(&mut heard), spoken)
}

/// Until the talk waits or ends.
fn drive(talk: &mut dyn Talk, heard: &mut Heard, spoken: &mut Vec<u8>) -> Option<Result<(), String>> {
    let mut step = talk.hear(heard);
    // Each step takes something from what was heard, so that there are never more steps than bytes.
    for _ in 0..=MOST_HEARD {
        match step {
            Step::Wait => return None,
            Step::Say(words) => {
                spoken.extend(words);
                step = talk.hear(heard);
            }
            Step::Secure(words) => {
                spoken.extend(words);
                heard.forget();
                step = talk.secured();
            }
            Step::Fetch(_, words) => {
                spoken.extend(words);
                step = talk.fetched(Ok(b"file".to_vec()));
            }
            Step::Done(verdict, words) => {
                spoken.extend(words);
                assert!(verdict.as_ref().err().is_none_or(|why| !why.is_empty() && why.len() < 2000));
                return Some(verdict);
            }
        }
    }
    panic!("the talk does not come to an end");
}

/// The verdict of `exchange` on one datagram; asserts that it can be given at all.
pub fn judge(exchange: &mut dyn Exchange, answer: &[u8]) -> Option<Result<(), String>> {
    assert!(!exchange.question().is_empty());
    exchange.judge(answer)
}

/// A test that `$make` (a closure that makes a talk) survives arbitrary servers, and that none passes by noise alone.
macro_rules! survives {
    ($name:ident, $good:expr, $make:expr) => {
        proptest::proptest! {
            #[test]
            fn $name((said, piece) in $crate::check::proto::fuzz::servers($good)) {
                let mut talk = $make;
                let (verdict, _) = $crate::check::proto::fuzz::converse(&mut talk, &said, piece);
                // The pieces in which a stream arrives never change what it means.
                let mut again = $make;
                let (whole, _) = $crate::check::proto::fuzz::converse(&mut again, &said, said.len());
                proptest::prop_assert_eq!(verdict.is_ok(), whole.is_ok());
            }
        }
    };
}
pub(crate) use survives;
