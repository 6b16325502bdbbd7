//! An alert told to a web server: the event as JSON by POST, with headers from a file that nobody else may read.

use std::path::Path;

use hyper::header::{HeaderName, HeaderValue};

use crate::config::Webhook;
use crate::{http, private};

/// No file with headers is longer.
const MOST: u32 = 16 * 1024;
/// So much of what a server says when it refuses is repeated.
const ANSWER: usize = 200;

/// Tells it once.
///
/// # Errors
/// A sentence; it has no secret in it.
pub async fn tell(hook: &Webhook, json: String) -> Result<(), String> {
    let told = async {
        let headers = match &hook.header_file {
            Some(file) => headers(file)?,
            None => Vec::new(),
        };
        let (status, answer) = http::post(&hook.url, hook.ca.as_deref(), headers, json.into_bytes()).await?;
        match status {
            200..=299 => Ok(()),
            300..=399 => Err(format!("status {status}: it wants to be asked elsewhere; write that URL")),
            _ => Err(format!("status {status}{}", said(&answer))),
        }
    };
    told.await.map_err(|why: String| format!("{}: {why}", hook.url.shown))
}

/// The first line of what the server says.
fn said(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(&answer[..answer.len().min(4 * ANSWER)]);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(ANSWER).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

/// The headers in a file: a line `Name: value` each; blank lines and those that begin with `#` do not count. It is read each
/// time, so what is in it may be changed under way.
fn headers(path: &Path) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let text = private::read(path, MOST, "the headers cannot")?;
    let shown = path.display();
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let header = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        all.push(header.ok_or_else(|| format!("line {number} of {shown} is no header: write Name: value"))?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn headers_are_read_from_a_file_of_ones_own_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        assert!(headers(&file).unwrap_err().contains("cannot be read"));
        std::fs::write(&file, "# of the pager\n\nAuthorization: Bearer t0p-s3cret\nX-Team:lvs\n").unwrap();
        mode(0o640);
        let why = headers(&file).unwrap_err();
        assert!(why.contains("has mode 0640") && why.contains("chmod 600"), "{why}");
        mode(0o600);
        let read = headers(&file).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].0.as_str(), read[0].1.as_bytes()), ("authorization", &b"Bearer t0p-s3cret"[..]));
        assert!(!format!("{read:?}").contains("s3cret"), "{read:?}");
        std::fs::write(&file, "Authorization: good\nt0p-s3cret\n").unwrap();
        let why = headers(&file).unwrap_err();
        assert!(why.contains("line 2 of") && !why.contains("s3cret"), "{why}");
        assert!(headers(folder.path()).unwrap_err().contains("is no regular file"));
    }

    #[test]
    fn of_what_a_server_says_one_line_is_repeated() {
        assert_eq!(said(b"\r\n <b>no</b> such\x07 hook\nmore"), ": <b>no</b> such hook");
        assert_eq!(said(b""), "");
        assert_eq!(said(&[b'x'; 5000]).len(), 2 + ANSWER);
    }
}
