//! What becomes of an `ldirectord.cf`: virtual services of the director.

use std::net::IpAddr;
use std::time::Duration;

use super::doc::{Place, Remark, add};
use super::ldirectord::{self, File};
use super::ldirectord_checks::{self as checks, Asked};
use super::service_file::{Draft, Forward, Key, Real, Timing, Virtual};
use super::source::{Setting, shown};
use super::spelling::{split_port, with_port};

/// What has no counterpart, and why.
const NOTHING: [(&[&str], &str); 6] = [
    (&["cleanstop"], "the table is always left as it is"),
    (
        &["autoreload", "callback"],
        "director reload says whether the new file is good, and it is given to both by hand",
    ),
    (
        &["logfile", "supervised", "fork"],
        "the director stays in the foreground and logs to standard error; checks run side by side",
    ),
    (&["readdquiescent"], "what somebody removes behind the director's back is put back at once"),
    (&["monitorfile", "comment", "load", "dbtype"], "nothing reads it: director status tells"),
    (
        &["emailalertfrom", "emailalertfreq", "emailalertstatus", "smtp"],
        "a program tells, see alerts: every says how often at most",
    ),
];

/// Adds the services of `file` to `draft`.
pub(super) fn read(name: &str, file: &File, draft: &mut Draft) {
    let place = |line: usize| Place { file: name.to_owned(), line };
    for setting in &file.settings {
        global(setting, &place(setting.line), draft);
    }
    let quiescent_said = |settings: &[Setting]| settings.iter().any(|setting| setting.name == "quiescent");
    if !file.virtuals.iter().all(|one| quiescent_said(&one.settings)) && !quiescent_said(&file.settings) {
        let why = "quiescent is not said: ldirectord removed what was down (its manual says otherwise); true keeps its connections";
        draft.remark(Remark::todo(Some(place(file.virtuals.first().map_or(1, |one| one.line))), why));
    }
    for one in &file.virtuals {
        let scope = Scope { file, one, name };
        let service = scope.service(draft);
        if let Some(service) = service {
            draft.virtuals.push(service);
        }
    }
    if draft.virtuals.iter().any(|one| one.asks("http") || one.asks("https")) {
        let why = "HTTP checks follow no redirects: where the answer is 301 or 302, ask for what it leads to";
        draft.remark(Remark::todo(None, why));
    }
}

/// What holds for all services.
fn global(setting: &Setting, place: &Place, draft: &mut Draft) {
    let (name, value) = (setting.name.as_str(), setting.value.as_str());
    if let Some((_, why)) = NOTHING.iter().find(|(names, _)| names.contains(&name)) {
        return draft.remark(Remark::lost(place.clone(), name, *why));
    }
    match name {
        "maintenancedir" if value.starts_with('/') => draft.director.push(("maintenance_dir", value.into())),
        "maintenancedir" => {
            draft.remark(Remark::lost(place.clone(), name, "maintenance_dir needs a whole path: /…"))
        }
        "emailalert" => {
            let why =
                "emailalert: write a program that tells, and alerts = [{ exec = \"/path\" }] in [director]";
            draft.remark(Remark::todo(Some(place.clone()), why));
        }
        "fallbackcommand" => {
            let why = "fallbackcommand: quorum_down and quorum_up of a [[virtual]] call a program as `down NAME SERVICE` and `up NAME SERVICE`";
            draft.remark(Remark::todo(Some(place.clone()), why));
        }
        "execute" => {
            let why = format!("execute {}: convert that file too, into the same director.toml", shown(value));
            draft.remark(Remark::todo(Some(place.clone()), why));
        }
        _ => {}
    }
}

/// A service, and the file it stands in.
pub(super) struct Scope<'f> {
    file: &'f File,
    pub(super) one: &'f ldirectord::Virtual,
    name: &'f str,
}

impl Scope<'_> {
    /// What is said of `name`, by the service or else for all; the last one counts.
    pub(super) fn said(&self, name: &str) -> Option<&Setting> {
        self.own(name).or_else(|| self.file.settings.iter().rfind(|setting| setting.name == name))
    }

    /// What the service itself says of `name`.
    pub(super) fn own(&self, name: &str) -> Option<&Setting> {
        self.one.settings.iter().rfind(|setting| setting.name == name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.said(name).map(|setting| setting.value.as_str())
    }

    pub(super) fn number(&self, name: &str, remarks: &mut Vec<Remark>) -> Option<u32> {
        let setting = self.said(name)?;
        let number = setting.value.parse().ok();
        if number.is_none() {
            let why = format!("'{}' is no whole number", shown(&setting.value));
            add(remarks, Remark::lost(self.place(setting.line), name, why));
        }
        number
    }

    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value.eq_ignore_ascii_case("yes"))
    }

    pub(super) fn place(&self, line: usize) -> Place {
        Place { file: self.name.to_owned(), line }
    }

    /// The service, if anything of it is active.
    fn service(&self, draft: &mut Draft) -> Option<Virtual> {
        let mut remarks = Vec::new();
        let place = self.place(self.one.line);
        let key = self.key(&mut remarks);
        let port = match &key {
            Key::Address(address) => split_port(address).1.and_then(|port| port.parse().ok()).unwrap_or(0),
            Key::Mark(..) => 0,
        };
        let protocol = self.protocol(port);
        let asked = checks::asked(self, port, protocol);
        if asked == Asked::Never {
            draft.remark(Remark::lost(
                place,
                "checktype = off",
                "real servers that are never activated are left out",
            ));
            return None;
        }
        let timing = self.timing(&asked, &mut remarks);
        let reals: Vec<Real> = self
            .one
            .reals
            .iter()
            .flat_map(|real| self.reals(real, &key, port, &asked, timing, &mut remarks))
            .collect();
        let nat = reals.first().is_some_and(|real| real.forward.way == "masq");
        let more = self.more(&key, nat, protocol, &mut remarks);
        self.lost(&mut remarks);
        let scheduler = self.text("scheduler").unwrap_or("wrr").to_owned();
        let name = self.service_name(&key, &asked, port);
        Some(Virtual { name, key, protocol, scheduler, more, timing, reals, remarks, fits: true })
    }

    fn key(&self, remarks: &mut Vec<Remark>) -> Key {
        let text = self.one.key.as_str();
        if let Ok(mark) = text.parse() {
            return Key::Mark(mark, self.one.ipv6);
        }
        let (host, port) = split_port(text);
        let number = port.and_then(|port| port.parse().ok().or_else(|| checks::port_of(port)));
        if host.parse::<IpAddr>().is_err() || (port.is_some() && number.is_none()) {
            let why = format!(
                "{} has a name in it, and names are not looked up: write the address and port in numbers",
                shown(text)
            );
            add(remarks, Remark::todo(Some(self.place(self.one.line)), why));
            return Key::Address(text.to_owned());
        }
        Key::Address(with_port(host, number.unwrap_or(0)))
    }

    pub(super) fn protocol(&self, port: u32) -> &'static str {
        match self.text("protocol") {
            Some("udp") => "udp",
            None if port == 53 => "udp",
            _ => "tcp",
        }
    }

    /// Which of the two limits holds depends on what is asked; each stands in for the other.
    fn timing(&self, asked: &Asked, remarks: &mut Vec<Remark>) -> Timing {
        let (connect, negotiate) =
            (self.number("checktimeout", remarks), self.number("negotiatetimeout", remarks));
        let timeout = match asked {
            Asked::Negotiated(_) | Asked::Both(..) => negotiate.or(connect).unwrap_or(30),
            _ => connect.or(negotiate).unwrap_or(5),
        };
        let seconds = |number: u32| Duration::from_secs(u64::from(number.clamp(1, 24 * 3600)));
        let fall = self.number("failurecount", remarks);
        let tries = self.number("checkcount", remarks).filter(|_| *asked == Asked::Pinged);
        Timing {
            interval: seconds(self.number("checkinterval", remarks).unwrap_or(10)),
            timeout: seconds(timeout),
            fall: fall.or(tries).unwrap_or(1).clamp(1, 1000),
            rise: 1,
            quiescent: self.truth("quiescent").unwrap_or(false),
        }
    }

    fn reals(
        &self,
        real: &ldirectord::Real,
        key: &Key,
        service_port: u32,
        asked: &Asked,
        timing: Timing,
        remarks: &mut Vec<Remark>,
    ) -> Vec<Real> {
        let said = real.port.as_deref().map(|port| port.parse().ok().or_else(|| checks::port_of(port)));
        let mut own = Vec::new();
        if said == Some(None) || real.hosts.iter().any(|host| host.parse::<IpAddr>().is_err()) {
            let why = "there is a name in it, and names are not looked up: write address and port in numbers";
            own.push(Remark::todo(Some(self.place(real.line)), why));
        }
        let mut port: u32 = said.flatten().unwrap_or(service_port);
        if matches!(key, Key::Address(_)) && real.forward != "masq" && port != service_port {
            let why = format!(
                "port {service_port} and not {port}: only NAT changes ports, so ldirectord did the same"
            );
            own.push(Remark::changed(self.place(real.line), "real", why));
            port = service_port;
        }
        if real.lower > real.upper {
            let why = "the kernel refuses a lower bound above the upper one, or without one";
            own.push(Remark::lost(self.place(real.line), &format!("l:{}", real.lower), why));
        }
        let checks = checks::tables(self, asked, real, port, timing, remarks);
        let one = |host: &String| Real {
            name: None,
            address: with_port(host, port),
            weight: real.weight,
            upper: real.upper,
            lower: if real.lower > real.upper { 0 } else { real.lower },
            forward: Forward::plain(real.forward),
            checks: checks.clone(),
            timing,
            weights: None,
            remarks: Vec::new(),
        };
        let mut all: Vec<Real> = real.hosts.iter().map(one).collect();
        if let Some(first) = all.first_mut() {
            first.remarks = own;
        }
        all
    }

    /// What of the service could not be carried over.
    fn lost(&self, remarks: &mut Vec<Remark>) {
        for setting in &self.one.settings {
            let place = self.place(setting.line);
            if let Some((_, why)) = NOTHING.iter().find(|(names, _)| names.contains(&setting.name.as_str())) {
                add(remarks, Remark::lost(place, &setting.name, *why));
            } else if setting.name == "emailalert" {
                let why = "emailalert: write a program that tells, and alerts = [{ exec = \"/path\" }] in [director], for all services";
                add(remarks, Remark::todo(Some(place), why));
            } else if setting.name == "fallbackcommand" {
                let why = "fallbackcommand: quorum_down and quorum_up call a program as `down NAME SERVICE` and `up NAME SERVICE`";
                add(remarks, Remark::todo(Some(place), why));
            }
        }
    }

    /// A short name that tells it from the others: what it serves, or its port or mark.
    fn service_name(&self, key: &Key, asked: &Asked, port: u32) -> String {
        if let Some(said) = self.own("servicename").filter(|said| !said.value.is_empty()) {
            return said.value.clone();
        }
        match key {
            Key::Mark(mark, _) => format!("mark-{mark}"),
            Key::Address(_) => asked
                .service()
                .map(str::to_owned)
                .or_else(|| checks::name_of(port).map(str::to_owned))
                .unwrap_or_else(|| format!("port-{port}")),
        }
    }
}
