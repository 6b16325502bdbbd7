//! A small HTTP/1.1 client, with or without TLS: one request on a connection of its own.
//!
//! Every wait here is under the deadline of the caller, who drops what is not done by then. Redirects are not followed: what is told
//! goes to whom the configuration names.

pub(crate) mod tls;

use std::io;
use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// So much of an answer is read: it is a status, and a sentence for people.
const MOST_BODY: usize = 64 * 1024;
/// What this client calls itself.
pub(crate) const AGENT: &str = concat!("hbd/", env!("CARGO_PKG_VERSION"));

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// As it was written, without what may be secret: the query.
    pub shown: String,
    tls: bool,
    host: String,
    port: u16,
    /// Path and query.
    path: String,
}

impl Url {
    /// `http://HOST[:PORT][/PATH][?QUERY]`, or `https://…`.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(text: &str) -> Result<Url, String> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("it has a blank or a control character in it".to_owned());
        }
        let (scheme, rest) = text.split_once("://").ok_or("it has no http:// or https:// in front")?;
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(format!("'{scheme}' is not spoken here: http or https")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if path.contains('#') {
            return Err("a fragment ('#…') is not sent to a server".to_owned());
        }
        if authority.contains('@') {
            return Err("a user and a password do not belong into it: use header_file".to_owned());
        }
        let (host, port) = host_and_port(authority)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let shown = format!("{scheme}://{authority}{}", path.split('?').next().unwrap_or_default());
        let usual = if tls { 443 } else { 80 };
        let url = Url { shown, tls, host, port: port.unwrap_or(usual), path };
        url.path.parse::<hyper::Uri>().map_err(|_| "its path has a character that must be written as %XX")?;
        if tls {
            ServerName::try_from(url.host.clone())
                .map_err(|_| format!("'{}' is neither a host name nor an address", url.host))?;
        }
        Ok(url)
    }

    fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

/// What comes before the path of a URL: a host, an IPv6 address without its brackets, and the port if there is one.
///
/// # Errors
/// A sentence.
pub(crate) fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or("a ']' is missing")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("'{host}' is no IPv6 address"))?;
            let port = after.strip_prefix(':');
            if port.is_none() && !after.is_empty() {
                return Err(format!("'{after}' behind the address is no port"));
            }
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(good) {
        return Err(format!("'{host}' is neither a host name nor an address"));
    }
    let port = port.map(|port| match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("'{port}' is no port")),
    });
    Ok((host.to_owned(), port.transpose()?))
}

/// Sends `body`, which is JSON, by POST; gives the status and the beginning of the answer.
///
/// # Errors
/// A sentence; then the request may have been carried out or not.
pub async fn post(
    url: &Url,
    ca: Option<&Path>,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
) -> Result<(u16, Bytes), String> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await;
    let stream = stream.map_err(|error| format!("no connection: {}", plain(&error)))?;
    if !url.tls {
        return ask(url, stream, headers, body).await;
    }
    let name = ServerName::try_from(url.host.clone())
        .map_err(|_| format!("'{}' is neither a host name nor an address", url.host))?;
    // Read anew for each connection: certificates are renewed under way.
    let connector = TlsConnector::from(Arc::new(tls::trust(ca, None)?));
    let stream = connector.connect(name, stream).await.map_err(|error| tls::untrusted(&error))?;
    ask(url, stream, headers, body).await
}

async fn ask<S>(
    url: &Url,
    stream: S,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
) -> Result<(u16, Bytes), String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Request::post(&url.path)
        .header(HOST, url.authority())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(body)));
    let request = request.map_err(|error| format!("the request cannot be made: {error}"))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = answer.status().as_u16();
        // A longer one says no more to us.
        let body = Limited::new(answer.into_body(), MOST_BODY).collect().await;
        Ok((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
    };
    tokio::pin!(answer);
    // The connection is driven here and nowhere else: with this future it is gone.
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

/// A sentence from what hyper says.
pub(crate) fn broken(error: &hyper::Error) -> String {
    use std::error::Error;
    if error.is_parse() {
        return "its answer is no HTTP: is it https:// and not http://?".to_owned();
    }
    match error.source().and_then(|inner| inner.downcast_ref::<io::Error>()) {
        Some(inner) => format!("the connection broke: {}", plain(inner)),
        None => format!("the connection broke: {error}"),
    }
}

/// What the system says, without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, tls, host, port, path, authority) in [
            ("http://10.0.0.9/hook", false, "10.0.0.9", 80, "/hook", "10.0.0.9"),
            ("https://tell.example.com", true, "tell.example.com", 443, "/", "tell.example.com"),
            ("https://t:8443/a/b?key=1", true, "t", 8443, "/a/b?key=1", "t:8443"),
            ("http://t?key=1", false, "t", 80, "/?key=1", "t"),
            ("http://[fd00::9]:1/", false, "fd00::9", 1, "/", "[fd00::9]:1"),
            ("https://[fd00::9]", true, "fd00::9", 443, "/", "[fd00::9]"),
        ] {
            let parsed = Url::parse(url).unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!((parsed.tls, parsed.host.as_str(), parsed.port), (tls, host, port), "{url}");
            assert_eq!((parsed.path.as_str(), parsed.authority().as_str()), (path, authority), "{url}");
            assert!(!parsed.shown.contains("key="), "{}", parsed.shown);
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_a_reason() {
        for (url, why) in [
            ("tell.example.com/hook", "no http://"),
            ("ftp://tell.example.com", "'ftp' is not spoken"),
            ("http://", "neither a host name"),
            ("http://a b/", "a blank"),
            ("http://a:0/", "'0' is no port"),
            ("http://a:99999/", "no port"),
            ("http://[fd00::9/", "']' is missing"),
            ("http://[nonsense]/", "no IPv6 address"),
            ("http://[::1]x/", "no port"),
            ("http://root:secret@a/", "header_file"),
            ("http://a/#top", "fragment"),
            ("http://a/\"quoted\"<>", "%XX"),
            ("https://-/", "neither a host name"),
        ] {
            let said = Url::parse(url).expect_err(url);
            assert!(said.contains(why), "{url}: {said}");
        }
    }
}
