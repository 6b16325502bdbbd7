//! The environment of an agent: nothing of hbd's own, always the same.
//!
//! | for | variables |
//! |---|---|
//! | all | `PATH LANG=C LC_ALL=C HOME=/ TERM=dumb`, `HBD_NODE HBD_CLUSTER HBD_GROUP HBD_RESOURCE HBD_OP` |
//! | Heartbeat, `lsb:`, `ocf:` | `HA_CURHOST HA_DIR HA_FUNCS HA_RCDIR HA_RSCTMP HA_NICEFAILBACK=yes HA_LOGFACILITY=none HA_LOGD=no HA_DEBUGLOG=/dev/null HA_debug=0 OCF_ROOT`: logs come to hbd through stderr |
//! | `ocf:` | `OCF_RA_VERSION_MAJOR=1 OCF_RA_VERSION_MINOR=1 OCF_RESOURCE_INSTANCE OCF_RESOURCE_TYPE OCF_RESOURCE_PROVIDER OCF_OUTPUT_FORMAT=text`, the parameters as `OCF_RESKEY_*`, `OCF_RESKEY_CRM_meta_name`, `_on_node`, `_timeout` and `_interval` (ms), `OCF_CHECK_LEVEL` for `monitor` and `validate-all` |
//!
//! A `monitor` of a resource that was not running when last heard of is a probe: `OCF_RESKEY_CRM_meta_interval` is 0, and
//! agents are milder about what is not there. Otherwise it is the resource's monitor interval.

use std::ffi::OsString;
use std::time::Duration;

use super::RunnerSettings;
use crate::config::{Agent, Resource};

pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What every program gets.
pub(crate) const PLAIN: [(&str, &str); 5] =
    [("PATH", PATH), ("LANG", "C"), ("LC_ALL", "C"), ("HOME", "/"), ("TERM", "dumb")];
/// A `depth` given as a parameter, as Pacemaker takes it.
const CHECK_LEVEL: &str = "OCF_CHECK_LEVEL";

pub(super) type Variables = Vec<(OsString, OsString)>;

/// The environment of one call; `known` says that the resource was running when last heard of.
pub(super) fn of(
    settings: &RunnerSettings,
    group: &str,
    resource: &Resource,
    action: &str,
    timeout: Duration,
    known: bool,
) -> Variables {
    let mut variables = Variables::new();
    let mut set = |name: &str, value: OsString| variables.push((name.into(), value));
    for (name, value) in PLAIN {
        set(name, value.into());
    }
    for (name, value) in [
        ("HBD_NODE", settings.node.as_str()),
        ("HBD_CLUSTER", &settings.cluster),
        ("HBD_GROUP", group),
        ("HBD_RESOURCE", &resource.name),
        ("HBD_OP", action),
    ] {
        set(name, value.into());
    }
    if matches!(resource.agent, Agent::Systemd { .. } | Agent::Address(_)) {
        return variables;
    }
    for (name, value) in [
        ("HA_CURHOST", settings.node.as_str()),
        ("HA_DIR", "/etc/ha.d"),
        ("HA_FUNCS", "/etc/ha.d/shellfuncs"),
        ("HA_RCDIR", "/etc/ha.d/rc.d"),
        ("HA_NICEFAILBACK", "yes"),
        ("HA_LOGFACILITY", "none"),
        ("HA_LOGD", "no"),
        ("HA_DEBUGLOG", "/dev/null"),
        ("HA_debug", "0"),
    ] {
        set(name, value.into());
    }
    set("HA_RSCTMP", settings.scratch.clone().into());
    set("OCF_ROOT", settings.ocf_root.clone().into());
    if let Agent::Ocf { provider, name, params, .. } = &resource.agent {
        let interval = resource.monitor.filter(|_| known && action == "monitor").unwrap_or_default();
        for (name, value) in [
            ("OCF_RA_VERSION_MAJOR", "1".to_owned()),
            ("OCF_RA_VERSION_MINOR", "1".to_owned()),
            ("OCF_RESOURCE_INSTANCE", instance(group, &resource.name)),
            ("OCF_RESOURCE_TYPE", name.clone()),
            ("OCF_RESOURCE_PROVIDER", provider.clone()),
            ("OCF_OUTPUT_FORMAT", "text".to_owned()),
            ("OCF_RESKEY_CRM_meta_name", action.to_owned()),
            ("OCF_RESKEY_CRM_meta_on_node", settings.node.clone()),
            ("OCF_RESKEY_CRM_meta_timeout", timeout.as_millis().to_string()),
            ("OCF_RESKEY_CRM_meta_interval", interval.as_millis().to_string()),
        ] {
            set(name, value.into());
        }
        if matches!(action, "monitor" | "validate-all") {
            let level = params.get(CHECK_LEVEL).map_or("0", String::as_str);
            set(CHECK_LEVEL, level.into());
        }
        for (name, value) in params.iter().filter(|(name, _)| *name != CHECK_LEVEL) {
            set(&format!("OCF_RESKEY_{name}"), value.into());
        }
    }
    variables
}

/// The name an OCF agent knows the resource by: `group.resource`, fit for a file name, as agents put it
/// into one. Where that has lost something, a digest of the two names keeps it unique. The same at each
/// start and in each version: it leads an agent to the state it has left behind.
fn instance(group: &str, resource: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let clean =
        |name: &str| name.chars().map(|c| if plain(c) { c } else { '_' }).take(60).collect::<String>();
    let (g, r) = (clean(group), clean(resource));
    if g == group && r == resource {
        return format!("{g}.{r}");
    }
    let parts = [group.as_bytes(), &[0], resource.as_bytes()];
    let digest = parts.into_iter().fold(proto::FNV64, proto::fnv64);
    format!("{g}.{r}-{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap};

    fn ocf(params: &[(&str, &str)]) -> Resource {
        Resource {
            name: "data".into(),
            agent: Agent::Ocf {
                provider: "heartbeat".into(),
                name: "Dummy".into(),
                path: "/x".into(),
                params: params
                    .iter()
                    .map(|(k, v)| (k.to_string(), v.to_string()))
                    .collect::<BTreeMap<_, _>>(),
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

    fn variables(resource: &Resource, action: &str, known: bool) -> HashMap<String, String> {
        let settings = RunnerSettings::new("a", "c", "/run/x");
        of(&settings, "g", resource, action, Duration::from_secs(20), known)
            .into_iter()
            .map(|(k, v)| (k.into_string().expect("text"), v.into_string().expect("text")))
            .collect()
    }

    #[test]
    fn an_ocf_agent_gets_its_parameters_and_the_operations() {
        let env = variables(&ocf(&[("state", "/s t"), ("OCF_CHECK_LEVEL", "20")]), "monitor", true);
        assert_eq!(env["OCF_RESKEY_state"], "/s t");
        assert_eq!(env["OCF_CHECK_LEVEL"], "20");
        assert_eq!(env["OCF_RESKEY_CRM_meta_timeout"], "20000");
        assert_eq!(env["OCF_RESKEY_CRM_meta_interval"], "10000");
        assert_eq!(env["OCF_RESKEY_CRM_meta_name"], "monitor");
        assert_eq!(env["OCF_RESKEY_CRM_meta_on_node"], "a");
        assert_eq!(env["OCF_RESOURCE_INSTANCE"], "g.data");
        assert_eq!(env["HA_RSCTMP"], "/run/x");
        assert!(!env.contains_key("OCF_RESKEY_OCF_CHECK_LEVEL"));
    }

    #[test]
    fn a_look_at_what_is_not_known_to_run_is_a_probe() {
        assert_eq!(variables(&ocf(&[]), "monitor", false)["OCF_RESKEY_CRM_meta_interval"], "0");
        let start = variables(&ocf(&[]), "start", true);
        assert_eq!(start["OCF_RESKEY_CRM_meta_interval"], "0");
        assert!(!start.contains_key("OCF_CHECK_LEVEL"));
    }

    #[test]
    fn instances_are_file_names_and_never_the_same() {
        assert_eq!(instance("web", "my-fs_1"), "web.my-fs_1");
        let names = [
            ("a", "b"),
            ("a.b", "c"),
            ("a", "b.c"),
            ("a", "b/c"),
            ("a", "b_c"),
            ("a", "IPaddr::10.0.0.1/24/eth0"),
            ("a", ""),
            ("", "a"),
            ("ä", "ö"),
        ];
        let mut all: Vec<String> = names.iter().map(|(g, r)| instance(g, r)).collect();
        assert!(
            all.iter().all(|i| i.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))),
            "{all:?}"
        );
        all.sort();
        all.dedup();
        assert_eq!(all.len(), names.len());
    }
}
