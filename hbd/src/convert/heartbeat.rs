//! Heartbeat's three files together.

use base::config::problem::{Problem, Problems};

use super::cluster_file::{Draft, Group, Node};
use super::doc::{Kind, Place, Remark, add};
use super::haresources::{self, Resources, Scope};
use super::source::{Source, shown};
use super::value::Value;
use super::{Options, ha};

/// Those of its files that are there.
pub(super) struct Sources<'s> {
    pub(super) ha_cf: Option<&'s Source>,
    pub(super) resources: Option<&'s Source>,
    pub(super) authkeys: Option<&'s Source>,
}

impl Sources<'_> {
    /// Whether there is something to convert.
    pub(super) fn any(&self) -> bool {
        self.ha_cf.is_some() || self.resources.is_some()
    }

    /// What becomes of them; `director`: what ldirectord did becomes a director.toml.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(super) fn convert(&self, director: bool, options: &Options) -> Result<Draft, Problems> {
        let mut draft = Draft::default();
        let mut problems = Problems::default();
        match self.ha_cf.map(|source| ha::read(source, &mut draft)) {
            None => {
                draft.cluster.name = "linux-ha".to_owned();
                let why =
                    "ha.cf was not named, so links and times are missing: hbctl convert ha.cf haresources";
                add(&mut draft.cluster.remarks, Remark::todo(None, why));
            }
            Some(Ok(())) => {}
            Some(Err(more)) => problems.list.extend(more.list),
        }
        let lines = self.resources.map(haresources::parse).unwrap_or_else(|| Ok(Vec::new()));
        match lines {
            Ok(lines) => self.groups(&lines, director, &mut draft, &mut problems),
            Err(more) => problems.list.extend(more.list),
        }
        self.complete_nodes(options, &mut draft);
        self.keys(&mut draft);
        if draft.links.is_empty() && self.ha_cf.is_some() {
            let why = "there is no medium for the heartbeats: write a [[link]]";
            add(&mut draft.cluster.remarks, Remark::todo(None, why));
        }
        if problems.list.is_empty() { Ok(draft) } else { Err(problems) }
    }

    fn groups(&self, lines: &[Resources], director: bool, draft: &mut Draft, problems: &mut Problems) {
        for line in lines {
            let known = draft.nodes.iter().any(|node| node.name.eq_ignore_ascii_case(&line.node));
            if !known && self.ha_cf.is_none() {
                draft.nodes.push(Node { name: line.node.clone(), remarks: Vec::new() });
            } else if !known && let Some(source) = self.resources {
                problems.list.push(stranger(source, line));
            }
        }
        let nodes: Vec<String> = draft.nodes.iter().map(|node| node.name.clone()).collect();
        let scope = Scope { nodes: &nodes, director };
        draft.groups = lines.iter().map(|line| haresources::group(line, &scope)).collect();
        keep_one_director(&mut draft.groups);
        let runs = |name: &str| draft.groups.iter().any(|group| group.resources.contains(&name.into()));
        if director && self.resources.is_some() && !runs("director") {
            let why = "no group has the director: put \"director\" behind the addresses of its services";
            draft.remark(Remark::todo(None, why));
        }
        if self.resources.is_none() {
            let why = "haresources was not named, so there are no groups: hbctl convert ha.cf haresources";
            draft.remark(Remark::todo(None, why));
        }
    }

    /// Two nodes there must be.
    fn complete_nodes(&self, options: &Options, draft: &mut Draft) {
        let mut more = options.nodes.iter().flatten();
        while draft.nodes.len() < 2 {
            let node = match more.next() {
                Some(name) if draft.nodes.iter().any(|node| node.name.eq_ignore_ascii_case(name)) => continue,
                Some(name) => Node { name: name.clone(), remarks: Vec::new() },
                None => {
                    let why = "write what hostname prints on the other node";
                    let name = if draft.nodes.is_empty() { "one-node" } else { "other-node" };
                    Node { name: name.to_owned(), remarks: vec![Remark::todo(None, why)] }
                }
            };
            draft.nodes.push(node);
        }
    }

    /// What to do with the keys, which stay where they are: a secret, in a file of its own.
    fn keys(&self, draft: &mut Draft) {
        const USUAL: &str = "the keys stay in a file of their own, which goes on working: cp -p /etc/ha.d/authkeys /etc/hbd/ on both nodes";
        let remark = match self.authkeys {
            None => Remark::todo(None, format!("{USUAL}, if authkeys(5) takes it")),
            Some(source) => {
                let place = |line: usize| Some(Place { file: source.name.clone(), line });
                match proto::Keyring::parse(&source.text) {
                    Ok(_) => Remark::todo(place(1), USUAL),
                    Err(problems) => {
                        let first = problems.first();
                        // What is quoted might be the secret.
                        let said = first
                            .map(|problem| problem.text.as_str())
                            .filter(|text| !text.contains('\''))
                            .unwrap_or("see authkeys(5)");
                        let why = format!(
                            "hbd does not take these keys ({said}): make new ones with hbctl keygen --output /etc/hbd/authkeys, and copy them to the other node"
                        );
                        Remark::todo(place(first.map_or(1, |problem| problem.line)), why)
                    }
                }
            }
        };
        draft.cluster.remarks.insert(0, remark);
    }
}

/// Both nodes have the director with the same table, and where its group is it is the active one: so it is in one group.
fn keep_one_director(groups: &mut [Group]) {
    let director = Value::from("director");
    let with = groups.iter_mut().filter(|group| group.resources.contains(&director));
    for group in with.skip(1) {
        group.resources.retain(|resource| *resource != director);
        let why = "the director of the group above keeps the same table on both nodes, for this group too";
        let place = group.place.clone();
        add(&mut group.remarks, Remark::todo(place, why).of(Kind::Changed));
    }
}

fn stranger(source: &Source, line: &Resources) -> Problem {
    let start: usize = source.text.split_inclusive('\n').take(line.place.line - 1).map(str::len).sum();
    let rest = &source.text[start..];
    let start = start + (rest.len() - rest.trim_start().len());
    let message = format!("'{}' is none of the nodes of ha.cf", shown(&line.node));
    let help = "a line begins with the node that shall have the group: correct it, or add the node to ha.cf";
    Problem::at(&source.name, &source.text, start..start + line.node.len(), message, Some(help.to_owned()))
}
