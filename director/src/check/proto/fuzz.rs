//! Arbitrary servers against every protocol: no input may make one panic, hang or grow.

use proptest::prelude::*;

pub use crate::check::hearsay::{converse, judge};

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
