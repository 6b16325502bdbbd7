//! A file to be written: its tables in their order, and what has to be said beside them. Every remark stands in the
//! file as a comment, at the table it belongs to, and is said on standard error too.

use base::terminal::text;

use super::value::{Value, entry};

/// Columns of comments, and of lists before they are broken.
const WIDTH: usize = 100;
/// Places of one remark that are listed, and directives.
const PLACES: usize = 6;
const NAMED: usize = 12;
/// Remarks at one table; nobody reads more.
const MOST: usize = 200;

/// A line of an old file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: usize,
}

/// What a remark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something the person has to fill in or look at.
    ToDo,
    /// Carried over, but it means something else here.
    Changed,
    /// Not carried over.
    Lost,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::ToDo => "TODO",
            Kind::Changed => "changed",
            Kind::Lost => "not carried over",
        }
    }
}

/// What has to be said of one or more lines of the old files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What it is about.
    pub kind: Kind,
    places: Vec<Place>,
    /// The directives, if it is about some.
    what: Vec<String>,
    why: String,
}

impl Remark {
    pub(super) fn todo(place: Option<Place>, why: impl Into<String>) -> Remark {
        Remark { kind: Kind::ToDo, places: place.into_iter().collect(), what: Vec::new(), why: why.into() }
    }

    pub(super) fn changed(place: Place, what: &str, why: impl Into<String>) -> Remark {
        Remark { kind: Kind::Changed, places: vec![place], what: vec![what.to_owned()], why: why.into() }
    }

    pub(super) fn lost(place: Place, what: &str, why: impl Into<String>) -> Remark {
        Remark { kind: Kind::Lost, places: vec![place], what: vec![what.to_owned()], why: why.into() }
    }

    /// The same of another kind.
    pub(super) fn of(self, kind: Kind) -> Remark {
        Remark { kind, ..self }
    }

    /// All of it in one line: `/etc/ha.d/ha.cf:1,2: not carried over: logfile, debugfile: …`.
    pub fn in_one_line(&self) -> String {
        self.say(|file| file)
    }

    /// The same for a comment, where the folder would be in the way.
    fn in_short(&self) -> String {
        self.say(|file| file.rsplit('/').next().unwrap_or(file))
    }

    fn say(&self, called: impl Fn(&str) -> &str) -> String {
        let mut out = String::new();
        let mut file = "";
        for (index, place) in self.places.iter().take(PLACES).enumerate() {
            if place.file == file {
                out.push_str(&format!(",{}", place.line));
            } else {
                out.push_str(&format!(
                    "{}{}:{}",
                    if index == 0 { "" } else { ", " },
                    called(&place.file),
                    place.line
                ));
            }
            file = &place.file;
        }
        if let Some(more) = self.places.len().checked_sub(PLACES).filter(|more| *more > 0) {
            out.push_str(&format!(" and {more} more"));
        }
        if !self.places.is_empty() {
            out.push_str(": ");
        }
        out.push_str(self.kind.word());
        if !self.what.is_empty() {
            out.push_str(&format!(": {}", self.what.join(", ")));
        }
        // What comes from a file must neither end the comment nor steer a terminal.
        text::line(&format!("{out}: {}", self.why))
    }
}

/// Adds `remark`, or its lines to one that says the same.
pub(super) fn add(remarks: &mut Vec<Remark>, remark: Remark) {
    if remarks.len() > MOST {
        return;
    }
    let full = remarks.len() == MOST;
    let same = remarks.iter_mut().find(|other| other.kind == remark.kind && other.why == remark.why);
    let Some(same) = same else {
        // What is not told at all would be missed: the last one says that there are more.
        let more = "there is more to be said of lines behind this one than is listed";
        return remarks.push(if full {
            Remark { why: more.to_owned(), kind: Kind::ToDo, what: Vec::new(), ..remark }
        } else {
            remark
        });
    };
    // Lines come in their order, so that the same one is the last one.
    for place in remark.places {
        if same.places.last() != Some(&place) {
            same.places.push(place);
        }
    }
    for what in remark.what {
        if !same.what.contains(&what) && same.what.len() < NAMED {
            same.what.push(if same.what.len() + 1 == NAMED { "and others".to_owned() } else { what });
        }
    }
}

/// A table with its heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) heading: &'static str,
    pub(super) remarks: Vec<Remark>,
    pub(super) entries: Vec<(String, Value)>,
    /// Written as a comment only: something is missing, and the rest of the file works without it.
    pub(super) disabled: bool,
}

impl Section {
    pub(super) fn new(heading: &'static str) -> Section {
        Section { heading, ..Section::default() }
    }

    /// With `key = value`.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Section {
        self.set(key, value);
        self
    }

    /// Adds `key = value`.
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.entries.push((key.to_owned(), value.into()));
    }

    /// Adds `key = value` if there is one.
    pub(super) fn set_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Adds what has to be said of it.
    pub(super) fn remark(&mut self, remark: Remark) {
        add(&mut self.remarks, remark);
    }

    /// Whether it has `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| name == key)
    }

    /// Nothing is in it and nothing is said of it.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.remarks.is_empty()
    }
}

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doc {
    /// Plain sentences at its head.
    pub(super) head: Vec<String>,
    /// What belongs to no table.
    pub(super) remarks: Vec<Remark>,
    pub(super) sections: Vec<Section>,
}

impl Doc {
    /// Everything that has to be said, in the order of the file.
    pub fn remarks(&self) -> impl Iterator<Item = &Remark> {
        self.remarks.iter().chain(self.sections.iter().flat_map(|section| &section.remarks))
    }

    /// The text of the file.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for sentence in &self.head {
            comment(&mut out, &text::line(sentence));
        }
        if !self.remarks.is_empty() && !out.is_empty() {
            out.push('\n');
        }
        for remark in &self.remarks {
            comment(&mut out, &remark.in_short());
        }
        let mut above: Option<&Section> = None;
        for section in &self.sections {
            if separate(above, section) && !out.is_empty() {
                out.push('\n');
            }
            for remark in &section.remarks {
                comment(&mut out, &remark.in_short());
            }
            if !section.entries.is_empty() || section.heading == "[director]" {
                table(&mut out, section);
            }
            above = Some(section);
        }
        out
    }
}

/// Whether an empty line stands before `section`: not between the nodes, nor between a service and its real servers.
fn separate(above: Option<&Section>, section: &Section) -> bool {
    let close = ["[[node]]", "[[virtual.real]]"].contains(&section.heading);
    let same = above.is_some_and(|above| above.heading == section.heading && section.remarks.is_empty());
    !(section.heading == "[[virtual.real]]" || close && same)
}

fn table(out: &mut String, section: &Section) {
    let mut lines = String::from(section.heading);
    lines.push('\n');
    for (name, value) in &section.entries {
        lines.push_str(&entry(name, value, WIDTH));
        lines.push('\n');
    }
    for line in lines.lines() {
        out.push_str(if section.disabled { "# " } else { "" });
        out.push_str(line);
        out.push('\n');
    }
}

fn comment(out: &mut String, sentence: &str) {
    for (index, line) in text::wrap(sentence, WIDTH - 4).iter().enumerate() {
        out.push_str(if index == 0 { "# " } else { "#   " });
        out.push_str(line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: usize) -> Place {
        Place { file: "ha.cf".to_owned(), line }
    }

    #[test]
    fn what_is_said_of_several_lines_is_said_once() {
        let mut section = Section::new("[cluster]").with("name", "x");
        for (line, what) in [(1, "logfile"), (2, "debugfile"), (2, "debugfile")] {
            section.remark(Remark::lost(place(line), what, "the journal has it"));
        }
        let doc = Doc { sections: vec![section], ..Doc::default() };
        let wanted = "ha.cf:1,2: not carried over: logfile, debugfile: the journal has it";
        assert_eq!(doc.remarks().map(Remark::in_one_line).collect::<Vec<_>>(), [wanted]);
        assert_eq!(doc.render(), format!("# {wanted}\n[cluster]\nname = \"x\"\n"));
    }

    #[test]
    fn a_remark_cannot_end_its_comment() {
        let remark = Remark::todo(None, "a\n[cluster]\r\nname = \"\x1b[31mx\"\u{2028}");
        let doc = Doc { remarks: vec![remark], ..Doc::default() };
        assert_eq!(doc.render().lines().count(), 1);
        assert!(doc.render().parse::<toml::Table>().expect("TOML").is_empty());
    }

    #[test]
    fn a_table_that_lacks_something_is_a_comment() {
        let mut section = Section::new("[[fence]]").with("node", "b");
        section.disabled = true;
        let doc = Doc { sections: vec![section], ..Doc::default() };
        assert_eq!(doc.render(), "# [[fence]]\n# node = \"b\"\n");
    }
}
