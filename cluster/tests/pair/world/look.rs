//! Looking at the world: the status of the nodes, what runs, the record.

use cluster::status::{GroupStatus, Status};

use super::*;

impl World {
    pub fn status(&self, n: usize) -> Option<Status> {
        Some(self.nodes[n].core.as_ref()?.status(self.now))
    }

    pub(super) fn group_name(&self, id: proto::GroupId) -> String {
        let group = self.settings.groups.iter().find(|g| proto::GroupId::of(&g.name) == id);
        group.map(|g| g.name.clone()).unwrap_or_default()
    }

    /// The one node that says that it has started a group.
    pub fn owner(&self, group: &str) -> Option<usize> {
        let mut owners = (0..self.nodes.len()).filter(|&n| {
            let Some(status) = self.status(n) else {
                return false;
            };
            let says = |g: &GroupStatus| {
                g.name == group && g.state == "started" && g.owner.as_deref() == Some(&self.nodes[n].name)
            };
            status.groups.iter().any(says)
        });
        let first = owners.next();
        if owners.next().is_some() { None } else { first }
    }

    pub fn runs(&self, n: usize) -> Vec<&str> {
        self.nodes[n].running.iter().map(String::as_str).collect()
    }

    pub fn say(&mut self, n: usize, text: &str) {
        let line = format!("{} {} {text}", self.now, self.nodes[n].name);
        self.log.push(line);
    }

    pub fn timeline(&self) -> String {
        self.log.join("\n")
    }

    /// Whether the record has a line with this text.
    pub fn said(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }

    /// Lines of the record with this text since line `from`.
    pub fn lines(&self, from: usize, text: &str) -> Vec<&String> {
        self.log[from..].iter().filter(|line| line.contains(text)).collect()
    }

    #[track_caller]
    pub fn expect_owner(&self, n: usize) {
        let found = self.owner("g");
        assert_eq!(found, Some(n), "\n{}", self.timeline());
        assert_eq!(self.runs(n), ["vip1", "vip2", "web"], "\n{}", self.timeline());
        for (other, node) in self.nodes.iter().enumerate() {
            assert!(other == n || node.running.is_empty(), "{} runs too\n{}", node.name, self.timeline());
        }
    }

    #[track_caller]
    pub fn expect_no_overlap(&self) {
        assert!(self.overlaps.is_empty(), "{:?}\n{}", self.overlaps, self.timeline());
    }
}
