//! The words and braces of a line of `keepalived.conf`.

/// What a line is made of.
pub(super) enum Token<'t> {
    /// A word, without the quotes around it.
    Word(&'t str),
    /// `{`
    Open,
    /// `}`
    Close,
    /// Quotes that do not end.
    Broken(&'t str),
}

/// The tokens of a line up to its comment.
pub(super) fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' | '!' => break,
            '{' => {
                out.push(Token::Open);
                1
            }
            '}' => {
                out.push(Token::Close);
                1
            }
            '"' => match closing(&rest[1..]) {
                Some(end) => {
                    out.push(Token::Word(&rest[1..=end]));
                    end + 2
                }
                None => {
                    out.push(Token::Broken(rest));
                    break;
                }
            },
            _ => {
                let end = word_end(rest);
                out.push(Token::Word(&rest[..end]));
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    out
}

/// Where the quotes end that were opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Where a bare word ends; braces within `${NAME}` belong to it.
fn word_end(text: &str) -> usize {
    let (mut before, mut named) = (' ', false);
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => named = true,
            '}' if named => named = false,
            '{' | '}' | '"' if !named => return at,
            c if c.is_whitespace() => return at,
            _ => {}
        }
        before = c;
    }
    text.len()
}

/// A regular expression as keepalived took it from its file: with the bytes that escapes stand for in their place, and any
/// other backslash gone.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>, radix: u32, most: usize| {
        let mut value = 0;
        for _ in 0..most {
            let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
            value = value * radix + digit;
            chars.next();
        }
        char::from_u32(value & 0xff)
    };
    while let Some(c) = chars.next() {
        let stands_for = match (c, chars.peek().copied()) {
            ('\\', Some('0'..='7')) => number(&mut chars, 8, 3),
            ('\\', Some(escape)) => {
                chars.next();
                match escape {
                    'a' => Some('\x07'),
                    'b' => Some('\x08'),
                    'E' => Some('\x1b'),
                    'f' => Some('\x0c'),
                    'n' => Some('\n'),
                    'r' => Some('\r'),
                    't' => Some('\t'),
                    'v' => Some('\x0b'),
                    'x' if chars.peek().is_some_and(char::is_ascii_hexdigit) => number(&mut chars, 16, 2),
                    other => Some(other),
                }
            }
            _ => Some(c),
        };
        out.extend(stands_for);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_loses_one_layer_of_backslashes() {
        for (written, meant) in [
            (r"^OK\\s", r"^OK\s"),
            (r"\.html", ".html"),
            (r"a\tb\x41\101\n", "a\tbAA\n"),
            (r#"say \"hi\""#, r#"say "hi""#),
            ("\\", "\\"),
            ("ü\\ü", "üü"),
        ] {
            assert_eq!(unescaped(written), meant, "{written}");
        }
    }
}
