//! Addresses with ports as they stand in the file.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use base::config::net::ip_trouble;
use base::config::problem::Report;
use base::config::table::{At, shown};

/// `10.0.0.1:80`, `[fd00::1]:80`; without a port it is 0. `what` says what it should be.
pub(super) fn read(report: &Report<'_>, at: &At<&str>, what: &str) -> Option<SocketAddr> {
    match parse(at.value, what) {
        Ok(address) => machine(report, at, address),
        Err((message, help)) => {
            report.error(&at.span, message, help);
            None
        }
    }
}

fn parse(text: &str, what: &str) -> Result<SocketAddr, (String, String)> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, 0));
    }
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, ""))) => (host, None),
        Some(Some((host, rest))) => (host, rest.strip_prefix(':').or(Some(""))),
        Some(None) => return Err(("the bracket is not closed".into(), "write \"[fd00::1]:80\"".into())),
        // As an address without a port it was read above; with brackets it could have one.
        None if text.matches(':').count() > 1 => (text, None),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let Ok(ip) = host.parse::<IpAddr>() else {
        return Err(match host.split_once('%') {
            Some((bare, _)) if bare.parse::<Ipv6Addr>().is_ok() => (
                format!("\"{}\" names an interface", shown(host)),
                "write one without '%' and what follows it".into(),
            ),
            _ => ip_trouble(host, what),
        });
    };
    let Some(port) = port else { return Ok(SocketAddr::new(ip, 0)) };
    match port.parse::<u16>() {
        Ok(port) if text.parse::<SocketAddr>().is_ok() => Ok(SocketAddr::new(ip, port)),
        _ => Err((format!("'{}' is no port", shown(port)), "a port is a number from 1 to 65535".into())),
    }
}

/// What a machine, or a service on it, can have.
fn machine(report: &Report<'_>, at: &At<&str>, address: SocketAddr) -> Option<SocketAddr> {
    let ip = address.ip();
    let what = if ip.is_multicast() {
        "a multicast group"
    } else if ip.is_unspecified() {
        "no address of a machine"
    } else if matches!(ip, IpAddr::V4(ip) if ip.is_broadcast()) {
        "the broadcast address"
    } else if let IpAddr::V6(v6) = ip
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        // On the wire there are none.
        report.error(
            &at.span,
            format!("{ip} is an IPv4 address written as one of IPv6"),
            format!("write {v4}"),
        );
        return None;
    } else {
        return Some(address);
    };
    report.error(&at.span, format!("{ip} is {what}"), "write the address of one machine");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_ports_or_none() {
        for (text, wanted) in [
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("10.0.0.1", "10.0.0.1:0"),
            ("[fd00::1]:80", "[fd00::1]:80"),
            ("fd00::1", "[fd00::1]:0"),
            ("[fd00::1]", "[fd00::1]:0"),
        ] {
            assert_eq!(parse(text, "x").map(|a| a.to_string()), Ok(wanted.to_owned()), "{text}");
        }
        for text in [
            "",
            ":80",
            "www:80",
            "10.0.0.1:",
            "10.0.0.1:x",
            "10.0.0.1:65536",
            "[fd00::1]80",
            "[fd00::1",
            "10.0.0:80",
            "[10.0.0.1]:80",
        ] {
            assert!(parse(text, "x").is_err(), "{text}");
        }
    }
}
