//! `keepalived.conf` as a tree: statements of words, and blocks in braces. Parameters (`$NAME=value`) are put in, and
//! included files stand where they are included.

use std::collections::HashMap;

use base::config::problem::Problems;

use super::doc::Place;
use super::keepalived_tokens::{Token, tokens};
use super::source::{Line, Reading, Source, shown};

/// Blocks within blocks; keepalived has five.
const DEEPEST: usize = 8;
/// Statements of a set-up: a thousand services with fifty real servers have fewer.
const MOST: usize = 1_000_000;
/// Longest text a parameter may grow a word to.
const LONGEST_WORD: usize = 5120;

/// A statement, and its block if it has one.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) words: Vec<String>,
    pub(super) place: Place,
    pub(super) block: Option<Vec<Node>>,
}

impl Node {
    /// The keyword.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The word behind the keyword at `index`, from 1.
    pub(super) fn word(&self, index: usize) -> Option<&str> {
        self.words.get(index).map(String::as_str)
    }

    /// All behind the keyword, with single blanks between.
    pub(super) fn rest(&self) -> String {
        self.words.get(1..).unwrap_or_default().join(" ")
    }

    /// What is in its block.
    pub(super) fn inner(&self) -> &[Node] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The last statement called `name` in its block.
    pub(super) fn said(&self, name: &str) -> Option<&Node> {
        self.inner().iter().rfind(|node| node.name() == name)
    }

    /// Its first word, if it is there.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.said(name).and_then(|node| node.word(1))
    }

    /// A flag: there, and not switched off.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.said(name).is_some_and(|node| !matches!(node.word(1), Some("no" | "off" | "false" | "0")))
    }

    /// The words of its block, as of a list.
    pub(super) fn list(&self) -> Vec<&str> {
        self.inner().iter().flat_map(|node| node.words.iter().map(String::as_str)).collect()
    }
}

/// Reads the file and what it includes.
///
/// # Errors
/// All that is wrong with them.
pub(super) fn parse(source: &Source) -> Result<Vec<Node>, Problems> {
    let mut builder =
        Builder { stack: vec![Vec::new()], heads: Vec::new(), parameters: HashMap::new(), count: 0 };
    builder.file(source)?;
    let Builder { mut stack, heads, .. } = builder;
    if let Some(open) = heads.last() {
        let reading = Reading::new(source);
        let line = reading.lines().nth(open.place.line - 1).filter(|_| open.place.file == source.name);
        let start = line.map_or(0, |line| line.start);
        reading.wrong(
            start..start + 1,
            format!("the block '{}' is not closed", shown(open.name())),
            "write a } behind its last line",
        );
        reading.finish()?;
    }
    Ok(stack.pop().unwrap_or_default())
}

struct Builder {
    /// The statements of the open blocks, the outermost first.
    stack: Vec<Vec<Node>>,
    /// What the open blocks belong to.
    heads: Vec<Node>,
    parameters: HashMap<String, String>,
    count: usize,
}

impl Builder {
    fn file(&mut self, source: &Source) -> Result<(), Problems> {
        let reading = Reading::new(source);
        for line in reading.lines().take_while(|_| !reading.is_hopeless()) {
            let included = source.includes.iter().find(|(number, _)| *number == line.number);
            if let Some((_, files)) = included {
                for file in files {
                    self.file(file)?;
                }
                continue;
            }
            self.line(&line, &reading);
        }
        reading.finish()
    }

    fn line(&mut self, line: &Line<'_>, reading: &Reading<'_>) {
        let trimmed = line.text.trim_start();
        if trimmed.trim_end().ends_with('\\')
            && matches!(tokens(line.text).last(), Some(Token::Word(word)) if word.ends_with('\\'))
        {
            let help = "write the line in one, and the lines that a parameter stands for where they are used";
            return reading.wrong(
                line.span(trimmed.trim_end()),
                "a line that goes on behind a \\ is not converted",
                help,
            );
        }
        if self.parameter(trimmed) {
            return;
        }
        if trimmed.starts_with(['@', '~']) {
            let help = "write the lines of one node, without conditions and sequences";
            return reading.wrong(
                line.span(trimmed.trim_end()),
                "conditions (@) and sequences (~) are not converted",
                help,
            );
        }
        let mut words: Vec<String> = Vec::new();
        for token in tokens(line.text) {
            match token {
                Token::Word(text) => words.push(self.put_in(text)),
                Token::Open => {
                    self.statement(std::mem::take(&mut words), line, reading);
                    self.open(line, reading);
                }
                Token::Close => {
                    self.statement(std::mem::take(&mut words), line, reading);
                    self.close(line, reading);
                }
                Token::Broken(text) => {
                    reading.wrong(line.span(text), "the quotes are not closed", "write both: \"…\"");
                }
            }
        }
        self.statement(words, line, reading);
    }

    /// `$NAME=value`.
    fn parameter(&mut self, line: &str) -> bool {
        let Some((name, value)) = line.strip_prefix('$').and_then(|rest| rest.split_once('=')) else {
            return false;
        };
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        let value = value.trim().trim_matches('"').to_owned();
        if value.len() <= LONGEST_WORD {
            self.parameters.insert(name.to_owned(), value);
        }
        true
    }

    /// A word with the parameters in it replaced, once.
    fn put_in(&self, word: &str) -> String {
        if !word.contains('$') || self.parameters.is_empty() {
            return word.to_owned();
        }
        let mut out = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let braced = after.strip_prefix('{');
            let body = braced.unwrap_or(after);
            let end = body.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(body.len());
            let value = self.parameters.get(&body[..end]);
            match (value, braced.is_some() == body[end..].starts_with('}')) {
                (Some(value), true) if out.len() + value.len() <= LONGEST_WORD => {
                    out.push_str(value);
                    rest = &body[end + usize::from(braced.is_some())..];
                }
                (Some(value), _) if braced.is_none() && out.len() + value.len() <= LONGEST_WORD => {
                    out.push_str(value);
                    rest = &body[end..];
                }
                _ => {
                    out.push('$');
                    rest = after;
                }
            }
        }
        out + rest
    }

    fn statement(&mut self, words: Vec<String>, line: &Line<'_>, reading: &Reading<'_>) {
        if words.is_empty() {
            return;
        }
        self.count += 1;
        if self.count > MOST {
            if self.count == MOST + 1 {
                reading.wrong(
                    line.span(line.text),
                    format!("more than {MOST} statements"),
                    "divide the set-up",
                );
            }
            return;
        }
        let node = Node { words, place: reading.place(line.number), block: None };
        if let Some(block) = self.stack.last_mut() {
            block.push(node);
        }
    }

    fn open(&mut self, line: &Line<'_>, reading: &Reading<'_>) {
        let head = self.stack.last_mut().and_then(|block| block.pop_if(|node| node.block.is_none()));
        if head.is_none() {
            reading.wrong(
                line.span(line.text.trim()),
                "a block has no name",
                "a block is NAME { and lines and }",
            );
        }
        if self.stack.len() == DEEPEST {
            let message = format!("blocks are nested deeper than {DEEPEST}");
            reading.wrong(line.span(line.text.trim()), message, "keepalived has five: is a } missing above?");
        }
        self.heads.push(head.unwrap_or(Node {
            words: Vec::new(),
            place: reading.place(line.number),
            block: None,
        }));
        self.stack.push(Vec::new());
    }

    fn close(&mut self, line: &Line<'_>, reading: &Reading<'_>) {
        let Some(mut head) = self.heads.pop() else {
            let help = "remove this brace, or look for the one that is missing above";
            return reading.wrong(line.span(line.text.trim()), "there is no block to close", help);
        };
        head.block = self.stack.pop();
        if let Some(block) = self.stack.last_mut() {
            block.push(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::source::Kind;

    fn source(text: &str) -> Source {
        Source {
            kind: Kind::Keepalived,
            name: "keepalived.conf".to_owned(),
            text: text.to_owned(),
            includes: Vec::new(),
        }
    }

    #[test]
    fn a_tree_of_blocks() {
        let nodes =
            parse(&source("! first\na b \"c d\" { # here\n  e { f g }\n}\nh\n{\n i\n}\n")).expect("good");
        assert_eq!(nodes[0].words, ["a", "b", "c d"]);
        assert_eq!(nodes[0].inner()[0].inner()[0].words, ["f", "g"]);
        assert_eq!((nodes[1].name(), nodes[1].list()), ("h", vec!["i"]));
        assert_eq!(nodes[1].place.line, 5);
    }

    #[test]
    fn parameters_are_put_in() {
        let nodes = parse(&source("$IF=eth0\n$A = 10.0.0.1\ndev $IF ${A}/24 $B x$IF.5\n")).expect("good");
        assert_eq!(nodes[0].words, ["dev", "eth0", "10.0.0.1/24", "$B", "xeth0.5"]);
    }

    #[test]
    fn included_files_stand_where_they_are_included() {
        let mut outer = source("a {\ninclude x\n}\n");
        outer.includes.push((2, vec![Source { name: "x".to_owned(), ..source("b\nc\n") }]));
        let nodes = parse(&outer).expect("good");
        assert_eq!(nodes[0].list(), ["b", "c"]);
        assert_eq!(nodes[0].inner()[1].place, Place { file: "x".to_owned(), line: 2 });
    }

    #[test]
    fn mistakes_have_their_line() {
        for (text, line) in [
            ("a {\nb\n", 1),
            ("a\n}\n", 2),
            ("\n{\n}\n", 2),
            ("a \"b\n", 1),
            ("a\n@x b\n", 2),
            ("a\n$B = \\ \n b \\\n", 2),
        ] {
            assert_eq!(parse(&source(text)).expect_err(text).list[0].line, line, "{text}");
        }
        assert!(parse(&source(&"a {".repeat(1000))).is_err());
        assert!(parse(&source("a # b \\\nc \"d\\\\\"\n")).is_ok());
    }
}
