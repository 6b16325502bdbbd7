//! Connections to the members of an etcd: HTTP/1.1, with or without TLS, one request at a time on each.
//!
//! Every wait here is under the deadline of the caller, who drops what is not done by then; a dropped connection is
//! closed, since what may still come of it belongs to nobody.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, Error as TlsError};

use crate::config::Witness;
use crate::http::{self, AGENT, plain, tls};

/// No answer to what is asked here is longer.
const MOST_BODY: usize = 1 << 20;
/// So long a lookup is waited for where the answer of the last one is known.
const SOON: Duration = Duration::from_millis(50);
/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;
/// Where etcd listens unless told otherwise.
const PORT: u16 = 2379;
const WANTS_ONE: &str = "does it want a certificate of ours ([witness] cert and key)?";

/// One member, as it is configured.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// The URL, for people.
    pub shown: String,
    tls: bool,
    host: String,
    port: u16,
    /// What its name stood for when that was last known.
    known: Arc<Mutex<Vec<SocketAddr>>>,
    /// Its name is being looked up.
    looking: Arc<AtomicBool>,
}

impl Endpoint {
    /// Of a URL that the configuration has found good.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(url: &str) -> Result<Endpoint, String> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("{url} is no endpoint"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = http::host_and_port(authority).map_err(|why| format!("{url}: {why}"))?;
        let port = port.unwrap_or(PORT);
        let shown = url.strip_suffix('/').unwrap_or(url).to_owned();
        Ok(Endpoint {
            shown,
            tls: scheme == "https",
            host,
            port,
            known: Arc::default(),
            looking: Arc::default(),
        })
    }

    /// Where it is. A name is looked up each time, one lookup at a time however long it hangs; if it takes too long, what was known
    /// before is good enough.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unknown = known().is_empty();
        match self.look_up() {
            Some(lookup) if unknown => {
                lookup.await.map_err(|error| format!("internal: {error}"))??;
            }
            // Its mistakes are of no interest as long as there is something to go by.
            Some(lookup) => drop(timeout(SOON, lookup).await),
            None if unknown => return Err(format!("the name {} is still being looked up", self.host)),
            None => {}
        }
        Ok(known())
    }

    /// Begins to look the name up, unless that is under way.
    fn look_up(&self) -> Option<JoinHandle<Result<(), String>>> {
        if self.looking.swap(true, Ordering::SeqCst) {
            return None;
        }
        let (host, port) = (self.host.clone(), self.port);
        let (known, looking) = (Arc::clone(&self.known), Arc::clone(&self.looking));
        Some(tokio::spawn(async move {
            let found = lookup_host((host.as_str(), port)).await;
            looking.store(false, Ordering::SeqCst);
            let found: Vec<SocketAddr> = found
                .map_err(|error| format!("the name {host} cannot be looked up: {}", plain(&error)))?
                .take(MOST_ADDRESSES)
                .collect();
            if !found.is_empty() {
                *known.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
            Ok(())
        }))
    }

    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    /// HTTP's.
    pub status: u16,
    /// As it came.
    pub body: Bytes,
}

/// A member and the term it was in.
pub(super) type Seen = (String, String);

/// One connection to one member.
#[derive(Debug)]
pub(super) struct Session {
    /// Which member, by its place in the configuration.
    pub endpoint: usize,
    /// The member and the term in which a quorum followed its leader when this was last known, on this very connection.
    pub seen: Option<Seen>,
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    /// Of TLS, and nothing was answered on it yet.
    fresh: bool,
    /// Ends with the connection; says why, if it broke.
    connection: JoinHandle<Option<hyper::Error>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Session {
    /// Opens a connection.
    ///
    /// # Errors
    /// A sentence.
    pub async fn open(at: usize, endpoint: &Endpoint, settings: &Witness) -> Result<Session, String> {
        let addresses = endpoint.addresses().await?;
        let stream = TcpStream::connect(addresses.as_slice()).await;
        let stream = stream.map_err(|error| format!("no connection: {}", plain(&error)))?;
        let _ = stream.set_nodelay(true);
        if !endpoint.tls {
            return Session::begin(at, endpoint, stream).await;
        }
        let name = ServerName::try_from(endpoint.host.clone())
            .map_err(|_| format!("{} is neither a host name nor an address", endpoint.host))?;
        // Read anew for each connection: certificates are renewed under way.
        let connector = TlsConnector::from(Arc::new(trust(settings)?));
        let stream = connector.connect(name, stream).await.map_err(|error| tls::untrusted(&error))?;
        Session::begin(at, endpoint, stream).await
    }

    async fn begin<S>(at: usize, endpoint: &Endpoint, stream: S) -> Result<Session, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        let connection = tokio::spawn(async move { connection.await.err() });
        let host = HeaderValue::from_str(&endpoint.authority())
            .map_err(|_| format!("{} is no host name", endpoint.host))?;
        Ok(Session { endpoint: at, seen: None, sender, host, fresh: endpoint.tls, connection })
    }

    /// Whether the other side has not closed it.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// One request and its whole answer.
    ///
    /// # Errors
    /// A sentence; then the request may have been carried out or not, and the connection is of no more use.
    pub async fn post(&mut self, path: &str, token: Option<&str>, body: Vec<u8>) -> Result<Reply, String> {
        let mut request = Request::post(path)
            .header(HOST, self.host.clone())
            .header(USER_AGENT, HeaderValue::from_static(AGENT))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = token {
            let mut value =
                HeaderValue::from_str(token).map_err(|_| "etcd gave a token that is none".to_owned())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request =
            request.body(Full::new(Bytes::from(body))).map_err(|error| format!("internal: {error}"))?;
        if let Err(error) = self.sender.ready().await {
            return Err(self.why(&error).await);
        }
        let answer = match self.sender.send_request(request).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.why(&error).await),
        };
        self.fresh = false;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MOST_BODY).collect().await;
        let body = body.map_err(|error| format!("its answer is not whole: {error}"))?.to_bytes();
        Ok(Reply { status, body })
    }
}

impl Session {
    /// Why a request had no answer: the connection may know better.
    async fn why(&mut self, error: &hyper::Error) -> String {
        if !error.is_canceled() && !error.is_closed() {
            return broken(error);
        }
        // The session is of no more use, so this is awaited once.
        match (&mut self.connection).await {
            Ok(Some(cause)) => broken(&cause),
            // What it says of a certificate it does not get may be read too late.
            _ if self.fresh => format!("it ended TLS at once: {WANTS_ONE}"),
            _ => broken(error),
        }
    }
}

/// Whom to trust, and what to show them.
pub(super) fn trust(settings: &Witness) -> Result<ClientConfig, String> {
    let identity = settings.identity.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
    tls::trust(settings.ca.as_deref(), identity)
}

/// A sentence from what hyper says: whether it wants to see a certificate, a member of an etcd says by ending TLS.
fn broken(error: &hyper::Error) -> String {
    use std::error::Error;
    let alert = error.source().and_then(|inner| inner.downcast_ref::<io::Error>());
    if let Some(TlsError::AlertReceived(alert)) =
        alert.and_then(|error| error.get_ref()).and_then(|inner| inner.downcast_ref::<TlsError>())
    {
        return format!("it ended TLS ({alert:?}): {WANTS_ONE}");
    }
    http::broken(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_taken_apart() {
        for (url, tls, host, port, authority) in [
            ("http://10.0.0.9:2379", false, "10.0.0.9", 2379, "10.0.0.9:2379"),
            ("https://etcd.example.com", true, "etcd.example.com", 2379, "etcd.example.com:2379"),
            ("http://[fd00::9]:1/", false, "fd00::9", 1, "[fd00::9]:1"),
            ("https://[fd00::9]", true, "fd00::9", 2379, "[fd00::9]:2379"),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!((endpoint.tls, endpoint.host.as_str(), endpoint.port), (tls, host, port), "{url}");
            assert_eq!(endpoint.authority(), authority);
        }
        assert!(Endpoint::parse("http://a:b").is_err());
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_looked_up_any_more_stands_for_what_it_did() {
        let endpoint = Endpoint::parse("http://localhost:1").unwrap();
        let found = endpoint.addresses().await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 1), "{found:?}");
        // RFC 2606 section 2: nobody has such a name.
        let endpoint = Endpoint::parse("http://etcd.invalid:2").unwrap();
        let why = endpoint.addresses().await.unwrap_err();
        assert!(why.contains("the name etcd.invalid cannot be looked up"), "{why}");
        *endpoint.known.lock().unwrap() = found.clone();
        assert_eq!(endpoint.addresses().await.unwrap(), found);
        // One that hangs is not begun a second time.
        endpoint.looking.store(true, Ordering::SeqCst);
        assert_eq!(endpoint.addresses().await.unwrap(), found);
        endpoint.known.lock().unwrap().clear();
        assert!(endpoint.addresses().await.unwrap_err().contains("still being looked up"));
    }
}
