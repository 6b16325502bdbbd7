//! Interface names and addresses as they stand in the file.

use std::net::IpAddr;

use super::problem::{Report, Span};
use super::table::{At, shown};

/// Whether the kernel could have an interface called `name` (dev_valid_name in net/core/dev.c).
pub fn check_interface(report: &Report<'_>, name: &str, span: &Span) -> bool {
    let quoted = shown(name);
    let (message, help) = if name.is_empty() {
        ("the interface's name is empty".to_owned(), "a name that `ip link` shows: \"eth1\"".to_owned())
    } else if name.len() > 15 {
        (
            format!("the interface name '{quoted}' has {} bytes", name.len()),
            "Linux takes at most 15: see `ip link`".to_owned(),
        )
    } else if let Some((parent, _)) = name.split_once(':') {
        (
            format!("'{quoted}' is an alias, no interface"),
            format!("write the interface itself: \"{}\"", shown(parent)),
        )
    } else if name == "."
        || name == ".."
        || name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control())
    {
        (
            format!("'{quoted}' cannot be the name of an interface"),
            "a name that `ip link` shows: \"eth1\"".to_owned(),
        )
    } else {
        return true;
    };
    report.error(span, message, help);
    false
}

/// The address in `at`; `what` says what it should be.
pub fn ip(report: &Report<'_>, at: &At<&str>, what: &str) -> Option<IpAddr> {
    if let Ok(ip) = at.value.parse() {
        return Some(ip);
    }
    let (message, help) = ip_trouble(at.value, what);
    report.error(&at.span, message, help);
    None
}

/// What is wrong with a text that is no address.
pub fn ip_trouble(text: &str, what: &str) -> (String, String) {
    let message = format!("\"{}\" is no IP address", shown(text));
    let octets: Vec<&str> = text.split('.').collect();
    let numbers = octets.iter().all(|octet| !octet.is_empty() && octet.bytes().all(|b| b.is_ascii_digit()));
    let big = octets.iter().find(|octet| octet.parse::<u8>().is_err());
    let help = if numbers && octets.len() != 4 && text.contains('.') {
        format!("an IPv4 address has four numbers, and this has {}", octets.len())
    } else if let (true, Some(octet)) = (numbers && octets.len() == 4, big) {
        format!("'{}' is more than 255", shown(octet))
    } else if numbers && octets.len() == 4 {
        "write the numbers without leading zeros".to_owned()
    } else if text.contains('/') {
        "write the address alone, without a prefix".to_owned()
    } else if text.contains('%') {
        "write the address without '%', and the interface under its own key".to_owned()
    } else if text.contains(':') && text.contains(']') {
        "write the address without brackets and port".to_owned()
    } else {
        format!("write {what} in numbers, \"192.168.45.23\" or \"fd00::23\": names are not looked up")
    };
    (message, help)
}

/// An address that a machine can have for itself.
pub fn own_address(report: &Report<'_>, at: &At<&str>) -> Option<IpAddr> {
    let address = ip(report, at, "an address")?;
    let what = if address.is_multicast() {
        "a multicast group"
    } else if address.is_unspecified() {
        "no address of a machine"
    } else if matches!(address, IpAddr::V4(ip) if ip.is_broadcast()) {
        "the broadcast address"
    } else {
        return Some(address);
    };
    report.error(&at.span, format!("{address} is {what}"), "write the address of one machine");
    None
}
