//! The replay window: each sequence number of one life of a sender is used once.

/// What became of a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Higher than any before: the newest news.
    New,
    /// Not seen before, but newer ones were: overtaken on another medium.
    NewButLate,
    /// Seen before: the copy of another medium, or a replay.
    Duplicate,
    /// So far back that nobody remembers, or zero, which no sender uses.
    TooOld,
}

/// Remembers which of the last 64 sequence numbers were seen.
///
/// One for each life (incarnation and boot nonce) of each sender; a new life gets a new window. Ask
/// only for packets that are authentic, or a forger could push the window ahead.
///
/// ```text
///   sequence   highest-63 ........................ highest-1   highest
///   bit                63 ................................ 1         0     1 = seen
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayWindow {
    highest: u64,
    seen: u64,
}

impl ReplayWindow {
    /// How many sequence numbers are remembered.
    pub const WIDTH: u64 = u64::BITS as u64;

    /// A window that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A window for which `first` is the next number and all below it are the past: none of them is taken any more.
    pub fn beginning_at(first: u64) -> Self {
        Self { highest: first.saturating_sub(1), seen: u64::MAX }
    }

    /// The highest sequence number seen; 0 before the first.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Says what `sequence` is, and remembers it.
    pub fn accept(&mut self, sequence: u64) -> Seen {
        if sequence > self.highest {
            let ahead = sequence - self.highest;
            self.seen = if ahead < Self::WIDTH { self.seen << ahead | 1 } else { 1 };
            self.highest = sequence;
            return Seen::New;
        }
        let back = self.highest - sequence;
        if sequence == 0 || back >= Self::WIDTH {
            return Seen::TooOld;
        }
        let bit = 1 << back;
        if self.seen & bit != 0 {
            return Seen::Duplicate;
        }
        self.seen |= bit;
        Seen::NewButLate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn each_is_new_once() {
        let mut window = ReplayWindow::new();
        assert_eq!(window.accept(1), Seen::New);
        assert_eq!(window.accept(1), Seen::Duplicate);
        assert_eq!(window.accept(3), Seen::New);
        assert_eq!(window.accept(2), Seen::NewButLate);
        assert_eq!(window.accept(2), Seen::Duplicate);
        assert_eq!(window.accept(3), Seen::Duplicate);
        assert_eq!(window.highest(), 3);
    }

    #[test]
    fn zero_is_never_taken() {
        let mut window = ReplayWindow::new();
        assert_eq!(window.accept(0), Seen::TooOld);
        assert_eq!(window.accept(5), Seen::New);
        assert_eq!(window.accept(0), Seen::TooOld);
    }

    #[test]
    fn the_window_is_64_wide() {
        let mut window = ReplayWindow::new();
        assert_eq!(window.accept(100), Seen::New);
        assert_eq!(window.accept(36), Seen::TooOld);
        assert_eq!(window.accept(37), Seen::NewButLate);
        assert_eq!(window.accept(37), Seen::Duplicate);
        // A step of 63 keeps the old highest at the far edge, a step of 64 loses it.
        assert_eq!(window.accept(163), Seen::New);
        assert_eq!(window.accept(100), Seen::Duplicate);
        assert_eq!(window.accept(227), Seen::New);
        assert_eq!(window.accept(163), Seen::TooOld);
        assert_eq!(window.accept(164), Seen::NewButLate);
    }

    #[test]
    fn the_ends_of_the_numbers_are_no_trap() {
        let mut window = ReplayWindow::new();
        assert_eq!(window.accept(1), Seen::New);
        assert_eq!(window.accept(u64::MAX), Seen::New);
        assert_eq!(window.accept(u64::MAX), Seen::Duplicate);
        assert_eq!(window.accept(u64::MAX - 63), Seen::NewButLate);
        assert_eq!(window.accept(1), Seen::TooOld);
    }

    #[test]
    fn nothing_before_its_beginning_is_taken() {
        for first in [1, 2, 64, 65, 1000, u64::MAX] {
            let mut window = ReplayWindow::beginning_at(first);
            for before in first.saturating_sub(70)..first {
                assert!(
                    matches!(window.accept(before), Seen::Duplicate | Seen::TooOld),
                    "{before} of {first}"
                );
            }
            assert_eq!(window.accept(first), Seen::New);
            assert!(matches!(window.accept(first - 1), Seen::Duplicate | Seen::TooOld));
            assert_eq!(window.accept(first), Seen::Duplicate);
        }
        assert_eq!(ReplayWindow::beginning_at(0).accept(0), Seen::TooOld);
        let mut window = ReplayWindow::beginning_at(10);
        assert_eq!(
            (window.accept(12), window.accept(11), window.accept(9)),
            (Seen::New, Seen::NewButLate, Seen::Duplicate)
        );
    }

    /// The window as one would write it with all the memory in the world.
    fn plainly(history: &mut HashSet<u64>, sequence: u64) -> Seen {
        let highest = history.iter().copied().max().unwrap_or(0);
        if sequence == 0 || sequence.saturating_add(ReplayWindow::WIDTH) <= highest {
            return Seen::TooOld;
        }
        match (history.insert(sequence), sequence > highest) {
            (false, _) => Seen::Duplicate,
            (true, true) => Seen::New,
            (true, false) => Seen::NewButLate,
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_plain_one(sequences in prop::collection::vec(0_u64..400, 0..200)) {
            let (mut window, mut history) = (ReplayWindow::new(), HashSet::new());
            for sequence in sequences {
                prop_assert_eq!(window.accept(sequence), plainly(&mut history, sequence));
            }
        }
    }
}
