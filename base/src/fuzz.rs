//! What tests and fuzzers of both daemons make of good files.

/// `text` with each of `changes` made in turn: behind so many bytes so many are cut out, and a text is put in. A place within a
/// character is the one before it.
pub fn changed(text: &str, changes: &[(usize, usize, &str)]) -> String {
    let floor = |out: &str, at: usize| {
        (0..=at.min(out.len())).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0)
    };
    let mut out = text.to_owned();
    for (at, cut, bit) in changes {
        let from = floor(&out, *at);
        let to = floor(&out, from + cut).max(from);
        out.replace_range(from..to, bit);
    }
    out
}
