//! What is wrong with a file, where, and what would be right; shown as a compiler shows it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::{Serialize, Serializer};

/// Bytes `start..end` of a file's text.
pub type Span = Range<usize>;

/// Widest line shown whole; a longer one is cut around the mistake.
const WIDTH: usize = 160;

/// Mistakes of one file that are told, and as many warnings; more only count. Nobody reads them, and each is looked for
/// in the text.
const TOLD: usize = 200;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// Odd, but it works.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 if the file as a whole is meant.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The line, for showing; secrets are masked in it.
    #[serde(skip)]
    source: String,
    /// The bytes of `source` to underline.
    #[serde(skip)]
    underline: Range<usize>,
}

impl Problem {
    /// A mistake at `span` of `text`. A span over several lines is cut to its first.
    pub fn at(file: &str, text: &str, span: Span, message: String, help: Option<String>) -> Self {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line_text = text[line_start..line_end].trim_end_matches('\r');
        let from = (start - line_start).min(line_text.len());
        let to = (end.min(line_end) - line_start).clamp(from, line_text.len());
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            line: text[..line_start].matches('\n').count() + 1,
            column: line_text[..from].chars().count() + 1,
            message,
            help,
            source: line_text.to_owned(),
            underline: from..to,
        }
    }

    /// A mistake of the file as a whole: it is not there, it is everybody's.
    pub fn whole(file: &str, message: String, help: Option<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            line: 0,
            column: 0,
            message,
            help,
            source: String::new(),
            underline: 0..0,
        }
    }

    /// The same with the shown line replaced, e.g. by one without its secret. The word at
    /// the same column is underlined, so that the underline does not tell the old one's length.
    pub fn with_source(mut self, source: String) -> Self {
        let from =
            source.char_indices().nth(self.column.saturating_sub(1)).map_or(source.len(), |(at, _)| at);
        let word = source[from..].find(char::is_whitespace);
        let to = word.map_or(source.len(), |word| from + word);
        self.source = source;
        self.underline = from..to;
        self
    }

    /// The mistake in one line: `hbd.toml:3:1: unknown key …`, for logs.
    pub fn in_one_line(&self) -> String {
        let place = match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}:{}", self.file, self.column),
        };
        match &self.help {
            Some(help) => format!("{place}: {} ({help})", self.message),
            None => format!("{place}: {}", self.message),
        }
    }

    /// The mistake as a compiler shows it, without a final newline.
    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str());
        let mut group = if self.line == 0 {
            title.element(Origin::path(self.file.as_str()))
        } else {
            title.element(
                Snippet::source(self.source.as_str())
                    .line_start(self.line)
                    .path(self.file.as_str())
                    .annotation(AnnotationKind::Primary.span(self.underline.clone())),
            )
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// The nearest character boundary of `text` at or before byte `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// All that is wrong, in the order of the files' lines. `Display` shows it without colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// The mistakes, and with them the warnings of the same file.
    pub list: Vec<Problem>,
}

impl Problems {
    /// The mistakes as a compiler shows them, each followed by an empty line, and their number.
    /// `color`: with terminal colours; for a terminal only.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
        let mut out = String::new();
        for problem in &self.list {
            out.push_str(&problem.render(&renderer));
            out.push_str("\n\n");
        }
        out.push_str(&self.summary());
        out.push('\n');
        out
    }

    /// `2 errors and 1 warning`.
    pub fn summary(&self) -> String {
        let errors = self.errors();
        match (errors, self.list.len() - errors) {
            (errors, 0) => count(errors, "error"),
            (0, warnings) => count(warnings, "warning"),
            (errors, warnings) => format!("{} and {}", count(errors, "error"), count(warnings, "warning")),
        }
    }

    /// How many of them make the configuration unusable.
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|problem| problem.severity == Severity::Error).count()
    }
}

/// `1 error`, `2 errors`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { list: vec![problem] }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Problems {}

impl Serialize for Problems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

/// The line with what follows a key like `password = "` replaced, byte by byte, so that the
/// underline stays right: fence options and agents' parameters have secrets, and messages go into
/// logs.
fn without_passwords(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut out = line.to_owned();
    for key in ["pas", "secret", "token"] {
        for (at, _) in lower.match_indices(key) {
            let word = lower[at..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
            let Some(after) = word.map(|end| at + end) else {
                continue;
            };
            // `password_file` and the like name a place, no secret.
            if ["_file", "_path", "_script"].iter().any(|end| lower[at..after].ends_with(end)) {
                continue;
            }
            let value = lower[after..].trim_start_matches(['"', '\'', ' ', '\t']);
            let Some(value) = value.strip_prefix('=').map(str::trim_start) else {
                continue;
            };
            let start = lower.len() - value.len();
            let end = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    value[1..].find(quote).map_or(lower.len(), |end| start + 1 + end + 1)
                }
                _ => value.find([',', '}', '#', ' ']).map_or(lower.len(), |end| start + end),
            };
            out.replace_range(start..end, &"*".repeat(end - start));
        }
    }
    out
}

/// Collects the problems of one file while it is read.
pub struct Report<'t> {
    /// The file, as it was named.
    file: String,
    /// Its text.
    text: &'t str,
    /// The lines with broken syntax; if there are any, what seems to be missing may be there.
    broken: BTreeSet<usize>,
    /// The list of nodes is not whole, so a node that seems not to be there may be.
    vague_nodes: Cell<bool>,
    found: RefCell<Vec<(usize, Problem)>>,
    /// Mistakes and warnings that are not told, since there are so many.
    untold: Cell<[usize; 2]>,
    /// The keys each kind of table may have, as far as tables were read; kept only if asked for.
    keys: Option<RefCell<BTreeMap<String, BTreeSet<&'static str>>>>,
}

impl<'t> Report<'t> {
    /// An empty report on `text`, the content of `path`.
    pub fn new(path: &Path, text: &'t str) -> Self {
        Self {
            file: path.display().to_string(),
            text,
            broken: BTreeSet::new(),
            vague_nodes: Cell::new(false),
            found: RefCell::default(),
            untold: Cell::default(),
            keys: None,
        }
    }

    /// The same, noting the keys that the readers of the tables know.
    pub fn noting_keys(path: &Path, text: &'t str) -> Self {
        Self { keys: Some(RefCell::default()), ..Self::new(path, text) }
    }

    /// The reader of the table `place` knows `keys`.
    pub fn knows(&self, place: &str, keys: &[&'static str]) {
        if let Some(noted) = &self.keys {
            let mut noted = noted.borrow_mut();
            noted.entry(place.to_owned()).or_default().extend(keys);
        }
    }

    /// The keys noted, by table.
    pub fn into_keys(self) -> BTreeMap<String, BTreeSet<&'static str>> {
        self.keys.map(RefCell::into_inner).unwrap_or_default()
    }

    /// A mistake in the syntax, the first of its line. From now on nothing is reported as missing,
    /// and nothing else on this line: the broken syntax may be the whole reason.
    pub fn syntax(&mut self, span: &Span, message: String, help: String) {
        self.add(span, Severity::Error, message, help);
        if self.broken.len() < TOLD {
            let line = Problem::at("", self.text, span.clone(), String::new(), None).line;
            self.broken.insert(line);
        }
    }

    /// Whether the syntax is broken.
    pub fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// From now on no node is reported as unknown: the list of nodes is not whole.
    pub fn nodes_are_vague(&self) {
        self.vague_nodes.set(true);
    }

    /// Whether a node that seems not to be there may be.
    pub fn has_vague_nodes(&self) -> bool {
        self.vague_nodes.get()
    }

    /// Something that cannot be used.
    pub fn error(&self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(span, Severity::Error, message.into(), help.into());
    }

    /// Something that is odd.
    pub fn warning(&self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        self.add(span, Severity::Warning, message.into(), help.into());
    }

    /// Something that is not there, or that refers to something that is not there; silent if the
    /// syntax is broken, since that may be the whole reason.
    pub fn missing(&self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        if !self.is_broken() {
            self.error(span, message, help);
        }
    }

    fn add(&self, span: &Span, severity: Severity, message: String, help: String) {
        let told = self.found.borrow().iter().filter(|(_, other)| other.severity == severity).count();
        if told >= TOLD {
            let mut untold = self.untold.get();
            untold[severity as usize] += 1;
            self.untold.set(untold);
            return;
        }
        let help = (!help.is_empty()).then_some(help);
        let problem = Problem::at(&self.file, self.text, span.clone(), message, help);
        if self.broken.contains(&problem.line) {
            return;
        }
        let source = without_passwords(&problem.source);
        let problem = Problem { severity, source, ..problem };
        let mut found = self.found.borrow_mut();
        if !found.iter().any(|(_, other)| *other == problem) {
            found.push((span.start, problem));
        }
    }

    /// Whether anything found so far makes the file unusable.
    pub fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|(_, problem)| problem.severity == Severity::Error)
    }

    /// All that was found, in the order of the text.
    pub fn into_problems(self) -> Problems {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(at, problem)| (*at, problem.severity));
        let mut list: Vec<Problem> = found.into_iter().map(|(_, problem)| problem).collect();
        let [errors, warnings] = self.untold.get();
        if errors + warnings > 0 {
            let message = format!("{} more like these are not shown", errors + warnings);
            let severity = if errors > 0 { Severity::Error } else { Severity::Warning };
            list.push(Problem { severity, ..Problem::whole(&self.file, message, None) });
        }
        Problems { list }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let text = "a = 1\nü = \"ö\"\r\n";
        let problem = Problem::at("f", text, 11..14, "x".to_owned(), None);
        assert_eq!((problem.line, problem.column), (2, 5));
        assert_eq!(&problem.source[problem.underline.clone()], "\"ö");
        let end = Problem::at("f", text, text.len() + 5..text.len() + 9, "x".to_owned(), None);
        assert_eq!((end.line, end.column), (3, 1));
    }

    #[test]
    fn of_very_many_some_are_told_and_the_rest_is_counted() {
        let text = "x\n".repeat(5000);
        let report = Report::new(Path::new("f"), &text);
        for line in 0..1000 {
            report.warning(&(line * 2..line * 2 + 1), "odd", "");
        }
        assert!(!report.has_errors());
        for line in 0..5000 {
            report.error(&(line * 2..line * 2 + 1), "wrong", "");
        }
        assert!(report.has_errors(), "many warnings hide no mistake");
        let problems = report.into_problems();
        assert_eq!((problems.errors(), problems.list.len()), (TOLD + 1, 2 * TOLD + 1));
        let last = problems.list.last().expect("many");
        assert_eq!(last.message, "5600 more like these are not shown");
    }

    #[test]
    fn passwords_are_not_shown() {
        let line =
            r#"options = { ip = "x", passwd = "hunter2", password_file = "/p", "Password" = 'hunter2' }"#;
        let masked = without_passwords(line);
        assert!(!masked.contains("hunter2"), "{masked}");
        assert!(masked.contains("\"/p\"") && masked.contains("\"x\""), "{masked}");
        assert_eq!(masked.len(), line.len());
        assert!(!without_passwords("password = \"hunter2").contains("hunter2"), "an open quote");
        assert!(!without_passwords("token = hunter2").contains("hunter2"));
        assert_eq!(without_passwords("name = \"ü\""), "name = \"ü\"");
    }

    #[test]
    fn a_problem_of_the_whole_file_has_no_line() {
        let problems =
            Problems::from(Problem::whole("f", "it is gone".to_owned(), Some("look for it".to_owned())));
        assert!(problems.to_string().starts_with("error: it is gone\n"), "{problems}");
        assert_eq!(problems.list[0].in_one_line(), "f: it is gone (look for it)");
    }
}
