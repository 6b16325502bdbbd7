//! `ADDRESS[/PREFIX[/INTERFACE[:LABEL]][/BROADCAST]]`, the argument of `IPaddr`.

use std::net::{IpAddr, Ipv4Addr};

use super::model::AddressSpec;
use super::net::ip_trouble;
use super::table::shown;

/// Longest label of an address and longest name of an interface (IFNAMSIZ - 1 of linux/if.h).
const MAX_LABEL: usize = 15;
/// The whole spelling, for help texts.
const SPELLING: &str = "write ADDRESS/PREFIX/INTERFACE, e.g. 192.168.45.26/24/eth0";

/// What is wrong with an address, and what would be right.
pub(super) type Trouble = (String, String);

/// Whether `text` is meant as an address, right or wrong: it begins with one, or with four numbers.
pub(super) fn looks_like(text: &str) -> bool {
    let head = text.split('/').next().unwrap_or("");
    if head.parse::<IpAddr>().is_ok() {
        return true;
    }
    let head = head.split("::").next().unwrap_or("");
    head.contains('.') && head.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Reads the argument of `IPaddr`.
///
/// # Errors
/// What is wrong, and what would be right.
pub(super) fn parse(text: &str) -> Result<AddressSpec, Trouble> {
    if text.is_empty() {
        return Err(("there is no address".to_owned(), SPELLING.to_owned()));
    }
    let mut parts = text.split('/');
    let head = parts.next().unwrap_or("");
    let rest: Vec<&str> = parts.collect();
    let Ok(ip) = head.parse::<IpAddr>() else {
        return Err(if text.contains("::") {
            split_by_colons(text)
        } else {
            ip_trouble(head, "the address")
        });
    };
    if let Some(double) = rest.iter().find(|part| part.contains("::")) {
        let fixed = text.replace(double, &double.replace("::", "/"));
        return Err((
            "the parts of an address are divided by '/', not by '::'".to_owned(),
            format!("write {}", shown(&fixed)),
        ));
    }
    let mut spec = AddressSpec { ip, prefix: None, interface: None, label: None, broadcast: None };
    let mut rest = rest.into_iter();
    if let Some(part) = rest.next() {
        spec.prefix = Some(prefix(part, ip)?);
    }
    let mut next = rest.next();
    // As in Heartbeat, a part that begins with a digit and is an address is the broadcast address.
    if let Some(part) = next.filter(|part| part.parse::<Ipv4Addr>().is_err()) {
        (spec.interface, spec.label) = interface(part, ip)?;
        next = rest.next();
    }
    if let Some(part) = next {
        spec.broadcast = Some(broadcast(part, ip)?);
    }
    if rest.next().is_some() {
        return Err((
            "the address has too many parts".to_owned(),
            "write ADDRESS/PREFIX/INTERFACE:LABEL/BROADCAST at most".to_owned(),
        ));
    }
    usable(&spec)?;
    Ok(spec)
}

/// An address whose parts somebody divided by `::`, as other arguments are.
fn split_by_colons(text: &str) -> Trouble {
    let message = "the parts of an address are divided by '/', not by '::'".to_owned();
    // From the left, the longest head that is an address: `fd00::1::64` is fd00::1, then 64.
    let cuts: Vec<usize> = text.match_indices("::").map(|(at, _)| at).collect();
    for &at in cuts.iter().rev() {
        let (head, rest) = (&text[..at], &text[at + 2..]);
        if head.parse::<IpAddr>().is_ok() {
            return (message, format!("write {}/{}", head, shown(&rest.replace("::", "/"))));
        }
    }
    ip_trouble(text.split('/').next().unwrap_or(""), "the address")
}

/// A prefix length or a dotted netmask.
fn prefix(part: &str, ip: IpAddr) -> Result<u8, Trouble> {
    let (most, example) = if ip.is_ipv4() { (32, "24") } else { (128, "64") };
    if let (Ok(mask), true) = (part.parse::<Ipv4Addr>(), ip.is_ipv4()) {
        let bits = u32::from(mask);
        if bits.leading_ones() + bits.trailing_zeros() < 32 || bits == 0 {
            return Err((
                format!("{mask} is no netmask"),
                "write the prefix length instead, e.g. /24 for 255.255.255.0".to_owned(),
            ));
        }
        return Ok(u8::try_from(bits.leading_ones()).unwrap_or(32));
    }
    if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("'{}' is no prefix length", shown(part));
        return Err((
            message,
            format!("after the address comes the prefix length, then the interface: {ip}/{example}/eth0"),
        ));
    }
    match part.parse::<u8>() {
        Ok(prefix) if (1..=most).contains(&prefix) => Ok(prefix),
        _ => Err((
            format!("the prefix length cannot be {}", shown(part)),
            format!("it is from 1 to {most} here, e.g. /{example}"),
        )),
    }
}

/// `INTERFACE[:LABEL]`: the interface and the whole label.
fn interface(part: &str, ip: IpAddr) -> Result<(Option<String>, Option<String>), Trouble> {
    let (name, label) = part.split_once(':').map_or((part, None), |(name, label)| (name, Some(label)));
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > MAX_LABEL || name == "." || name == ".." || name.contains(odd) {
        let message = format!("'{}' cannot be the name of an interface", shown(name));
        return Err((
            message,
            format!("a name that `ip link` shows, at most {MAX_LABEL} bytes: {ip}/…/eth0"),
        ));
    }
    let Some(label) = label else {
        return Ok((Some(name.to_owned()), None));
    };
    if ip.is_ipv6() {
        return Err((
            "IPv6 addresses have no labels".to_owned(),
            format!("write the interface alone: {name}"),
        ));
    }
    if label.is_empty() || label.contains(odd) {
        return Err((format!("'{}' is no label", shown(part)), format!("write {name}:0, or {name} alone")));
    }
    if part.len() > MAX_LABEL {
        let message = format!("the label '{}' has {} bytes", shown(part), part.len());
        return Err((message, format!("with the interface before it, it may have {MAX_LABEL}")));
    }
    Ok((Some(name.to_owned()), Some(part.to_owned())))
}

fn broadcast(part: &str, ip: IpAddr) -> Result<Ipv4Addr, Trouble> {
    if ip.is_ipv6() {
        return Err(("IPv6 has no broadcast addresses".to_owned(), format!("leave out '{}'", shown(part))));
    }
    part.parse().map_err(|_| {
        (
            format!("'{}' is no broadcast address", shown(part)),
            "write e.g. 192.168.45.255, or leave it out".to_owned(),
        )
    })
}

/// Whether a machine can have this address and others can reach it.
fn usable(spec: &AddressSpec) -> Result<(), Trouble> {
    let ip = spec.ip;
    let help = "write an address of your network that no machine has for itself".to_owned();
    if ip.is_multicast() {
        return Err((format!("{ip} is a multicast group, which no machine can own"), help));
    }
    if ip.is_unspecified() {
        return Err((format!("{ip} means \"any address\", which no machine can own"), help));
    }
    if ip.is_loopback() {
        return Err((format!("{ip} is a loopback address: nobody else could reach it"), help));
    }
    match ip {
        IpAddr::V4(v4) => {
            if v4.is_broadcast() {
                return Err((format!("{ip} is the broadcast address"), help));
            }
            let prefix = u32::from(spec.prefix.unwrap_or(32));
            if let host @ 2..=31 = 32 - prefix {
                let mask = (1_u32 << host) - 1;
                let bits = u32::from(v4) & mask;
                if bits == 0 {
                    return Err((format!("{ip} is the network {ip}/{prefix} itself"), help));
                }
                if bits == mask {
                    return Err((format!("{ip} is the broadcast address of its network"), help));
                }
            }
            Ok(())
        }
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            Err((format!("{ip} is an IPv4 address in disguise"), "write the IPv4 address".to_owned()))
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() && spec.interface.is_none() => {
            Err((format!("the link-local address {ip} needs an interface"), format!("write {ip}/64/eth0")))
        }
        IpAddr::V6(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(
        ip: &str,
        prefix: Option<u8>,
        interface: Option<&str>,
        label: Option<&str>,
        broadcast: Option<&str>,
    ) -> AddressSpec {
        AddressSpec {
            ip: ip.parse().unwrap(),
            prefix,
            interface: interface.map(str::to_owned),
            label: label.map(str::to_owned),
            broadcast: broadcast.map(|text| text.parse().unwrap()),
        }
    }

    #[test]
    fn heartbeats_spellings_are_read() {
        let good = [
            ("10.0.0.1", spec("10.0.0.1", None, None, None, None)),
            ("10.0.0.1/24", spec("10.0.0.1", Some(24), None, None, None)),
            ("10.0.0.1/255.255.252.0/eth0", spec("10.0.0.1", Some(22), Some("eth0"), None, None)),
            (
                "10.0.0.1/24/eth0:1/10.0.0.255",
                spec("10.0.0.1", Some(24), Some("eth0"), Some("eth0:1"), Some("10.0.0.255")),
            ),
            ("10.0.0.1/24/10.0.0.255", spec("10.0.0.1", Some(24), None, None, Some("10.0.0.255"))),
            ("10.0.0.0/31/eth0", spec("10.0.0.0", Some(31), Some("eth0"), None, None)),
            ("fd00::1/64/eth0", spec("fd00::1", Some(64), Some("eth0"), None, None)),
            ("::2/128", spec("::2", Some(128), None, None, None)),
        ];
        for (text, want) in good {
            assert_eq!(parse(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn slips_are_refused() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.1/33",
            "10.0.0.1/0",
            "10.0.0.1/eth0",
            "10.0.0.1/255.0.255.0",
            "10.0.0.1/24/",
            "10.0.0.1/24/eth0:",
            "10.0.0.1/24/eth0:averylonglabel",
            "10.0.0.1/24/eth0/x",
            "10.0.0.1/24/eth0/10.0.0.255/x",
            "10.0.0.1::24::eth0",
            "224.0.0.1/4",
            "0.0.0.0",
            "127.0.0.1/8/lo",
            "255.255.255.255",
            "10.0.0.0/24",
            "10.0.0.255/24",
            "fd00::1/129",
            "fd00::1/64/eth0:1",
            "fd00::1/64/eth0/10.0.0.1",
            "::1",
            "::",
            "ff02::1",
            "fe80::1/64",
            "::ffff:10.0.0.1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn colons_for_slashes_are_put_right() {
        assert_eq!(parse("10.0.0.1::24::eth0").unwrap_err().1, "write 10.0.0.1/24/eth0");
        assert_eq!(parse("fd00::1::64::eth0").unwrap_err().1, "write fd00::1/64/eth0");
        assert_eq!(parse("10.0.0.1/24::eth0").unwrap_err().1, "write 10.0.0.1/24/eth0");
    }

    #[test]
    fn addresses_are_told_from_agents() {
        for text in ["10.0.0.1/24", "10.0.0.300", "fd00::1/64/eth0", "10.0.0.1::24"] {
            assert!(looks_like(text), "{text}");
        }
        for text in ["apache", "IPaddr::10.0.0.1", "1", "Filesystem::/dev/x::/mnt", ""] {
            assert!(!looks_like(text), "{text}");
        }
    }
}
