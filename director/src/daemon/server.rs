//! The daemon's end of the control socket.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::control::access::Policy;
use base::control::protocol::Answer;
use base::control::server::{Client, Handler, Server};
use base::daemon::socket::give_to;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::protocol::Request;
use crate::config::{self, model::Config};
use crate::core::Order;

/// How long the loop may take.
const LOOP_BOUND: Duration = Duration::from_secs(5);
/// Questions that may wait for the loop.
pub const QUEUE: usize = 64;

/// What the loop is asked.
#[derive(Debug)]
pub enum Ask {
    /// The picture.
    Status(oneshot::Sender<Value>),
    /// What would change with this configuration.
    Plan(Box<Config>, oneshot::Sender<Vec<String>>),
    /// An order of somebody.
    Order(String, Order, oneshot::Sender<Result<String, String>>),
    /// Take this configuration, read for somebody.
    Reload(String, Box<Config>, oneshot::Sender<String>),
    /// End.
    Stop(String, oneshot::Sender<()>),
}

/// What answers: the loop, and the disk.
#[derive(Debug)]
pub struct Desk {
    /// The way to the loop.
    pub asks: mpsc::Sender<Ask>,
    /// The configuration in use.
    pub config: PathBuf,
}

impl Handler for Desk {
    type Request = Request;

    async fn answer(&self, client: &Client<'_>, by: String, request: Request) -> io::Result<()> {
        let own = client.has_our_rights();
        let answer = match self.act(by, own, request).await {
            Ok((text, data)) => Answer::Done { text, data },
            Err(reason) => Answer::Refused { reason },
        };
        client.say(&answer).await
    }
}

impl Desk {
    /// `own` is whether `by` may read whatever we may.
    async fn act(&self, by: String, own: bool, request: Request) -> Result<(String, Value), String> {
        match request {
            Request::Status => Ok((String::new(), self.ask(Ask::Status).await?)),
            // What is wrong with a file is shown with its lines: also those of /etc/shadow.
            Request::Plan { config } if !own && config != self.config => {
                Err(format!("{by} may have no other file read than {}", self.config.display()))
            }
            Request::Plan { config } => {
                let config = Box::new(read(config).await?);
                let lines = self.ask(|done| Ask::Plan(config, done)).await?;
                Ok((String::new(), lines.into()))
            }
            Request::Order { order } => {
                let said = self.ask(|done| Ask::Order(by, order, done)).await??;
                Ok((said, Value::Null))
            }
            Request::Reload => {
                let config = Box::new(read(self.config.clone()).await?);
                let said = self.ask(|done| Ask::Reload(by, config, done)).await?;
                Ok((said, Value::Null))
            }
            Request::Stop => {
                self.ask(|done| Ask::Stop(by, done)).await?;
                Ok(("the director ends; the kernel's table stays as it is".into(), Value::Null))
            }
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, String> {
        let (done, answer) = oneshot::channel();
        let asked = async {
            self.asks.send(ask(done)).await.ok()?;
            answer.await.ok()
        };
        match timeout(LOOP_BOUND, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err("the director is ending".into()),
            Err(_) => Err(format!("the director's loop did not answer within {} s", LOOP_BOUND.as_secs())),
        }
    }
}

/// The control socket's door: who may come in can change while the director runs.
#[derive(Clone, Debug)]
pub struct Door {
    /// Who is behind it.
    pub server: Arc<Server<Desk>>,
    /// The socket.
    pub socket: PathBuf,
}

impl Door {
    /// Lets in root and the members of `group`, nobody else, from soon on. Needs the loop's runtime, and does not keep the
    /// loop: the group database can be a directory server far away.
    pub fn open_to(&self, group: String) {
        let door = self.clone();
        tokio::task::spawn_blocking(move || {
            door.server.set_policy(Policy::new(Some(&group)));
            give_to(&door.socket, Some(&group));
        });
    }
}

/// Reads a configuration off the loop.
///
/// # Errors
/// All that is wrong with it.
pub async fn read(path: PathBuf) -> Result<Config, String> {
    let reading = tokio::task::spawn_blocking(move || {
        // Anything else (a FIFO nobody writes to) would hang at the opening, for ever.
        if std::fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Err(format!("cannot read the configuration: {} is no plain file", path.display()));
        }
        config::load(&path).map_err(|problems| problems.to_string())
    });
    match reading.await {
        Ok(read) => read,
        Err(error) => Err(format!("the configuration was not read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_not_our_rights_has_no_other_file_read() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("director.toml"), folder.path().join("shadow"));
        std::fs::write(&own, "[[virtual]\n").unwrap();
        std::fs::write(&other, "root:hash\n").unwrap();
        let (asks, _asked) = mpsc::channel(1);
        let desk = Desk { asks, config: own.clone() };
        let plan = async |config: &std::path::Path, rights| {
            let request = Request::Plan { config: config.to_owned() };
            desk.act("one of the group".to_owned(), rights, request).await.unwrap_err()
        };
        let said = plan(&other, false).await;
        assert_eq!(said, format!("one of the group may have no other file read than {}", own.display()));
        assert!(plan(&other, true).await.contains("root:hash"));
        assert!(plan(&own, false).await.contains("[[virtual]"));
    }

    #[tokio::test]
    async fn a_configuration_that_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("director.toml");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reading = timeout(Duration::from_secs(20), read(fifo)).await.expect("an end");
        assert!(reading.unwrap_err().ends_with("director.toml is no plain file"));
    }
}
