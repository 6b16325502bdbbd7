//! Text from elsewhere, made fit for a terminal.

/// One line without control characters: colours and their like are taken out, line ends and tabs become
/// spaces, the rest `?`.
pub fn line(text: &str) -> String {
    without_sequences(text)
        .trim()
        .chars()
        .map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { harmless(c) })
        .collect()
}

/// Several lines without control characters but line ends and tabs.
pub fn block(text: &str) -> String {
    without_sequences(text).chars().map(|c| if matches!(c, '\n' | '\t') { c } else { harmless(c) }).collect()
}

/// `text` without control sequences (ECMA-48, 5.4: ESC `[`, parameters and intermediates, a final byte). One
/// that does not end as it should stays, to be made harmless.
fn without_sequences(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        out.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let parameters = after.bytes().take_while(|byte| (0x20..=0x3f).contains(byte)).count();
        rest = match after.as_bytes().get(parameters) {
            Some(0x40..=0x7e) => &after[parameters + 1..],
            _ => {
                out.push('?');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

/// `c`, or `?` if it steers the terminal or turns the direction of writing.
fn harmless(c: char) -> char {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { '?' } else { c }
}

/// `text` in lines of at most `width` columns, broken at spaces; a word longer than that stands alone,
/// unbroken, so that it can be copied.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(std::mem::take(&mut current));
            used = 0;
        }
        if used > 0 {
            current.push(' ');
            used += 1;
        }
        current.push_str(word);
        used += length;
    }
    if used > 0 {
        lines.push(current);
    }
    lines
}

/// The first `most` characters, with `...` if there were more.
pub fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(3)).chain("...".chars()).collect()
}

/// `one group`, `2 groups`: a number and its noun.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_steer_the_terminal() {
        assert_eq!(line("\x1b[1;31mbad\x1b[0m \x1b[2J\nnews\u{202e}\t!\x1b"), "bad  news? !?");
        assert_eq!(line("\x1b[31é \x1b["), "?31é ?");
        assert_eq!(line("\x1b]0;title\x07"), "?]0;title?");
        assert_eq!(block("a\n\x07b\n"), "a\n?b\n");
    }

    #[test]
    fn wrapping_breaks_at_spaces_only() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("a verylongword b", 6), ["a", "verylongword", "b"]);
        assert!(wrap("  ", 10).is_empty());
        assert_eq!(wrap("x", 0), ["x"]);
    }

    #[test]
    fn shortening_counts_characters_not_bytes() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüäöü", 5), "äö...");
    }

    #[test]
    fn counting() {
        assert_eq!(count(1, "link"), "1 link");
        assert_eq!(count(0, "link"), "0 links");
    }
}
