//! Names as hbd and the director take them.

use std::collections::{HashMap, HashSet};

/// Longest name that goes into a heartbeat.
const LONGEST_NAME: usize = 63;

/// A name that hbd takes, as near to `text` as can be.
pub(super) fn name(text: &str, otherwise: &str) -> String {
    let mut out = String::new();
    for c in text.trim().chars() {
        let c = if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        if out.len() + c.len_utf8() > LONGEST_NAME {
            break;
        }
        out.push(c);
    }
    if out.is_empty() { otherwise.to_owned() } else { out }
}

/// Names that are given once.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// The last number behind a name that was wanted again.
    numbers: HashMap<String, usize>,
}

impl Names {
    /// `wanted`, or with a number behind it if that is taken.
    pub(super) fn unique(&mut self, wanted: &str) -> String {
        if self.taken.insert(wanted.to_lowercase()) {
            return wanted.to_owned();
        }
        let number = self.numbers.entry(wanted.to_lowercase()).or_insert(1);
        loop {
            *number += 1;
            let end = format!("-{number}");
            let mut name = wanted.to_owned();
            while name.len() + end.len() > LONGEST_NAME {
                name.pop();
            }
            name.push_str(&end);
            if self.taken.insert(name.to_lowercase()) {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit_and_unique() {
        assert_eq!(name("VI 1/a", "x"), "VI-1-a");
        assert_eq!(name(" ", "x"), "x");
        assert_eq!(name(&"ü".repeat(100), "x").len(), 62);
        let mut names = Names::default();
        assert_eq!(
            ["web", "web-2", "Web", "web"].map(|name| names.unique(name)),
            ["web", "web-2", "Web-3", "web-4"]
        );
        let long = "x".repeat(63);
        assert_eq!([names.unique(&long), names.unique(&long)].map(|name| name.len()), [63, 63]);
    }
}
