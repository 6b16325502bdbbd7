//! HTTP of both versions and gRPC: HTTP/1.1 is a talk of our own, HTTP/2 is hyper's.
//!
//! Redirects are not followed: a 302 is an answer like any other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base::base64;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    USER_AGENT,
};
use hyper::{Method, Response, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::progress::Progress;
use super::proto::grpc;
use super::proto::http::{HttpTalk, MOST_BODY, Request, Wanted};
use super::proto::text::quoted;
use super::spec::{Grpc, Http, HttpVersion};
use super::stream::Conversation;
use super::tls::Secure;
use super::wire::Wire;

const AGENT: &str = concat!("director/", env!("CARGO_PKG_VERSION"));

/// What is asked and expected, made once.
#[derive(Debug)]
pub(super) struct Web {
    secure: Option<Secure>,
    host: Option<String>,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    One(Request),
    Two(Two),
}

/// What is asked over HTTP/2.
#[derive(Debug)]
struct Two {
    method: Method,
    path: Uri,
    headers: HeaderMap,
    body: Bytes,
    judge: Judge,
}

#[derive(Debug)]
enum Judge {
    Http(Arc<Wanted>),
    Grpc,
}

impl Web {
    /// For an HTTP check.
    ///
    /// # Errors
    /// A sentence: something of it cannot be sent.
    pub fn http(spec: &Http, wanted: Wanted) -> Result<Web, String> {
        let protocol: &[u8] = if spec.version == HttpVersion::Two { b"h2" } else { b"http/1.1" };
        let secure =
            spec.tls.as_ref().map(|tls| Secure::new(tls, spec.host.as_deref(), &[protocol])).transpose()?;
        let method = Method::from_bytes(spec.method.as_bytes());
        let method = method.map_err(|_| format!("{} is no HTTP method", quoted(&spec.method)))?;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        for (name, value) in &spec.headers {
            let named = HeaderName::from_bytes(name.as_bytes());
            let named = named.map_err(|_| format!("{} is no name of an HTTP header", quoted(name)))?;
            headers.insert(named, header(value)?);
        }
        if let Some(user) = &spec.user {
            let password = spec.password.as_ref().map_or("", |password| password.reveal());
            let mut value =
                header(&format!("Basic {}", base64::encode(format!("{user}:{password}").as_bytes())))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let named = headers.remove(HOST);
        let named = named.and_then(|value| value.to_str().ok().map(str::to_owned));
        let host = spec.host.clone().or(named);
        let (path, wanted) = (uri(&spec.path)?, Arc::new(wanted));
        let asked = match spec.version {
            HttpVersion::One => Asked::One(request(&method, &path, headers, wanted)),
            HttpVersion::Two => {
                Asked::Two(Two { method, path, headers, body: Bytes::new(), judge: Judge::Http(wanted) })
            }
        };
        Web { secure, host, asked }.checked()
    }

    /// For gRPC's health service.
    ///
    /// # Errors
    /// As [`Web::http`].
    pub fn grpc(spec: &Grpc) -> Result<Web, String> {
        let secure =
            spec.tls.as_ref().map(|tls| Secure::new(tls, spec.host.as_deref(), &[b"h2"])).transpose()?;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        let (path, body) = (uri(grpc::PATH)?, Bytes::from(grpc::request(&spec.service)));
        let asked = Asked::Two(Two { method: Method::POST, path, headers, body, judge: Judge::Grpc });
        Web { secure, host: spec.host.clone(), asked }.checked()
    }

    /// Whether a request can be made of it: said when the configuration is read, not at each check.
    fn checked(self) -> Result<Web, String> {
        let host = self.host(SocketAddr::from(([127, 0, 0, 1], 80)));
        header(&host)?;
        // Every server would refuse it.
        if host.contains(|c: char| c.is_whitespace() || "/?#@\\".contains(c)) {
            return Err(format!("{} is no host", quoted(&host)));
        }
        if let Asked::Two(two) = &self.asked {
            self.absolute(&host, &two.path)?;
        }
        Ok(self)
    }

    /// What the server at `address` is called in the request.
    fn host(&self, address: SocketAddr) -> String {
        let usual = if self.secure.is_some() { 443 } else { 80 };
        self.host.clone().unwrap_or_else(|| match address.port() == usual {
            true if address.is_ipv6() => format!("[{}]", address.ip()),
            true => address.ip().to_string(),
            false => address.to_string(),
        })
    }

    fn absolute(&self, host: &str, path: &Uri) -> Result<Uri, String> {
        let scheme = if self.secure.is_some() { "https" } else { "http" };
        uri(&format!("{scheme}://{host}{path}"))
    }

    /// The talk, if it is HTTP/1.1.
    pub fn talk(&self, address: SocketAddr) -> Option<HttpTalk> {
        match &self.asked {
            Asked::One(request) => Some(request.talk(&self.host(address))),
            Asked::Two(_) => None,
        }
    }

    /// Asks once. The deadline is the caller's.
    ///
    /// # Errors
    /// A sentence.
    pub async fn ask(&self, address: SocketAddr, progress: &Progress) -> Result<(), String> {
        let wire = Wire::open(address, self.secure.as_ref(), progress).await?;
        let host = self.host(address);
        match &self.asked {
            Asked::One(request) => {
                let mut talk = request.talk(&host);
                Conversation { wire, address, upgrade: None, progress }.hold(&mut talk).await
            }
            // Boxed: larger than all else.
            Asked::Two(two) => Box::pin(two.ask(wire, self.absolute(&host, &two.path)?, progress)).await,
        }
    }
}

impl Two {
    async fn ask(&self, wire: Wire, uri: Uri, progress: &Progress) -> Result<(), String> {
        let mut request = hyper::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        *request.version_mut() = Version::HTTP_2;
        progress.at("before it had answered the request");
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(wire))
                .await
                .map_err(|e| failed(&e))?;
        let answered = async { self.judge.judge(sender.send_request(request).await, progress).await };
        let (mut connection, mut answered) = (std::pin::pin!(connection), std::pin::pin!(answered));
        tokio::select! {
            biased;
            verdict = &mut answered => verdict,
            // Its end is not yet that of what it has delivered.
            _ = &mut connection => answered.await,
        }
    }
}

impl Judge {
    async fn judge(
        &self,
        answer: hyper::Result<Response<Incoming>>,
        progress: &Progress,
    ) -> Result<(), String> {
        let (head, body) = answer.map_err(|e| unanswered(&e))?.into_parts();
        match self {
            Judge::Http(wanted) => {
                wanted.status(head.status)?;
                if wanted.expect.is_none() {
                    return Ok(());
                }
                progress.at("before the body of its answer was complete");
                look(body, wanted).await
            }
            Judge::Grpc => {
                if head.status != 200 {
                    return Err(format!("the HTTP status is {}: no gRPC is spoken here", head.status));
                }
                let (message, trailers) = read(body, grpc::MOST).await?;
                let named = |name: &str| {
                    let value =
                        trailers.as_ref().and_then(|trailers| trailers.get(name)).or(head.headers.get(name));
                    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                };
                grpc::judge(&message, named("grpc-status").as_deref(), named("grpc-message").as_deref())
            }
        }
    }
}

/// The words of a request of HTTP/1.1 (RFC 9112, 3).
fn request(method: &Method, path: &Uri, mut headers: HeaderMap, wanted: Arc<Wanted>) -> Request {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    // Some servers want to know of no body too, where one is usual (RFC 9110, 8.6).
    if [Method::POST, Method::PUT, Method::PATCH].contains(method) && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut after_host = b"\r\n".to_vec();
    for (name, value) in &headers {
        after_host.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    after_host.extend(b"\r\n");
    Request {
        before_host: format!("{method} {path} HTTP/1.1\r\nhost: ").into_bytes(),
        after_host,
        headed_only: method == Method::HEAD,
        wanted,
    }
}

/// What is asked for, with or without its authority.
fn uri(text: &str) -> Result<Uri, String> {
    text.parse().map_err(|e| format!("{} cannot be asked for: {e}", quoted(text)))
}

fn header(value: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(value)
        .map_err(|_| "an HTTP header has a character that is not allowed there".to_owned())
}

/// Until the body has what is expected: no more of it is read than needed.
async fn look(mut body: Incoming, wanted: &Wanted) -> Result<(), String> {
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| failed(&e))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let known = seen.len();
        seen.extend_from_slice(&data[..data.len().min(MOST_BODY - known)]);
        if wanted.enough(&seen, known) {
            return Ok(());
        }
        if seen.len() >= MOST_BODY {
            break;
        }
    }
    wanted.body(&seen)
}

/// All of a body, and its trailers.
async fn read(mut body: Incoming, most: usize) -> Result<(Vec<u8>, Option<HeaderMap>), String> {
    let (mut seen, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.map_err(|e| failed(&e))?.into_data() {
            Ok(data) if seen.len() + data.len() > most => {
                return Err(format!("the answer has more than {most} bytes"));
            }
            Ok(data) => seen.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((seen, trailers))
}

/// `path` from the root: ldirectord's `request` has no slash before it, and everybody knows what is meant.
pub(crate) fn rooted(path: &str) -> String {
    match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    }
}

/// A document to GET; for reading a load.
///
/// # Errors
/// A sentence: it cannot be asked for.
pub(crate) fn document(path: &str) -> Result<impl Fn(SocketAddr) -> Option<HttpTalk>, String> {
    let spec = Http {
        version: HttpVersion::One,
        tls: None,
        method: "GET".to_owned(),
        path: path.to_owned(),
        host: None,
        headers: std::collections::BTreeMap::new(),
        status: Vec::new(),
        expect: None,
        user: None,
        password: None,
    };
    let web = Web::http(&spec, Wanted::default())?;
    Ok(move |address| web.talk(address))
}

/// GETs a document; for reading a load.
///
/// # Errors
/// A sentence.
pub(crate) async fn get(address: SocketAddr, path: &str, most: usize) -> Result<Vec<u8>, String> {
    let talk = document(path)?(address);
    let mut talk = talk.ok_or("internal: a load is asked for by HTTP/1.1")?.gathering(most + 1);
    let progress = Progress::default();
    let wire = Wire::open(address, None, &progress).await?;
    Conversation { wire, address, upgrade: None, progress: &progress }.hold(&mut talk).await?;
    let document = talk.into_body();
    match document.len() > most {
        true => Err(format!("the answer has more than {most} bytes")),
        false => Ok(document),
    }
}

/// A sentence from what hyper says when no answer came: most often the server speaks HTTP/1.1, or something else.
fn unanswered(error: &hyper::Error) -> String {
    use std::error::Error;
    // What was wrong was found here, and not told by the server in HTTP/2: only its words say so.
    let inner = error.source().map(ToString::to_string).filter(|inner| inner.contains(" error detected: "));
    inner.map_or_else(
        || failed(error),
        |inner| format!("the server does not speak HTTP/2 on this port ({inner})"),
    )
}

/// A sentence from what hyper says.
fn failed(error: &hyper::Error) -> String {
    use std::error::Error;
    let cut = |inner: &(dyn Error + 'static)| {
        inner.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::UnexpectedEof)
    };
    if error.is_incomplete_message() || error.source().is_some_and(cut) {
        return "the server closed the connection before its answer was complete".to_owned();
    }
    let inner = error.source().map(|inner| format!(": {inner}")).unwrap_or_default();
    match error.is_parse() {
        true => format!("the answer is no HTTP ({error})"),
        false => format!("the exchange failed: {error}{inner}"),
    }
}
