//! What agents wrote when they last failed: kept with the failure, and shown with it.

use std::collections::BTreeMap;

use cluster::OpResult;
use cluster::status::{GroupStatus, Status};
use serde_json::{Value, json};

/// Lines of it that `hbctl why` repeats; all of it is in the status.
const SHOWN: usize = 12;

/// By group and resource; of those that are configured one each, of about 2 KiB.
#[derive(Clone, Debug, Default)]
pub struct Outputs(BTreeMap<(String, String), String>);

/// Whether what was written on the way to this result is worth keeping: it may be called a failure.
pub fn worth_keeping(result: &OpResult) -> bool {
    !matches!(result, OpResult::Ok | OpResult::Running)
}

impl Outputs {
    /// An operation on a resource has failed, and said this, or nothing.
    pub fn keep(&mut self, group: String, resource: String, text: String) {
        if text.trim().is_empty() {
            self.0.remove(&(group, resource));
        } else {
            self.0.insert((group, resource), text);
        }
    }

    /// Forgets what is not configured any more.
    pub fn forget(&mut self, status: &Status) {
        let there =
            |group: &GroupStatus, resource: &str| group.resources.iter().any(|one| one.name == resource);
        self.0.retain(|(group, resource), _| {
            status.groups.iter().any(|one| one.name == *group && there(one, resource))
        });
    }

    /// What the failed resources of a group wrote, as lines under `hbctl why`.
    pub fn lines(&self, group: &str, status: &Status) -> Vec<String> {
        let failed = |resource: &str| {
            let mut groups = status.groups.iter().filter(|one| one.name == group);
            groups.any(|one| one.resources.iter().any(|r| r.name == resource && r.last_error.is_some()))
        };
        let of = self.0.iter().filter(|((of, resource), _)| of == group && failed(resource));
        of.flat_map(|((_, resource), text)| {
            let all: Vec<&str> = text.lines().collect();
            let from = all.len().saturating_sub(SHOWN);
            let head = format!("what {resource} wrote when it failed:");
            std::iter::once(head)
                .chain(all[from..].iter().map(|line| format!("| {line}")))
                .collect::<Vec<_>>()
        })
        .collect()
    }

    /// Puts it beside the errors of a status.
    pub fn add_to(&self, status: &mut Value) {
        let groups = status.get_mut("groups").and_then(Value::as_array_mut).into_iter().flatten();
        for group in groups {
            let name = group["name"].as_str().unwrap_or_default().to_owned();
            let resources = group.get_mut("resources").and_then(Value::as_array_mut).into_iter().flatten();
            for resource in resources.filter(|resource| !resource["last_error"].is_null()) {
                let of = resource["name"].as_str().unwrap_or_default().to_owned();
                if let Some(text) = self.0.get(&(name.clone(), of)) {
                    resource["last_output"] = json!(text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs() -> Outputs {
        let mut outputs = Outputs::default();
        let text: String = (0..20).map(|n| format!("line {n}\n")).collect();
        outputs.keep("g".into(), "web".into(), text);
        outputs.keep("h".into(), "web".into(), "other".into());
        outputs
    }

    /// Groups g and h, each with a resource web that failed, or did not.
    fn status(error: Option<&str>) -> Status {
        let group = |name: &str| {
            json!({"name": name, "state": "started", "owner": null, "preferred": null, "epoch": 1, "requires": "nothing",
                   "why": "", "since_ms": 1, "resources": [
                       {"name": "web", "state": "started", "failures": 1, "last_error": error}]})
        };
        let status = json!({"cluster": "c", "node": "a", "standby": false, "maintenance": false, "state": "up", "nodes": [],
                            "groups": [group("g"), group("h")], "fencing": [], "degraded": [], "rejected": {},
                            "witness": null});
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn why_has_the_last_lines_of_its_own_group() {
        let lines = outputs().lines("g", &status(Some("it failed")));
        assert_eq!(lines.len(), 1 + SHOWN);
        assert_eq!((lines[0].as_str(), lines[1].as_str()), ("what web wrote when it failed:", "| line 8"));
        assert_eq!(lines.last().unwrap(), "| line 19");
        assert!(outputs().lines("x", &status(Some("it failed"))).is_empty());
        assert!(outputs().lines("g", &status(None)).is_empty());
    }

    #[test]
    fn a_failure_that_says_nothing_leaves_nothing_of_the_one_before() {
        let mut outputs = outputs();
        outputs.keep("g".into(), "web".into(), "\n".into());
        assert!(outputs.lines("g", &status(Some("it timed out"))).is_empty());
        let mut less = status(None);
        less.groups.retain(|group| group.name != "h");
        outputs.forget(&less);
        assert!(outputs.0.is_empty());
    }

    #[test]
    fn the_status_has_it_only_beside_an_error() {
        let resource = |error: Option<&str>| json!({"name": "web", "last_error": error});
        let mut status = json!({"groups": [
            {"name": "g", "resources": [resource(None)]},
            {"name": "h", "resources": [resource(Some("exit code 1"))]},
        ]});
        outputs().add_to(&mut status);
        assert!(status["groups"][0]["resources"][0].get("last_output").is_none(), "{status}");
        assert_eq!(status["groups"][1]["resources"][0]["last_output"], "other");
        outputs().add_to(&mut Value::Null);
    }
}
