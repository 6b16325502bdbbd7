//! What a client asks: the head of one request (RFC 9112), and whether it may be answered.

use std::net::{IpAddr, SocketAddr};

use super::answer::Answer;

/// Longest head of a request, in bytes.
pub(crate) const MOST_HEAD: usize = 8 << 10;
/// More fields than this no client sends.
const MOST_FIELDS: usize = 64;

/// A request that may be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// HEAD: everything but the body.
    pub bodyless: bool,
    /// The path, as it came.
    pub path: String,
    /// What stands after the question mark.
    pub query: Option<String>,
}

/// Where the head that begins in `bytes` ends, if it does; the first `seen` bytes were looked at before.
pub(crate) fn end_of_head(bytes: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(3);
    let at = |mark: &[u8]| bytes[from..].windows(mark.len()).position(|window| window == mark);
    let end = [at(b"\r\n\r\n").map(|at| at + 4), at(b"\n\n").map(|at| at + 2)];
    end.into_iter().flatten().min().map(|end| from + end)
}

/// Reads a whole head, for a server that listens at `listen`.
///
/// # Errors
/// The answer that such a request gets.
pub(crate) fn read(head: &[u8], listen: SocketAddr) -> Result<Request, Answer> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Answer::plain(431, "too many header fields")),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Answer::plain(400, "this is no HTTP request")),
    }
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let bodyless = method == "HEAD";
    let refuse = |status, why| Answer::plain(status, why).without_body(bodyless);
    let mut hosts = parsed.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(String::from_utf8_lossy(host.value).into_owned()),
        // HTTP/1.0 knows no such field, and no browser speaks it.
        (None, None) if parsed.version == Some(0) => None,
        _ => return Err(refuse(400, "a request of HTTP/1.1 has one Host field")),
    };
    // Clients of proxies send the whole URL; what it names counts then (RFC 9112, 3.2.2).
    let (host, target) = match target.strip_prefix("http://") {
        Some(rest) => {
            let path = rest.find(['/', '?']).unwrap_or(rest.len());
            (Some(rest[..path].to_owned()), &rest[path..])
        }
        None => (host, target),
    };
    if host.is_some_and(|host| !is_ours(host.trim(), listen)) {
        return Err(refuse(
            403,
            "this console listens for its own machine alone: ask for it as localhost or by its address",
        ));
    }
    if !matches!(method, "GET" | "HEAD") {
        return Err(refuse(405, "only GET and HEAD: the console gives no orders, hbctl does"));
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let path = if path.is_empty() { "/" } else { path }.to_owned();
    Ok(Request { bodyless, path, query })
}

/// Whether a client that asks for `host` means this server. A page from elsewhere can have its own name point to a
/// loopback address, and so make a browser on this machine ask here (DNS rebinding); but the name is its own then. The port
/// does not count: it is another one at the far end of a tunnel.
fn is_ours(host: &str, listen: SocketAddr) -> bool {
    if !listen.ip().to_canonical().is_loopback() {
        // By whatever name operators know this machine.
        return true;
    }
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

/// The value of `key` in a query, decoded (`%41`, `+`).
pub(crate) fn value_of(query: &str, key: &str) -> Option<String> {
    let of_key =
        |pair: &str| pair.split_once('=').filter(|(name, _)| *name == key).map(|(_, value)| decode(value));
    query.split('&').find_map(of_key)
}

fn decode(text: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => {
                out.push(if first == b'+' { b' ' } else { first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "127.0.0.1:7694";

    fn ask(text: &str, listen: &str) -> Result<Request, u16> {
        read(text.as_bytes(), listen.parse().unwrap()).map_err(|answer| answer.status)
    }

    #[test]
    fn a_request_is_taken_apart() {
        let got = ask("GET /healthz?group=vip HTTP/1.1\r\nHost: localhost:7694\r\n\r\n", LOCAL).unwrap();
        let expected = Request { bodyless: false, path: "/healthz".into(), query: Some("group=vip".into()) };
        assert_eq!(got, expected);
        let got = ask("HEAD http://127.0.0.1?x HTTP/1.1\r\nHost: elsewhere\r\n\r\n", LOCAL).unwrap();
        assert_eq!(got, Request { bodyless: true, path: "/".into(), query: Some("x".into()) });
        assert_eq!(ask("GET / HTTP/1.0\r\n\r\n", LOCAL).unwrap().path, "/");
    }

    #[test]
    fn what_may_not_be_answered_is_refused() {
        let many = "x: y\r\n".repeat(MOST_FIELDS + 1);
        for (text, status) in [
            ("hello\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
            ("POST / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
            ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 403),
            ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
            ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
            (&format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431),
        ] {
            assert_eq!(ask(text, LOCAL), Err(status), "{text:?}");
        }
    }

    #[test]
    fn a_page_from_elsewhere_cannot_make_a_browser_ask_a_console_on_loopback() {
        let local: SocketAddr = LOCAL.parse().unwrap();
        for host in
            ["localhost", "LocalHost:80", "localhost.", "127.0.0.1", "127.8.8.8:7", "[::1]:7694", "[::1]"]
        {
            assert!(is_ours(host, local), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::1",
            "::1",
        ] {
            assert_eq!(is_ours(host, local), host == "[::1", "{host}");
        }
        for listen in ["[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(!is_ours("evil.example", listen.parse().unwrap()));
        }
        for listen in ["192.168.1.2:7694", "0.0.0.0:1", "[::]:1"] {
            assert!(is_ours("midas.example", listen.parse().unwrap()));
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_wherever_it_was_cut() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let end = text.len() - 4;
        assert_eq!(end_of_head(text, 0), Some(end));
        for seen in 0..end {
            assert_eq!(end_of_head(&text[..seen], 0), None);
            assert_eq!(end_of_head(text, seen), Some(end), "{seen}");
        }
        assert_eq!(end_of_head(b"GET / HTTP/1.0\n\n", 15), Some(16));
    }

    proptest::proptest! {
        #[test]
        fn any_head_is_read_or_refused(method in "(GET|HEAD|POST|.*)", target in "(/.*|http://.*|.*)", rest in ".*") {
            let text = format!("{method} {target} HTTP/1.1\r\n{rest}\r\n\r\n");
            if let Some(end) = end_of_head(text.as_bytes(), 0) {
                let got = read(&text.as_bytes()[..end], LOCAL.parse().unwrap());
                let allowed = ["GET ", "HEAD "].iter().any(|method| text.starts_with(method));
                proptest::prop_assert!(got.is_err() || allowed, "{:?}", got);
            }
            value_of(&target, &rest);
        }
    }

    #[test]
    fn queries_are_decoded() {
        assert_eq!(value_of("a=1&group=my+v%69p", "group").as_deref(), Some("my vip"));
        assert_eq!(value_of("group=%zz%", "group").as_deref(), Some("%zz%"));
        assert_eq!(value_of("groups=x", "group"), None);
    }
}
