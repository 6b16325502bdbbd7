//! A check as it stands in the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base::config::file;
use base::config::problem::Report;
use base::config::suggest::{listed, nearest};
use base::config::table::{At, Table, shown};
use toml::de::DeValue;

use super::spec::{
    Calling, Dialogue, Dns, Expect, Grpc, Http, HttpVersion, Ldap, Radius, Redis, Scope, Script, Secret,
    Session, Sip, Spec, Sql, Tls,
};
use super::web;

/// The types of checks there are.
pub const TYPES: [&str; 21] = [
    "connect", "http", "https", "h2", "grpc", "dns", "smtp", "imap", "pop3", "ftp", "nntp", "ldap", "mysql",
    "pgsql", "redis", "radius", "sip", "ping", "udp", "script", "off",
];

/// How long before its end a certificate is warned of, unless told otherwise.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);
/// Longest text that is sent or expected.
const LONGEST_TEXT: usize = 4096;

/// Reads what the table of a check says but its timing and port; the caller asks for those and then calls
/// [`Table::finish`]. `None` if it cannot be used: then that is in the report.
pub fn read(table: &Table<'_>, report: &Report<'_>) -> Option<Spec> {
    let help = "name what is asked of the real server: type = \"http\"";
    let kind = table.required_string("type", help)?;
    let spec = by_type(&kind, table, report)?;
    // What only shows when the check is made ready: a filter, a name, a file of authorities.
    if let Err(why) = super::possible(&spec) {
        report.error(&kind.span, format!("this check cannot be asked: {why}"), "correct it in this table");
    }
    Some(spec)
}

fn by_type(kind: &At<&str>, table: &Table<'_>, report: &Report<'_>) -> Option<Spec> {
    Some(match kind.value {
        "off" => Spec::Off,
        "ping" => Spec::Ping,
        "connect" => Spec::Connect(dialogue(table, report, tls(table, report, false))),
        "udp" => Spec::Udp(dialogue(table, report, None)),
        "http" => Spec::Http(http(table, report, HttpVersion::One, false)),
        "https" => Spec::Http(http(table, report, HttpVersion::One, true)),
        "h2" => Spec::Http(http(table, report, HttpVersion::Two, false)),
        "grpc" => Spec::Grpc(Grpc {
            service: owned(table.string("service")).unwrap_or_default(),
            host: owned(table.string("host")),
            tls: tls(table, report, false),
        }),
        "dns" => Spec::Dns(dns(table, report)),
        "smtp" => Spec::Smtp(Session { hello: owned(table.string("hello")), ..session(table, report) }),
        "pop3" => Spec::Pop3(session(table, report)),
        "imap" => {
            needs_user(table, report, &["path"]);
            Spec::Imap(Session { path: owned(table.string("path")), ..session(table, report) })
        }
        "ftp" => Spec::Ftp(Session { path: owned(table.string("path")), ..session(table, report) }),
        "nntp" => Spec::Nntp(Session { path: owned(table.string("path")), ..session(table, report) }),
        "redis" => Spec::Redis(Redis {
            command: owned(table.string("command")),
            expect: expect(table, report),
            tls: tls(table, report, false),
            user: owned(table.string("user")),
            password: password(table, report),
        }),
        "ldap" => Spec::Ldap(ldap(table, report)),
        "mysql" => Spec::Mysql(sql(table, report)),
        "pgsql" => Spec::Pgsql(sql(table, report)),
        "radius" => Spec::Radius(radius(table, report)),
        "sip" => Spec::Sip(Sip {
            user: owned(table.string("user")),
            status: status(table, report),
            tls: tls(table, report, false),
        }),
        "script" => Spec::Script(script(table, report)?),
        _ => return unknown(kind, report),
    })
}

fn unknown(kind: &At<&str>, report: &Report<'_>) -> Option<Spec> {
    let help = match nearest(kind.value, TYPES) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("the types are {}", listed(&TYPES)),
    };
    report.error(&kind.span, format!("there is no check of type '{}'", shown(kind.value)), help);
    None
}

fn owned(at: Option<At<&str>>) -> Option<String> {
    at.map(|at| at.value.to_owned())
}

fn dialogue(table: &Table<'_>, report: &Report<'_>, tls: Option<Tls>) -> Dialogue {
    let send = table.string("send").filter(|at| not_too_long(at, report));
    Dialogue { send: owned(send), expect: expect(table, report), tls }
}

fn not_too_long(at: &At<&str>, report: &Report<'_>) -> bool {
    if at.value.len() <= LONGEST_TEXT {
        return true;
    }
    report.error(
        &at.span,
        format!("the text has {} bytes", at.value.len()),
        format!("at most {LONGEST_TEXT} are taken"),
    );
    false
}

/// `expect = "text"`, or `"/a regular expression/"`.
fn expect(table: &Table<'_>, report: &Report<'_>) -> Option<Expect> {
    let at = table.string("expect").filter(|at| not_too_long(at, report))?;
    let Some(pattern) = at.value.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) else {
        return Some(Expect::Text(at.value.to_owned()));
    };
    match regex_lite::Regex::new(pattern) {
        Ok(_) => Some(Expect::Regex(pattern.to_owned())),
        Err(error) => {
            let help = "between slashes stands a regular expression; without them it is a plain text";
            report.error(&at.span, format!("'expect' is no regular expression: {error}"), help);
            None
        }
    }
}

/// `tls = true`, `verify`, `tls_name`, `ca_file`, `warn_before`; `always` if the type says so already.
fn tls(table: &Table<'_>, report: &Report<'_>, always: bool) -> Option<Tls> {
    let said = if always { None } else { table.boolean("tls") };
    let upgrade = if always { None } else { table.boolean("starttls") };
    let verify = table.boolean("verify");
    let name = table.string("tls_name");
    let ca_file = table.string("ca_file");
    let warn = table.duration("warn_before", Duration::ZERO, Duration::from_secs(60 * 24 * 3600));
    let upgraded = upgrade.as_ref().is_some_and(|at| at.value);
    if !(always || upgraded || said.is_some_and(|at| at.value)) {
        for (at, key) in [
            (verify.map(|at| at.span), "verify"),
            (name.map(|at| at.span), "tls_name"),
            (ca_file.map(|at| at.span), "ca_file"),
            (warn.map(|at| at.span), "warn_before"),
        ] {
            if let Some(span) = at {
                report.error(&span, format!("'{key}' is of no use without TLS"), "write tls = true too");
            }
        }
        return None;
    }
    Some(Tls {
        verify: verify.is_none_or(|at| at.value),
        name: owned(name),
        ca_file: ca_file.map(|at| PathBuf::from(at.value)),
        warn_before: warn.map_or(WARN_BEFORE, |at| at.value),
        upgrade: upgraded,
    })
}

fn http(table: &Table<'_>, report: &Report<'_>, version: HttpVersion, always_tls: bool) -> Http {
    let path = web::rooted(table.string("path").map_or("/", |at| at.value));
    needs_user(table, report, &["password", "password_file"]);
    Http {
        version,
        tls: tls(table, report, always_tls),
        method: owned(table.string("method")).unwrap_or_else(|| "GET".to_owned()),
        path,
        host: owned(table.string("host")),
        headers: headers(table, report),
        status: status(table, report),
        expect: expect(table, report),
        user: owned(table.string("user")),
        password: password(table, report),
    }
}

fn headers(table: &Table<'_>, report: &Report<'_>) -> BTreeMap<String, String> {
    let Some(headers) = table.table("headers", "'headers'") else { return BTreeMap::new() };
    let text = |(key, value): (At<&str>, _)| {
        let what = format!("the header '{}'", shown(key.value));
        let value = base::config::table::text(report, &what, value)?;
        Some((key.value.to_owned(), value.value.to_owned()))
    };
    headers.entries().into_iter().filter_map(text).collect()
}

/// `status = [200, 301]`, or one number.
fn status(table: &Table<'_>, report: &Report<'_>) -> Vec<u16> {
    let Some(value) = table.value("status") else { return Vec::new() };
    let alone = std::slice::from_ref(value);
    let list = match value.get_ref() {
        DeValue::Array(list) => list.iter().collect::<Vec<_>>(),
        _ => alone.iter().collect(),
    };
    let code = |value: &toml::Spanned<DeValue<'_>>| {
        let number = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let code = number.and_then(|number| u16::try_from(number).ok()).filter(|n| (100..600).contains(n));
        if code.is_none() {
            let help = "status codes are whole numbers from 100 to 599: status = [200, 204]";
            report.error(&value.span(), "this is no status code", help);
        }
        code
    };
    list.into_iter().filter_map(code).collect()
}

fn dns(table: &Table<'_>, report: &Report<'_>) -> Dns {
    const RECORDS: [&str; 9] = ["A", "AAAA", "NS", "MX", "SOA", "TXT", "CNAME", "PTR", "SRV"];
    let record = table.string("record").and_then(|at| {
        let upper = at.value.to_ascii_uppercase();
        if RECORDS.contains(&upper.as_str()) {
            return Some(upper);
        }
        let help = format!("the types of records are {}", listed(&RECORDS));
        report.error(&at.span, format!("'{}' is no type of record", shown(at.value)), help);
        None
    });
    Dns {
        name: owned(table.string("name")).unwrap_or_default(),
        record,
        expect: expect(table, report),
        tcp: table.boolean("tcp").map(|at| at.value),
    }
}

fn session(table: &Table<'_>, report: &Report<'_>) -> Session {
    needs_user(table, report, &["password", "password_file"]);
    Session {
        tls: tls(table, report, false),
        user: owned(table.string("user")),
        password: password(table, report),
        expect: expect(table, report),
        ..Session::default()
    }
}

fn ldap(table: &Table<'_>, report: &Report<'_>) -> Ldap {
    needs_user(table, report, &["password", "password_file"]);
    Ldap {
        base: owned(table.string("base")),
        scope: scope(table, report),
        filter: owned(table.string("filter")),
        attribute: owned(table.string("attribute")),
        expect: expect(table, report),
        tls: tls(table, report, false),
        user: owned(table.string("user")),
        password: password(table, report),
    }
}

fn radius(table: &Table<'_>, report: &Report<'_>) -> Radius {
    needs_user(table, report, &["password", "password_file"]);
    let shared = secret(table, report, "secret", "secret_file");
    let help = "write what the server knows this client by: secret_file = \"/etc/hbd/radius\"";
    if shared.as_ref().is_some_and(|shared| shared.reveal().is_empty()) {
        report.error(&table.span, "the secret is empty", help);
    } else if !table.has("secret") && !table.has("secret_file") {
        table.lacks::<()>("secret", help);
    }
    Radius {
        secret: shared.unwrap_or_default(),
        user: owned(table.string("user")).unwrap_or_default(),
        password: password(table, report).unwrap_or_default(),
    }
}

fn scope(table: &Table<'_>, report: &Report<'_>) -> Scope {
    table.string("scope").map_or(Scope::Base, |at| match at.value {
        "base" => Scope::Base,
        "one" => Scope::One,
        "sub" => Scope::Sub,
        other => {
            let help = "write \"base\" (the entry itself), \"one\" (its children) or \"sub\" (all below it)";
            report.error(&at.span, format!("'{}' is not how far a search goes", shown(other)), help);
            Scope::Base
        }
    })
}

fn sql(table: &Table<'_>, report: &Report<'_>) -> Sql {
    needs_user(table, report, &["password", "password_file"]);
    Sql {
        tls: tls(table, report, false),
        user: owned(table.string("user")),
        password: password(table, report),
        database: owned(table.string("database")),
        query: owned(table.string("query")),
        expect: expect(table, report),
    }
}

/// Without a user nobody logs in, and these would be passed over in silence.
fn needs_user(table: &Table<'_>, report: &Report<'_>, keys: &[&'static str]) {
    if table.has("user") {
        return;
    }
    for key in keys.iter().filter(|key| table.has(key)) {
        if let Some(value) = table.value(key) {
            let message = format!("'{key}' is of no use without 'user'");
            report.error(&value.span(), message, "write user = \"…\" too, or leave it out");
        }
    }
}

fn password(table: &Table<'_>, report: &Report<'_>) -> Option<Secret> {
    secret(table, report, "password", "password_file")
}

/// A secret, as a text or better as a file's content.
fn secret(
    table: &Table<'_>,
    report: &Report<'_>,
    key: &'static str,
    file_key: &'static str,
) -> Option<Secret> {
    let text = table.string(key);
    let Some(file) = table.string(file_key) else {
        return text.map(|at| Secret::new(at.value.to_owned()));
    };
    if text.is_some() {
        let help = format!("write '{key}' or '{file_key}'");
        report.error(&file.span, format!("there is a '{key}' already"), help);
    }
    match std::fs::read_to_string(file.value) {
        Ok(text) => Some(Secret::new(text.trim_end_matches(['\n', '\r']).to_owned())),
        // `director check` never needs root, so a secret that only root may read is not looked at.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(error) => {
            let message = format!("cannot read {}: {error}", shown(file.value));
            report.error(&file.span, message, "name a readable file with the secret in its first line");
            None
        }
    }
}

fn script(table: &Table<'_>, report: &Report<'_>) -> Option<Script> {
    let help = "name the program: program = \"/usr/local/bin/check\"";
    let program = table.required_string("program", help);
    let args = table.strings("args").map(|at| at.value).unwrap_or_default();
    let calling = table.string("calling").map_or(Calling::Plain, |at| match at.value {
        "plain" => Calling::Plain,
        "mon" => Calling::Mon,
        other => {
            let message = format!("there is no calling form '{}'", shown(other));
            report.error(&at.span, message, "write \"plain\" (ldirectord's, Piranha's) or \"mon\"");
            Calling::Plain
        }
    });
    let expect = expect(table, report);
    let program = program?;
    let mut args: Vec<String> = args.into_iter().map(|at| at.value.to_owned()).collect();
    let mut path = file::path(report, &program)?;
    // As Piranha's send_program has it: the arguments behind the program, in one text.
    if args.is_empty() && !path.exists() {
        let mut words = program.value.split_whitespace();
        path = words.next().map(PathBuf::from).unwrap_or(path);
        args = words.map(str::to_owned).collect();
    }
    file::runnable(report, &program.span, &path, "director");
    Some(Script { program: path, args, calling, expect })
}
