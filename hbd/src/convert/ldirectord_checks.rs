//! What ldirectord asked of real servers, in the director's words.

use std::time::Duration;

use super::doc::{Remark, add};
use super::ldirectord::{Real, unquoted};
use super::ldirectord_services::Scope;
use super::service_file::Timing;
use super::source::shown;
use super::spelling::{expect, regex_fits};
use super::value::{Value, show};

/// Services with their ports, as ldirectord guesses one from the other.
const PORTS: [(u32, &str); 19] = [
    (21, "ftp"),
    (25, "smtp"),
    (53, "dns"),
    (80, "http"),
    (110, "pop"),
    (119, "nntp"),
    (143, "imap"),
    (389, "ldap"),
    (443, "https"),
    (587, "submission"),
    (636, "ldaps"),
    (993, "imaps"),
    (995, "pops"),
    (1521, "oracle"),
    (1812, "radius"),
    (3128, "http_proxy"),
    (3306, "mysql"),
    (5432, "pgsql"),
    (5060, "sip"),
];
/// The longest interval of the director.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Other names that stand for ports (/etc/services).
const NAMES: [(&str, u32); 8] = [
    ("domain", 53),
    ("www", 80),
    ("pop3", 110),
    ("imap2", 143),
    ("ssh", 22),
    ("telnet", 23),
    ("pop3s", 995),
    ("postgresql", 5432),
];

/// The port a name stands for.
pub(super) fn port_of(name: &str) -> Option<u32> {
    let service = PORTS.iter().find(|(_, service)| *service == name).map(|(port, _)| *port);
    service.or_else(|| NAMES.iter().find(|(other, _)| *other == name).map(|(_, port)| *port))
}

/// What is usually on a port.
pub(super) fn name_of(port: u32) -> Option<&'static str> {
    let other = NAMES.iter().find(|(_, number)| *number == port).map(|(name, _)| *name);
    PORTS.iter().find(|(number, _)| *number == port).map(|(_, name)| *name).or(other)
}

/// How a service is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Not at all, and nothing is activated.
    Never,
    /// Not at all, and all are up.
    Nothing,
    /// A connection.
    Connected,
    /// An echo.
    Pinged,
    /// A program.
    Called,
    /// The service by its protocol.
    Negotiated(String),
    /// So many connections, then the service once.
    Both(u32, String),
}

impl Asked {
    /// The service it is.
    pub(super) fn service(&self) -> Option<&str> {
        match self {
            Asked::Negotiated(service) | Asked::Both(_, service) => {
                Some(service).filter(|name| *name != "none").map(|x| x.as_str())
            }
            _ => None,
        }
    }
}

/// What is asked of the service of `scope`.
pub(super) fn asked(scope: &Scope<'_>, port: u32, protocol: &str) -> Asked {
    let usual = PORTS.iter().find(|(number, _)| *number == port).map_or("none", |(_, name)| name);
    let service = scope.text("service").unwrap_or(usual).to_owned();
    match scope.text("checktype").unwrap_or("negotiate") {
        "off" => Asked::Never,
        "on" => Asked::Nothing,
        "ping" => Asked::Pinged,
        // Of a UDP service ldirectord could only ask the host.
        "connect" if protocol == "udp" => Asked::Pinged,
        "connect" => Asked::Connected,
        "external" | "external-perl" => Asked::Called,
        number => match number.parse() {
            Ok(count) if count > 0 => Asked::Both(count, service),
            _ => Asked::Negotiated(service),
        },
    }
}

/// The check, or the list of them, for a real server on `port`; empty for what the director does anyway.
pub(super) fn tables(
    scope: &Scope<'_>,
    asked: &Asked,
    real: &Real,
    port: u32,
    timing: Timing,
    remarks: &mut Vec<Remark>,
) -> Vec<Value> {
    let said = scope.text("checkport").and_then(|port| port.parse::<u32>().ok());
    // As with `connect` alone, a UDP service has nothing to connect to.
    let udp = scope.protocol(port) == "udp";
    let mut check = match asked {
        Asked::Never | Asked::Nothing => return vec![super::value::table([("type", "off".into())])],
        Asked::Pinged => return vec![super::value::table([("type", "ping".into())])],
        Asked::Called => return vec![program(scope, remarks)],
        Asked::Connected => Check::of("connect"),
        Asked::Negotiated(service) | Asked::Both(_, service) => negotiated(scope, service, real, remarks),
    };
    check.port = check.port.or(said).or(if port == 0 { asked.service().and_then(port_of) } else { None });
    if port == 0 && check.port.is_none() {
        let why = "there is no port to ask, so the host is: an echo";
        add(remarks, Remark::changed(scope.place(real.line), "real", why));
        return vec![super::value::table([("type", "ping".into())])];
    }
    let port = check.port;
    if let Asked::Both(count, _) = asked {
        let mut connect = Check::of(if udp { "ping" } else { "connect" });
        connect.port = port.filter(|_| !udp);
        check.put("interval", show(timing.interval.saturating_mul(*count).min(DAY)));
        return vec![check.value(), connect.value()];
    }
    match check.is_plain_connect() {
        true => Vec::new(),
        false => vec![check.value()],
    }
}

/// A check as it is put together.
struct Check {
    entries: Vec<(String, Value)>,
    port: Option<u32>,
}

impl Check {
    fn of(kind: &str) -> Check {
        Check { entries: vec![("type".to_owned(), kind.into())], port: None }
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.entries.push((key.to_owned(), value.into()));
    }

    fn put_some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn is_plain_connect(&self) -> bool {
        self.port.is_none() && self.entries.len() == 1 && self.entries[0].1 == Value::from("connect")
    }

    fn value(mut self) -> Value {
        if let Some(port) = self.port {
            self.entries.insert(1, ("port".to_owned(), port.into()));
        }
        Value::Table(self.entries)
    }
}

fn negotiated(scope: &Scope<'_>, service: &str, real: &Real, remarks: &mut Vec<Remark>) -> Check {
    let request = real.request.as_deref().or(scope.text("request")).filter(|text| !text.is_empty());
    let receive = receive(scope, real, remarks);
    let (kind, tls) = match service {
        "pop" => ("pop3", false),
        "pops" => ("pop3", true),
        "imaps" => ("imap", true),
        "ldaps" => ("ldap", true),
        "submission" => ("smtp", false),
        "simpletcp" => ("connect", false),
        "http" | "https" | "dns" | "ftp" | "imap" | "ldap" | "mysql" | "nntp" | "pgsql" | "radius"
        | "sip" | "smtp" => (service, service == "https"),
        "none" => return Check::of("connect"),
        other => {
            let why = format!(
                "service {}: the director has no check of its own for it, so a connection is asked for; a program can ask more, type = \"script\"",
                shown(other)
            );
            let line = scope.said("service").map_or(real.line, |setting| setting.line);
            add(remarks, Remark::todo(Some(scope.place(line)), why));
            return Check::of("connect");
        }
    };
    let mut check = Check::of(kind);
    match kind {
        "http" | "https" => http(scope, request, &mut check),
        "dns" => check.put_some("name", request),
        "ldap" => check.put_some("base", request),
        "mysql" | "pgsql" => check.put_some("query", request),
        "connect" => check.put_some("send", request.map(|text| text.replace("\\n", "\n"))),
        "ftp" | "nntp" => check.put_some("path", request),
        _ => {}
    }
    if !["mysql", "pgsql", "radius", "sip", "smtp"].contains(&kind) {
        check.put_some("expect", receive);
    }
    login(scope, kind, &mut check, remarks);
    if tls && kind != "https" {
        check.put("tls", true);
    }
    if tls {
        // ldirectord looked at no certificate.
        check.put("verify", false);
    }
    check
}

/// What the answer must have.
fn receive(scope: &Scope<'_>, real: &Real, remarks: &mut Vec<Remark>) -> Option<String> {
    let pattern = real.receive.as_deref().or(scope.text("receive")).filter(|text| !text.is_empty())?;
    if regex_fits(pattern) {
        return Some(expect(pattern));
    }
    let line = if real.receive.is_some() {
        real.line
    } else {
        scope.said("receive").map_or(real.line, |said| said.line)
    };
    let why = format!("receive: the director cannot say /{}/, write another expect", shown(pattern));
    add(remarks, Remark::todo(Some(scope.place(line)), why));
    None
}

/// Path, host and port of a request, which may be a whole URL.
fn http(scope: &Scope<'_>, request: Option<&str>, check: &mut Check) {
    let mut host = scope.text("virtualhost").map(|host| unquoted(host).to_owned());
    let mut path = request.map(str::to_owned);
    let url = request.and_then(|text| text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")));
    if let Some(url) = url {
        let (place, rest) = url.split_at(url.find('/').unwrap_or(url.len()));
        let (name, port) = super::spelling::split_port(place);
        host = host.or_else(|| Some(name.to_owned()));
        check.port = port.and_then(|port| port.parse().ok());
        path = Some(rest.to_owned());
    }
    let path = path.map(|path| if path.starts_with('/') { path } else { format!("/{path}") });
    check.put_some("path", path.filter(|path| path != "/"));
    check.put_some("host", host);
    check.put_some(
        "method",
        scope.text("httpmethod").filter(|method| !method.eq_ignore_ascii_case("GET")).map(str::to_uppercase),
    );
}

/// Who logs in, and where.
fn login(scope: &Scope<'_>, kind: &str, check: &mut Check, remarks: &mut Vec<Remark>) {
    let said = |name: &str| scope.text(name).filter(|text| !text.is_empty());
    if ["http", "https", "connect", "dns", "smtp", "nntp"].contains(&kind) {
        return;
    }
    check.put_some("user", said("login"));
    if kind == "sip" {
        return;
    }
    check.put_some("password", said("passwd").filter(|_| said("login").is_some() || kind == "radius"));
    if ["mysql", "pgsql"].contains(&kind) {
        check.put_some("database", said("database"));
    }
    if kind == "radius" {
        check.put_some("secret", said("secret"));
    }
    if let Some(setting) =
        scope.said("passwd").or(scope.said("secret")).filter(|setting| !setting.value.is_empty())
    {
        let why = "the secret is better in a file that only root may read: password_file, secret_file";
        add(remarks, Remark::todo(Some(scope.place(setting.line)), why));
    }
}

fn program(scope: &Scope<'_>, remarks: &mut Vec<Remark>) -> Value {
    let command = scope.text("checkcommand").unwrap_or("/bin/true");
    let perl = scope.said("checktype").filter(|setting| setting.value == "external-perl");
    if let Some(setting) = perl {
        let why = "it is called as a program: it must be executable and begin with #!/usr/bin/perl";
        add(remarks, Remark::changed(scope.place(setting.line), "external-perl", why));
    }
    if let Some(setting) = scope.said("checkcommand")
        && (!command.starts_with('/') || command.contains(char::is_whitespace))
    {
        let why = "checkcommand: write its whole path; arguments of its own go into args, with %v %V %h %p for the four";
        add(remarks, Remark::todo(Some(scope.place(setting.line)), why));
    }
    super::value::table([("type", "script".into()), ("program", command.into())])
}
