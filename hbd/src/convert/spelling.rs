//! Addresses with ports and regular expressions, as the director spells them.

use std::net::SocketAddr;

use super::doc::{Place, Remark};
use super::service_file::Key;

/// `host` and `port` as an address with a port; IPv6 in brackets.
pub(super) fn with_port(host: &str, port: u32) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match port {
        0 => host.to_owned(),
        port if host.contains(':') => format!("[{host}]:{port}"),
        port => format!("{host}:{port}"),
    }
}

/// `HOST`, `HOST:PORT`, `[HOST]:PORT`.
pub(super) fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

/// A fallback that the director takes: the service's port where only NAT could change it. Also what has to be said.
pub(super) fn fallback(text: &str, service: &Key, nat: bool, place: &Place) -> (String, Option<Remark>) {
    let (host, port) = split_port(text);
    let port: u32 = port.and_then(|port| port.parse().ok()).unwrap_or(0);
    let wanted = match service {
        Key::Address(address) => {
            address.parse::<SocketAddr>().map_or(port, |address| u32::from(address.port()))
        }
        Key::Mark(..) => port,
    };
    let here = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if port == 0 || port == wanted || nat || here {
        return (with_port(host, port), None);
    }
    let why = format!("port {wanted} and not {port}: only NAT changes ports");
    (with_port(host, wanted), Some(Remark::changed(place.clone(), "fallback", why)))
}

/// A text that an answer must have: as it is if it means the same as the regular expression `pattern`, else between slashes.
pub(super) fn expect(pattern: &str) -> String {
    let plain = !pattern.contains(|c: char| "\\.^$|?*+()[]{}".contains(c));
    let slashed = pattern.len() > 1 && pattern.starts_with('/') && pattern.ends_with('/');
    if plain && !slashed { pattern.to_owned() } else { format!("/{pattern}/") }
}

/// Whether the director's regular expressions can say `pattern`: they look neither ahead nor back.
pub(super) fn regex_fits(pattern: &str) -> bool {
    let odd = [
        "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?#", "(?R", "++", "*+", "?+", "\\G", "\\Z", "\\Q", "\\K",
        "\\p", "\\P",
    ];
    let mut escaped = false;
    let (mut depth, mut class) = (0_i32, false);
    for c in pattern.chars() {
        match c {
            _ if escaped => {
                if c.is_ascii_digit() {
                    return false;
                }
                escaped = false;
            }
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => depth += 1,
            ')' if !class => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    let dangling = pattern.starts_with(['*', '+', '?']) || pattern.contains("{,");
    !escaped && !class && depth == 0 && !dangling && !odd.iter().any(|odd| pattern.contains(odd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports() {
        assert_eq!(split_port("10.0.0.1:80"), ("10.0.0.1", Some("80")));
        assert_eq!(split_port("[fd00::1]:80"), ("fd00::1", Some("80")));
        assert_eq!(split_port("fd00::1"), ("fd00::1", None));
        assert_eq!(split_port("10.0.0.1"), ("10.0.0.1", None));
        assert_eq!(with_port("fd00::1", 80), "[fd00::1]:80");
        assert_eq!(with_port("10.0.0.1", 0), "10.0.0.1");
    }

    #[test]
    fn a_plain_word_is_no_regular_expression() {
        assert_eq!(expect("happy"), "happy");
        assert_eq!(expect("Test Page."), "/Test Page./");
        assert_eq!(expect("/x/"), "//x//");
        assert!(regex_fits("^HTTP/1\\.[01] (200|30[12])"));
        for pattern in ["(?!x)", "(a)\\1", "[a", "(a", "a)", "x\\", "*"] {
            assert!(!regex_fits(pattern), "{pattern}");
        }
    }
}
