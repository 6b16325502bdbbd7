//! Asking for the load.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Reading, Source, Target, text};
use crate::check::origin;
use crate::check::program::{self, Call};
use crate::check::progress::Progress;
use crate::check::proto::text::{quoted, unescaped};
use crate::check::web;

/// An agent's line is short; the rest is not read.
const LONGEST_LINE: usize = 4096;
/// A longer document is no report of a load.
const LONGEST_DOCUMENT: usize = 256 * 1024;

/// Asks `source` for the load of `target`, for `deadline` at most.
///
/// # Errors
/// A plain sentence: why there is no reading.
pub async fn read(source: &Source, target: &Target, deadline: Duration) -> Result<Reading, String> {
    let asked = tokio::time::timeout(deadline, ask(source, target));
    asked
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {}", base::config::duration::show(deadline))))
}

async fn ask(source: &Source, target: &Target) -> Result<Reading, String> {
    match source {
        Source::Agent { port, send } => {
            let address = SocketAddr::new(target.address, *port);
            text::read(&agent(address, send.as_deref().unwrap_or_default()).await?)
        }
        Source::Http { port, path, field, busy_at } => {
            let address = SocketAddr::new(target.address, *port);
            let document = web::get(address, path, LONGEST_DOCUMENT).await?;
            text::from_json(&document, field, *busy_at)
        }
        Source::Exec { program, args } => {
            let args = args.iter().map(|arg| named(arg, target).into()).collect();
            let ended = program::run(Call { program: program.clone(), args, ..Call::default() }).await?;
            if !ended.status.success() {
                let said = String::from_utf8_lossy(&ended.stderr).into_owned();
                return Err(format!("the program ended with {}: {}", ended.how(), quoted(said.trim())));
            }
            text::read(&String::from_utf8_lossy(&ended.stdout))
        }
        Source::File { path } => text::read(&file(PathBuf::from(named(path, target))).await?),
    }
}

/// `%h` is the real server's address, `%n` its name.
fn named(text: &str, target: &Target) -> String {
    text.replace("%h", &target.address.to_string()).replace("%n", &target.name)
}

/// The first line a port says.
async fn agent(address: SocketAddr, send: &str) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("the agent on {address} cannot be asked: {e}");
    let mut stream = origin::connect(address, &Progress::default()).await.map_err(failed)?;
    stream.write_all(&unescaped(send)?).await.map_err(failed)?;
    let mut said = Vec::new();
    let mut chunk = [0; 512];
    while said.len() < LONGEST_LINE {
        let length = stream.read(&mut chunk).await.map_err(failed)?;
        said.extend_from_slice(&chunk[..length]);
        if length == 0 || chunk[..length].contains(&b'\n') {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// The start of a file. A thread reads it, which may hang (NFS) without holding up anybody but itself.
async fn file(path: PathBuf) -> Result<String, String> {
    let read = tokio::task::spawn_blocking(move || match super::start_of(&path, LONGEST_LINE) {
        Ok(Some(text)) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Ok(None) => Err(format!("{} is no plain file", path.display())),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    });
    read.await.unwrap_or_else(|e| Err(format!("the file was not read: {e}")))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::load::Wish;

    const LONG: Duration = Duration::from_secs(20);

    fn target() -> Target {
        Target { address: Ipv4Addr::LOCALHOST.into(), name: "web1".to_owned() }
    }

    /// A server that says `said` to the first who comes, and keeps the connection open if `open`.
    async fn server(said: &'static str, open: bool) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            if open {
                std::future::pending::<()>().await;
            }
        });
        port
    }

    #[tokio::test]
    async fn an_agent_is_heard_to_its_line_end_or_its_end() {
        for (said, open) in [("75% up\n", true), ("75% up", false)] {
            let source = Source::Agent { port: server(said, open).await, send: None };
            assert_eq!(read(&source, &target(), LONG).await.unwrap().percent, Some(75.0), "{said}");
        }
        let source = Source::Agent { port: server("75", true).await, send: None };
        assert_eq!(
            read(&source, &target(), Duration::from_millis(50)).await.unwrap_err(),
            "no answer within 50ms"
        );
    }

    #[tokio::test]
    async fn a_document_over_http() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"cpu\":{\"load\":2.0}}";
        let http = |port, busy_at| Source::Http {
            port,
            path: "/".to_owned(),
            field: "cpu.load".to_owned(),
            busy_at,
        };
        let source = http(server(answer, true).await, Some(4));
        assert_eq!(read(&source, &target(), LONG).await.unwrap().percent, Some(50.0));
        let source = http(server("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", true).await, None);
        assert!(read(&source, &target(), LONG).await.unwrap_err().contains("503"));
    }

    #[tokio::test]
    async fn a_program_and_a_file_know_whom_they_are_asked_of() {
        let args = vec!["-c".to_owned(), "echo down '#' $0".to_owned(), "%h/%n".to_owned()];
        let source = Source::Exec { program: "/bin/sh".into(), args };
        let reading = read(&source, &target(), LONG).await.unwrap();
        assert_eq!((reading.state, reading.why.as_deref()), (Some(Wish::Down), Some("127.0.0.1/web1")));
        let failing = Source::Exec { program: "/bin/false".into(), args: Vec::new() };
        assert!(read(&failing, &target(), LONG).await.unwrap_err().contains("exit code 1"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("web1"), "30%\n").unwrap();
        let source = Source::File { path: format!("{}/%n", folder.path().display()) };
        assert_eq!(read(&source, &target(), LONG).await.unwrap().percent, Some(30.0));
        let folder_itself = Source::File { path: folder.path().display().to_string() };
        assert!(read(&folder_itself, &target(), LONG).await.unwrap_err().contains("no plain file"));
    }
}
