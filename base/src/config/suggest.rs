//! "Did you mean …?"

/// The candidate nearest to `word`, if it is near enough to be what was meant: a slip of a third of
/// its letters at most, or another ending; upper and lower case being the same.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // A pasted paragraph is no misspelt name; this also bounds the work.
    if word.len() > 64 {
        return None;
    }
    let word = fold(word);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= 64)
        .map(|candidate| (fold(candidate), candidate))
        .map(|(folded, candidate)| {
            (distance(&word, &folded), same_stem(&word, &folded), folded.len(), candidate)
        })
        .filter(|(distance, stem, length, _)| *stem || *distance <= (length.max(&word.len()) / 3).max(1))
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate)
}

/// Whether the two begin with the same four letters or more and differ in a short end only:
/// `fence` and `fencing`.
fn same_stem(a: &[char], b: &[char]) -> bool {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    common >= 4 && a.len() - common <= 3 && b.len() - common <= 3
}

/// Lower case, `-` and `_` being the same.
fn fold(word: &str) -> Vec<char> {
    word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Edit distance where a swap of two neighbours counts one (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i);
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// `'a'`, `'a' and 'b'`, `'a', 'b' and 'c'`.
pub fn listed<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.as_ref())).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_and_a_stranger_does_not() {
        let keys = ["keepalive", "deadtime", "warntime", "name"];
        assert_eq!(nearest("keepaliv", keys), Some("keepalive"));
        assert_eq!(nearest("daedtime", keys), Some("deadtime"));
        assert_eq!(nearest("Keep-Alive", ["keep_alive"]), Some("keep_alive"));
        assert_eq!(nearest("fence", ["nothing", "fencing"]), Some("fencing"));
        assert_eq!(nearest("zzz", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn a_swap_is_one_slip() {
        let chars = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("ab"), &chars("ba")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(listed::<&str>(&[]), "none");
        assert_eq!(listed(&["a"]), "'a'");
        assert_eq!(listed(&["a", "b", "c"]), "'a', 'b' and 'c'");
    }
}
