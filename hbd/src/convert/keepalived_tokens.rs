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
