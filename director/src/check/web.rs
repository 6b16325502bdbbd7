//! HTTP/1.1, HTTP/2 and gRPC. Redirects are not followed: a 302 is an answer like any other.

use std::io;
use std::net::SocketAddr;

use base::base64;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT,
};
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::progress::Progress;
use super::proto::grpc;
use super::proto::text::{Expect, quoted};
use super::spec::{Grpc, Http, HttpVersion};
use super::tls::Secure;
use super::wire::Wire;

/// So much of a body is looked at.
const MOST_BODY: usize = 1 << 20;
const AGENT: &str = concat!("director/", env!("CARGO_PKG_VERSION"));

type Asking = Request<Full<Bytes>>;

/// What is asked and expected, made once.
#[derive(Debug)]
pub(super) struct Web {
    version: HttpVersion,
    pub secure: Option<Secure>,
    method: Method,
    /// An absolute URI without its authority.
    path: Uri,
    host: Option<String>,
    headers: HeaderMap,
    body: Bytes,
    judge: Judge,
}

#[derive(Debug)]
enum Judge {
    Http { status: Vec<u16>, expect: Option<Expect> },
    Grpc,
}

impl Web {
    /// For an HTTP check.
    ///
    /// # Errors
    /// A sentence: something of it cannot be sent.
    pub fn http(spec: &Http, expect: Option<Expect>) -> Result<Web, String> {
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
        let web = Web {
            version: spec.version,
            secure,
            method,
            path: uri(&spec.path)?,
            host: spec.host.clone().or_else(|| {
                spec.headers
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case("host"))
                    .map(|(_, value)| value.clone())
            }),
            headers,
            body: Bytes::new(),
            judge: Judge::Http { status: spec.status.clone(), expect },
        };
        web.checked()
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
        let web = Web {
            version: HttpVersion::Two,
            secure,
            method: Method::POST,
            path: uri(grpc::PATH)?,
            host: spec.host.clone(),
            headers,
            body: Bytes::from(grpc::request(&spec.service)),
            judge: Judge::Grpc,
        };
        web.checked()
    }

    /// Whether a request can be made of it: said when the configuration is read, not at each check.
    fn checked(self) -> Result<Web, String> {
        self.request(SocketAddr::from(([127, 0, 0, 1], 80))).map(|_| self)
    }

    fn request(&self, address: SocketAddr) -> Result<Asking, String> {
        let usual = if self.secure.is_some() { 443 } else { 80 };
        let host = self.host.clone().unwrap_or_else(|| match address.port() == usual {
            true if address.is_ipv6() => format!("[{}]", address.ip()),
            true => address.ip().to_string(),
            false => address.to_string(),
        });
        let scheme = if self.secure.is_some() { "https" } else { "http" };
        let uri = match self.version {
            HttpVersion::One => Ok(self.path.clone()),
            HttpVersion::Two => uri(&format!("{scheme}://{host}{}", self.path)),
        }?;
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        if self.version == HttpVersion::One {
            request.headers_mut().insert(HOST, header(&host)?);
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        } else {
            request.headers_mut().remove(HOST);
            *request.version_mut() = Version::HTTP_2;
        }
        Ok(request)
    }

    /// Asks once. The deadline is the caller's.
    ///
    /// # Errors
    /// A sentence.
    pub async fn ask(&self, address: SocketAddr, progress: &Progress) -> Result<(), String> {
        let request = self.request(address)?;
        let wire = Wire::open(address, self.secure.as_ref(), progress).await?;
        progress.at("to the request");
        let io = TokioIo::new(wire);
        match self.version {
            HttpVersion::One => Box::pin(self.over_one(io, request, progress)).await,
            HttpVersion::Two => Box::pin(self.over_two(io, request, progress)).await,
        }
    }

    async fn over_one(&self, io: TokioIo<Wire>, request: Asking, progress: &Progress) -> Result<(), String> {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(io).await.map_err(|e| failed(&e))?;
        let answered = async { self.judge(sender.send_request(request).await, progress).await };
        beside(connection, answered).await
    }

    async fn over_two(&self, io: TokioIo<Wire>, request: Asking, progress: &Progress) -> Result<(), String> {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(|e| failed(&e))?;
        let answered = async { self.judge(sender.send_request(request).await, progress).await };
        beside(connection, answered).await
    }

    async fn judge(
        &self,
        answer: hyper::Result<Response<Incoming>>,
        progress: &Progress,
    ) -> Result<(), String> {
        let (head, body) = answer.map_err(|e| failed(&e))?.into_parts();
        let status = head.status.as_u16();
        match &self.judge {
            Judge::Http { status: good, expect } => {
                let fine = if good.is_empty() { head.status.is_success() } else { good.contains(&status) };
                if !fine {
                    return Err(format!("the status is {}{}", head.status, wanted(good)));
                }
                let Some(expect) = expect else {
                    return Ok(());
                };
                progress.at("to the request as a whole: the body is not complete");
                look(body, expect).await
            }
            Judge::Grpc => {
                if status != 200 {
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

/// What was wanted, if it is not the usual.
fn wanted(good: &[u16]) -> String {
    match good {
        [] => String::new(),
        good => format!(", wanted {}", good.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")),
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

/// Drives `connection` until `answered` is there.
async fn beside<C>(
    connection: impl Future<Output = C>,
    answered: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let (mut connection, mut answered) = (std::pin::pin!(connection), std::pin::pin!(answered));
    tokio::select! {
        biased;
        verdict = &mut answered => verdict,
        // Its end is not yet that of what it has delivered.
        _ = &mut connection => answered.await,
    }
}

/// Until the body has what is expected: no more of it is read than needed.
async fn look(mut body: Incoming, expect: &Expect) -> Result<(), String> {
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| failed(&e))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        seen.extend_from_slice(&data[..data.len().min(MOST_BODY - seen.len())]);
        // A pattern may be anchored at the end, and a negated one is true too early.
        if matches!(expect, Expect::Text(_)) && expect.matches(&seen) {
            return Ok(());
        }
        if seen.len() >= MOST_BODY {
            break;
        }
    }
    expect.judge("the body", &seen)
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

/// GETs a document; for reading a load.
///
/// # Errors
/// A sentence.
pub(crate) async fn get(address: SocketAddr, path: &str, most: usize) -> Result<Vec<u8>, String> {
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
    let request = Web::http(&spec, None)?.request(address)?;
    let wire = Wire::open(address, None, &Progress::default()).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(wire)).await.map_err(|e| failed(&e))?;
    let mut document = Vec::new();
    let answered = async {
        let answer = sender.send_request(request).await.map_err(|e| failed(&e))?;
        if !answer.status().is_success() {
            return Err(format!("the status is {}", answer.status()));
        }
        document = read(answer.into_body(), most).await?.0;
        Ok(())
    };
    beside(connection, answered).await?;
    Ok(document)
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
