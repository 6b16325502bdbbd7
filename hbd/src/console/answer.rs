//! What is answered to whom asks for what.

use std::sync::Arc;

use base::terminal::look::Look;

use super::page;
use super::request::{Request, value_of};
use super::view::View;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
/// Of Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub status: u16,
    kind: &'static str,
    bodyless: bool,
    body: Arc<String>,
}

impl Answer {
    /// A sentence.
    pub(super) fn plain(status: u16, sentence: &str) -> Answer {
        Answer { status, kind: TEXT, bodyless: false, body: Arc::new(format!("{sentence}\n")) }
    }

    fn of(kind: &'static str, body: Arc<String>) -> Answer {
        Answer { status: 200, kind, bodyless: false, body }
    }

    /// To HEAD: everything but the body.
    pub(super) fn without_body(self, bodyless: bool) -> Answer {
        Answer { bodyless, ..self }
    }

    /// What goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\n",
            self.status,
            reason(self.status),
            self.kind,
            self.body.len()
        );
        if self.status == 405 {
            head.push_str("Allow: GET, HEAD\r\n");
        }
        if self.kind == HTML {
            head.push_str(page::POLICY);
        }
        head.push_str("\r\n");
        if !self.bodyless {
            head.push_str(&self.body);
        }
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    }
}

/// The answer to `request`.
pub(super) async fn answer(view: &Arc<View>, request: &Request) -> Answer {
    of_path(view, request).await.without_body(request.bodyless)
}

async fn of_path(view: &Arc<View>, request: &Request) -> Answer {
    let path = request.path.as_str();
    if !matches!(path, "/" | "/healthz" | "/metrics" | "/api/status") {
        return Answer::plain(404, "there are /, /healthz, /metrics and /api/status");
    }
    let shown = match view.look().await {
        Ok(shown) => shown,
        Err(why) if path == "/" => {
            return Answer { status: 503, ..Answer::of(HTML, Arc::new(page::silent(&why))) };
        }
        Err(why) => return Answer::plain(503, &why),
    };
    match path {
        "/metrics" => Answer::of(METRICS, shown.metrics()),
        "/api/status" => Answer::of(JSON, shown.json()),
        "/healthz" => {
            let group = request.query.as_deref().and_then(|query| value_of(query, "group"));
            health(Look(&shown.status), group.as_deref())
        }
        _ => Answer::of(HTML, shown.page()),
    }
}

/// Whether this node is well: its loop has just answered, and it is not about to end. That something is degraded, or that it
/// is in standby, is not ill. With a group: whether this node serves it.
fn health(status: Look, group: Option<&str>) -> Answer {
    let node = status.text("node");
    if status.text("state") == "leaving" {
        return Answer::plain(503, &format!("node {node} is leaving"));
    }
    let Some(name) = group else {
        let cluster = status.text("cluster");
        return Answer::plain(200, &format!("ok: node {node} of cluster {cluster} answers"));
    };
    let Some(group) = status.list("groups").find(|group| group.text("name") == name) else {
        return Answer::plain(404, "there is no such group");
    };
    match (group.text("state").as_str(), group.maybe("owner")) {
        ("started", Some(owner)) if owner == node => {
            Answer::plain(200, &format!("ok: node {node} serves {name}"))
        }
        (state, Some(owner)) => {
            Answer::plain(503, &format!("{name} is {state} on {owner}, asked was {node}"))
        }
        (state, None) => Answer::plain(503, &format!("{name} is {state}, nobody owns it")),
    }
}
