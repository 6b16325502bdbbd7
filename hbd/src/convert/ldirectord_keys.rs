//! The keys of a service of ldirectord that are there or are not.

use std::net::IpAddr;
use std::time::Duration;

use super::doc::{Remark, add};
use super::ldirectord_services::Scope;
use super::service_file::Key;
use super::source::shown;
use super::spelling::{fallback, split_port};
use super::value::Value;

impl Scope<'_> {
    /// Keys that are there or are not.
    pub(super) fn more(
        &self,
        key: &Key,
        nat: bool,
        protocol: &str,
        remarks: &mut Vec<Remark>,
    ) -> Vec<(&'static str, Value)> {
        let mut more: Vec<(&'static str, Value)> = Vec::new();
        if let Some(flags) = self.flags(protocol, remarks) {
            more.push(("flags", flags));
        }
        let persistent = self.number("persistent", remarks).filter(|seconds| *seconds > 0);
        if let Some(seconds) = persistent {
            more.push(("persistent", Duration::from_secs(u64::from(seconds)).into()));
        }
        let whole = ["255.255.255.255", "128"];
        if let Some(mask) = self.said("netmask").filter(|mask| !whole.contains(&mask.value.as_str())) {
            if persistent.is_some() {
                more.push(("netmask", mask.value.as_str().into()));
            } else {
                let why = "it is of use for persistent services only";
                add(remarks, Remark::lost(self.place(mask.line), "netmask", why));
            }
        }
        if let Some(address) = self.fallback(key, nat, remarks) {
            more.push(("fallback", address.into()));
        }
        more
    }

    /// Who answers when nobody else does.
    fn fallback(&self, key: &Key, nat: bool, remarks: &mut Vec<Remark>) -> Option<String> {
        let ipv6 = match key {
            Key::Address(address) => split_port(address).0.contains(':'),
            Key::Mark(_, ipv6) => *ipv6,
        };
        let names = if ipv6 { ["fallback6", "fallback"] } else { ["fallback", "fallback"] };
        let setting = names.iter().find_map(|name| self.said(name))?;
        let place = self.place(setting.line);
        let mut words = setting.value.split_whitespace();
        let text = words.next().unwrap_or_default();
        let ip = split_port(text).0.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv6() == ipv6);
        let Some(ip) = ip else {
            let why = format!("{} is no address of the service's family", shown(text));
            add(remarks, Remark::lost(place, "fallback", why));
            return None;
        };
        // Packets for this machine go nowhere, whichever way.
        let usual = self.one.reals.first().map_or("", |real| real.forward);
        if let Some(way) = words.next().filter(|way| !ip.is_loopback() && *way != usual) {
            let why = format!("{usual} too: it is reached as the service forwards");
            add(remarks, Remark::changed(place.clone(), &format!("fallback … {}", shown(way)), why));
        }
        let (address, remark) = fallback(text, key, nat, &place);
        remarks.extend(remark);
        Some(address)
    }

    fn flags(&self, protocol: &str, remarks: &mut Vec<Remark>) -> Option<Value> {
        let mut flags: Vec<Value> = Vec::new();
        if self.truth("ops") == Some(true) {
            match (protocol, self.said("ops")) {
                ("udp", _) => flags.push("one-packet".into()),
                (_, Some(setting)) => {
                    add(remarks, Remark::lost(self.place(setting.line), "ops", "it is for UDP only"));
                }
                _ => {}
            }
        }
        let known = ["sh-fallback", "sh-port", "mh-fallback", "mh-port", "flag-1", "flag-2", "flag-3"];
        if let Some(setting) = self.said("schedflags") {
            for flag in setting.value.split(',').map(str::trim) {
                match known.contains(&flag) {
                    true => flags.push(flag.into()),
                    false => add(
                        remarks,
                        Remark::lost(self.place(setting.line), "schedflags", "it is no flag of a scheduler"),
                    ),
                }
            }
        }
        (!flags.is_empty()).then_some(Value::List(flags))
    }
}
