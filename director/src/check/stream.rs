//! Drives a [`Talk`] over a connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::origin;
use super::progress::Progress;
use super::proto::talk::MOST_HEARD;
use super::proto::{Heard, Step, Talk};
use super::tls::Secure;
use super::wire::{Wire, broken, refused};

/// There is room for so much in the first read, and then for as much again as was heard, to a bound.
const LEAST_ROOM: usize = 1024;
const MOST_ROOM: usize = 16 * 1024;

/// A conversation with one server.
pub(super) struct Conversation<'a> {
    pub wire: Wire,
    pub address: SocketAddr,
    /// For a talk that starts TLS on the way.
    pub upgrade: Option<&'a Secure>,
    pub progress: &'a Progress,
}

impl Conversation<'_> {
    /// To its end. The deadline is the caller's.
    ///
    /// # Errors
    /// A sentence.
    pub async fn hold(mut self, talk: &mut dyn Talk) -> Result<(), String> {
        let mut heard = Heard::default();
        let mut step = Step::Say(talk.opening());
        loop {
            step = match step {
                Step::Wait => match self.listen(talk, &mut heard).await? {
                    true => talk.hear(&mut heard),
                    false => return talk.closed(&mut heard),
                },
                Step::Say(words) => {
                    self.say(&words, talk).await?;
                    talk.hear(&mut heard)
                }
                Step::Secure(words) => {
                    self.say(&words, talk).await?;
                    heard.forget();
                    let secure = self.upgrade.ok_or("this check has no TLS to start")?;
                    self.wire = self.wire.secured(secure, self.address, self.progress).await?;
                    talk.secured()
                }
                Step::Fetch(port, words) => self.fetch(port, &words, talk, &mut heard).await?,
                Step::Done(verdict, words) => {
                    self.wire.farewell(&words).await;
                    return verdict;
                }
            };
        }
    }

    async fn say(&mut self, words: &[u8], talk: &dyn Talk) -> Result<(), String> {
        if words.is_empty() {
            return Ok(());
        }
        self.progress.at(talk.stage());
        let said = async {
            self.wire.write_all(words).await?;
            self.wire.flush().await
        };
        said.await.map_err(|e| broken(&e, &talk.stage()))
    }

    /// Reads once. False at the end of the stream.
    async fn listen(&mut self, talk: &dyn Talk, heard: &mut Heard) -> Result<bool, String> {
        self.progress.at(talk.stage());
        let room = heard.room(heard.total().clamp(LEAST_ROOM, MOST_ROOM));
        let length = self.wire.read_buf(room).await.map_err(|e| broken(&e, &talk.stage()))?;
        match heard.total() > talk.most() {
            true => Err(format!("the server said more than {} bytes {}", talk.most(), talk.stage())),
            false => Ok(length > 0),
        }
    }

    /// Reads a port of the same server to its end, or as much as a check looks at, and listens meanwhile.
    async fn fetch(
        &mut self,
        port: u16,
        words: &[u8],
        talk: &mut dyn Talk,
        heard: &mut Heard,
    ) -> Result<Step, String> {
        let address = SocketAddr::new(self.address.ip(), port);
        self.progress.at(format!("while connecting to {address} for the file"));
        let mut data = match origin::connect(address, self.progress).await {
            Ok(data) => data,
            Err(error) => return Ok(talk.fetched(Err(refused(address, &error)))),
        };
        self.say(words, talk).await?;
        let mut file = Vec::with_capacity(MOST_ROOM);
        while file.len() < MOST_HEARD {
            tokio::select! {
                biased;
                open = self.listen(talk, heard) => {
                    if !open? {
                        return Ok(Step::Done(talk.closed(heard), Vec::new()));
                    }
                    let step = talk.hear(heard);
                    if step != Step::Wait {
                        return Ok(step);
                    }
                }
                length = data.read_buf(&mut file) => match length {
                    Ok(0) => break,
                    Ok(_) => file.reserve(MOST_ROOM),
                    Err(error) => return Ok(talk.fetched(Err(broken(&error, &talk.stage())))),
                }
            }
        }
        Ok(talk.fetched(Ok(file)))
    }
}
