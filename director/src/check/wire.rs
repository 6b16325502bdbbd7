//! A stream to a server, in the clear or over TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::origin;
use super::progress::Progress;
use super::tls::Secure;

/// For a last word and an orderly end; the verdict stands already.
const FAREWELL: Duration = Duration::from_millis(50);

/// A stream to a server.
#[derive(Debug)]
pub(super) enum Wire {
    /// In the clear.
    Plain(TcpStream),
    /// Over TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Connects, over TLS from the start if `secure` is given.
    ///
    /// # Errors
    /// A sentence.
    pub async fn open(
        address: SocketAddr,
        secure: Option<&Secure>,
        progress: &Progress,
    ) -> Result<Wire, String> {
        progress.at("while connecting");
        let stream = origin::connect(address, progress).await.map_err(|e| refused(address, &e))?;
        match secure {
            Some(secure) => Wire::Plain(stream).secured(secure, address, progress).await,
            None => Ok(Wire::Plain(stream)),
        }
    }

    /// The same stream with TLS from now on.
    ///
    /// # Errors
    /// A sentence.
    pub async fn secured(
        self,
        secure: &Secure,
        address: SocketAddr,
        progress: &Progress,
    ) -> Result<Wire, String> {
        let Wire::Plain(stream) = self else {
            return Err("TLS was started already".to_owned());
        };
        progress.at("while TLS was being started");
        // The end of the handshake and the first words are two packets in a row: the second must not wait for an answer to
        // the first. In the clear each word is awaited.
        let _ = stream.set_nodelay(true);
        // Boxed: a handshake is larger than all else of a check, and most have none.
        let started = Box::pin(secure.start(stream, address, progress)).await;
        started.map(|stream| Wire::Tls(Box::new(stream)))
    }

    /// Our end of it.
    ///
    /// # Errors
    /// A sentence.
    pub fn local(&self) -> Result<SocketAddr, String> {
        let stream = match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
        };
        stream.local_addr().map_err(|e| format!("the connection has no address of its own: {e}"))
    }

    /// Ends it in order, with last words if there are any; never long.
    pub async fn farewell(mut self, words: &[u8]) {
        let end = async {
            self.write_all(words).await?;
            self.shutdown().await
        };
        // Whether the server still listens does not matter any more.
        let _ = tokio::time::timeout(FAREWELL, end).await;
    }
}

/// Why no connection came about.
pub(super) fn refused(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("nobody listens on {address} (connection refused)"),
        io::ErrorKind::HostUnreachable => format!("there is no way to {address} (host unreachable)"),
        io::ErrorKind::NetworkUnreachable => format!("there is no route to {address} (network unreachable)"),
        _ => format!("cannot connect to {address}: {error}"),
    }
}

/// Why a connection broke, where it stood.
pub(super) fn broken(error: &io::Error, stage: &str) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("the server broke off the connection {stage}")
        }
        io::ErrorKind::UnexpectedEof => format!("the server closed the connection {stage}"),
        _ => format!("the connection failed {stage}: {error}"),
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            // Closing it, which follows at once, does the same.
            Wire::Plain(_) => Poll::Ready(Ok(())),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
