//! `[daemon]` and `[console]`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::environment::Environment;
use super::model::Daemon;
use super::problem::Report;
use super::table::{Table, shown};

/// Where agents with a bare name are, unless told otherwise.
const AGENT_PATH: [&str; 4] =
    ["/etc/hbd/resource.d", "/usr/lib/hbd/resource.d", "/etc/ha.d/resource.d", "/etc/init.d"];
/// Who may steer besides root, unless told otherwise.
const GROUP: &str = "hbd";

/// How often addresses are announced again, unless told otherwise.
const REFRESH: Duration = Duration::from_secs(300);
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

/// Reads `[daemon]`, all of which has defaults.
pub(super) fn read(root: &Table<'_>, env: &dyn Environment, report: &Report<'_>) -> Daemon {
    let default_path = || AGENT_PATH.iter().map(PathBuf::from).collect();
    let default_group = || env.user_group_exists(GROUP).then(|| GROUP.to_owned());
    let Some(table) = root.table("daemon", "[daemon]") else {
        let announce_refresh = Some(REFRESH);
        return Daemon {
            agent_path: default_path(),
            group: default_group(),
            realtime: true,
            announce_refresh,
        };
    };
    let agent_path = table.strings("agent_path").map(|list| {
        if list.value.is_empty() {
            report.error(
                &list.span,
                "there is no folder to find agents in",
                "name one, or leave agent_path out",
            );
        }
        for at in list.value.iter().filter(|at| !Path::new(at.value).is_absolute()) {
            report.error(
                &at.span,
                format!("the folder '{}' is no absolute path", shown(at.value)),
                "write the whole path: \"/etc/hbd/resource.d\"",
            );
        }
        list.value.iter().map(|at| PathBuf::from(at.value)).collect()
    });
    let group = match table.string("group") {
        None => default_group(),
        Some(at) if env.user_group_exists(at.value) => Some(at.value.to_owned()),
        Some(at) => {
            let message = format!("this machine has no group '{}': only root may steer", shown(at.value));
            report.warning(&at.span, message, format!("groupadd --system {}", shown(at.value)));
            None
        }
    };
    let realtime = table.boolean("realtime").is_none_or(|at| at.value);
    let announce_refresh = refresh(&table, report);
    table.finish();
    Daemon { agent_path: agent_path.unwrap_or_else(default_path), group, realtime, announce_refresh }
}

/// `announce_refresh`: a duration, or 0s for never.
fn refresh(table: &Table<'_>, report: &Report<'_>) -> Option<Duration> {
    let Some(at) = table.duration("announce_refresh", Duration::ZERO, Duration::from_secs(24 * 3600)) else {
        return Some(REFRESH);
    };
    if at.value > Duration::ZERO && at.value < SHORTEST_REFRESH {
        report.error(
            &at.span,
            "announcing more often than each second helps nobody",
            "write \"1s\" or more, or \"0s\" for never",
        );
    }
    (at.value > Duration::ZERO).then_some(at.value)
}

/// Reads `[console]`.
pub(super) fn console(root: &Table<'_>, report: &Report<'_>) -> Option<SocketAddr> {
    const HELP: &str = "write an address and a port: listen = \"127.0.0.1:7694\"";
    let table = root.table("console", "[console]")?;
    let listen = table.required_string("listen", HELP);
    table.finish();
    let at = listen?;
    let Ok(address) = at.value.parse::<SocketAddr>() else {
        let help = match at.value.rsplit_once(':') {
            Some(("" | "*", port)) if port.parse::<u16>().is_ok() => {
                format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for everybody to see")
            }
            Some(("localhost", port)) => {
                format!("write \"127.0.0.1:{}\": names are not looked up", shown(port))
            }
            _ => HELP.to_owned(),
        };
        report.error(&at.span, format!("\"{}\" is no address to listen on", shown(at.value)), help);
        return None;
    };
    if address.port() == 0 {
        report.error(&at.span, "port 0 would be another one at each start", HELP);
    } else if address.ip().is_multicast() {
        report.error(&at.span, format!("{} is a multicast group", address.ip()), HELP);
    } else if address.ip().is_unspecified() {
        let help = format!("write \"127.0.0.1:{}\" if only this machine should see it", address.port());
        report.warning(&at.span, "the console can be seen by everybody on the network", help);
    }
    Some(address)
}
