//! What an OCF agent says of itself (`meta-data`), and what that means for a resource.
//!
//! The format is the one of the OCF Resource Agent API 1.0 and 1.1 (`ra-api-1.dtd`); what an agent leaves out is taken as not said.

use std::time::Duration;

use roxmltree::{Document, Node, ParsingOptions};

use crate::config::{Agent, Resource};

/// The longest meta-data read (the longest in Debian has about 40 KiB).
pub(super) const MAX_BYTES: usize = 1 << 20;
/// More elements than any agent has.
const MAX_NODES: u32 = 100_000;

/// An agent's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The agent's name.
    pub name: String,
    /// Its version, if it says one.
    pub version: Option<String>,
    /// One line about it.
    pub description: String,
    /// The parameters it knows.
    pub parameters: Vec<Parameter>,
    /// The actions it knows; `monitor` may be there several times.
    pub actions: Vec<Action>,
}

/// One parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, without `OCF_RESKEY_`.
    pub name: String,
    /// It must be given.
    pub required: bool,
    /// No two resources may have the same value.
    pub unique: bool,
    /// `string`, `integer`, `boolean`, …
    pub kind: String,
    /// What holds if it is not given.
    pub default: Option<String>,
}

/// One action, with what its author advises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// The least timeout advised.
    pub timeout: Option<Duration>,
    /// Between two of them.
    pub interval: Option<Duration>,
}

impl Metadata {
    /// The timeout advised for an action: the longest, where it is there several times.
    pub fn timeout(&self, action: &str) -> Option<Duration> {
        self.actions.iter().filter(|a| a.name == action).filter_map(|a| a.timeout).max()
    }

    /// What is odd about a resource of this agent, a sentence each: unknown parameters, required ones that are missing, and
    /// timeouts shorter than advised.
    pub fn advice(&self, resource: &Resource) -> Vec<String> {
        let Agent::Ocf { params, .. } = &resource.agent else {
            return Vec::new();
        };
        let mut advice = Vec::new();
        for name in params.keys().filter(|name| !name.starts_with("OCF_")) {
            if !self.parameters.iter().any(|p| p.name == *name) {
                let known: Vec<&str> = self.parameters.iter().map(|p| p.name.as_str()).collect();
                advice.push(format!(
                    "{}: the agent {} knows no parameter {name}; it knows {}",
                    resource.name,
                    self.name,
                    known.join(", ")
                ));
            }
        }
        for parameter in self.parameters.iter().filter(|p| p.required && !params.contains_key(&p.name)) {
            advice.push(format!(
                "{}: the agent {} requires the parameter {}",
                resource.name, self.name, parameter.name
            ));
        }
        let look = resource.monitor.map(|_| ("monitor", resource.monitor_timeout));
        for (action, ours) in
            [("start", resource.start_timeout), ("stop", resource.stop_timeout)].into_iter().chain(look)
        {
            if let Some(theirs) = self.timeout(action).filter(|theirs| *theirs > ours) {
                advice.push(format!(
                    "{}: {action}_timeout is {ours:?}, the agent {} advises at least {theirs:?}",
                    resource.name, self.name
                ));
            }
        }
        advice
    }
}

/// Reads meta-data.
///
/// # Errors
/// A sentence, with line and column if it is no XML.
pub(super) fn parse(text: &str) -> Result<Metadata, String> {
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    // Some agents print an empty line before the declaration, which XML does not allow.
    let document = Document::parse_with_options(text.trim(), options).map_err(|e| e.to_string())?;
    let root = document.root_element();
    if root.tag_name().name() != "resource-agent" {
        return Err(format!("it describes a <{}>, not a <resource-agent>", root.tag_name().name()));
    }
    let name = root.attribute("name").ok_or("the <resource-agent> has no name")?;
    let listed = |list: &'static str, element: &'static str| {
        root.children().filter(move |n| n.has_tag_name(list)).flat_map(move |n| {
            n.children().filter(move |n| n.has_tag_name(element) && n.has_attribute("name"))
        })
    };
    Ok(Metadata {
        name: name.to_owned(),
        version: root.attribute("version").map(str::to_owned),
        description: text_of(root, "shortdesc"),
        parameters: listed("parameters", "parameter").map(parameter).collect(),
        actions: listed("actions", "action").map(action).collect(),
    })
}

fn parameter(node: Node<'_, '_>) -> Parameter {
    let content = node.children().find(|n| n.has_tag_name("content"));
    Parameter {
        name: attribute(node, "name"),
        required: truth(node, "required"),
        // OCF 1.1 says `unique-group` for what 1.0 said by `unique`.
        unique: truth(node, "unique") || node.has_attribute("unique-group"),
        kind: content.map(|c| attribute(c, "type")).unwrap_or_default(),
        default: content.and_then(|c| c.attribute("default")).map(str::to_owned),
    }
}

fn action(node: Node<'_, '_>) -> Action {
    let time = |name| node.attribute(name).and_then(duration);
    Action { name: attribute(node, "name"), timeout: time("timeout"), interval: time("interval") }
}

fn attribute(node: Node<'_, '_>, name: &str) -> String {
    node.attribute(name).unwrap_or_default().to_owned()
}

fn truth(node: Node<'_, '_>, name: &str) -> bool {
    node.attribute(name).is_some_and(|v| matches!(v.to_lowercase().as_str(), "1" | "true" | "yes"))
}

fn text_of(node: Node<'_, '_>, child: &str) -> String {
    let found = node.children().find(|n| n.has_tag_name(child));
    found.and_then(|n| n.text()).unwrap_or_default().trim().to_owned()
}

/// A time as agents write it: a number of seconds, or with one of the units Pacemaker takes.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match text[end..].trim().to_lowercase().as_str() {
        "" | "s" | "sec" => seconds(1),
        "ms" | "msec" => Some(Duration::from_millis(number)),
        "us" | "usec" => Some(Duration::from_micros(number)),
        "m" | "min" => seconds(60),
        "h" | "hr" => seconds(3600),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="Disk" version="2.0">
  <version>1.1</version>
  <shortdesc lang="en"> A disk &amp; more </shortdesc>
  <parameters>
    <parameter name="device" required="1" unique-group="d"><content type="string"/></parameter>
    <parameter name="mode" unique="0" required="0"><content type="integer" default="3"/></parameter>
    <parameter><content/></parameter>
  </parameters>
  <actions>
    <action name="start" timeout="90s"/><action name="stop" timeout="20"/>
    <action name="monitor" timeout="1min" interval="500ms"/><action name="monitor" timeout="40s" depth="20"/>
  </actions>
</resource-agent>"#;

    fn resource(params: &[(&str, &str)]) -> Resource {
        Resource {
            name: "r".into(),
            agent: Agent::Ocf {
                provider: "p".into(),
                name: "Disk".into(),
                path: "/x".into(),
                params: params.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            },
            monitor: Some(Duration::from_secs(10)),
            monitor_timeout: Duration::from_secs(20),
            start_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(60),
            restarts: 1,
            failure_window: Duration::from_secs(3600),
            on_fail: cluster::OnFail::Restart,
            on_stop_failure: None,
            parallel: false,
        }
    }

    #[test]
    fn a_description_is_read() {
        let data = parse(TEXT).expect("good");
        assert_eq!((data.name.as_str(), data.version.as_deref()), ("Disk", Some("2.0")));
        assert_eq!(data.description, "A disk & more");
        assert_eq!(data.parameters.len(), 2);
        assert!(
            data.parameters[0].required && data.parameters[0].unique && data.parameters[0].default.is_none()
        );
        assert_eq!(data.parameters[1].default.as_deref(), Some("3"));
        assert_eq!(data.timeout("monitor"), Some(Duration::from_secs(60)));
        assert_eq!(data.actions[2].interval, Some(Duration::from_millis(500)));
        assert_eq!(data.timeout("promote"), None);
    }

    #[test]
    fn advice_names_what_is_odd_and_nothing_else() {
        let data = parse(TEXT).expect("good");
        let odd = data.advice(&resource(&[("devise", "/dev/x")]));
        assert_eq!(odd.len(), 4, "{odd:?}");
        assert!(odd[0].contains("knows no parameter devise; it knows device, mode"));
        assert!(odd[1].contains("requires the parameter device"));
        assert!(odd[2].contains("start_timeout is 60s, the agent Disk advises at least 90s"));
        assert!(odd[3].contains("monitor_timeout is 20s"));
        let mut good = resource(&[("device", "/dev/x"), ("OCF_CHECK_LEVEL", "10")]);
        good.start_timeout = Duration::from_secs(90);
        good.monitor = None;
        assert_eq!(data.advice(&good), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_description_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "root"),
            ("Usage: Disk {start|stop}", "1:1"),
            ("<agent/>", "<agent>"),
            ("<resource-agent/>", "no name"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(parse(&TEXT[..TEXT.len() / 2]).is_err());
    }

    #[test]
    fn times_are_read_as_pacemaker_does() {
        for (text, ms) in [
            ("20", 20_000),
            ("20s", 20_000),
            ("20 sec", 20_000),
            ("5ms", 5),
            ("2m", 120_000),
            ("1H", 3_600_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1", "1d", "99999999999999999999", "18446744073709551615h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
