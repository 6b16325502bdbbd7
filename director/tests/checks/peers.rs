//! Servers made by hand, each on a port of its own of the loopback.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// What a TCP server does with whoever comes.
#[derive(Clone, Debug)]
pub enum Manners {
    /// Takes the connection and says nothing.
    Silent,
    /// Says a byte of this every 20 ms, for ever.
    Drip(&'static [u8]),
    /// Says this at once and keeps the connection open.
    Says(Vec<u8>),
    /// Says this and closes.
    SaysAndCloses(Vec<u8>),
    /// Takes the connection and resets it.
    Resets,
    /// Says this as fast as it can, for ever.
    Floods(&'static [u8]),
}

/// Starts one and gives its port. It lives as long as the test's runtime.
pub async fn tcp(manners: Manners) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream, manners.clone()));
        }
    });
    port
}

async fn behave(mut stream: TcpStream, manners: Manners) {
    match manners {
        Manners::Silent => {}
        Manners::Drip(words) => {
            for byte in words.iter().cycle() {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Manners::Says(words) => {
            let _ = stream.write_all(&words).await;
        }
        Manners::SaysAndCloses(words) => {
            let _ = stream.write_all(&words).await;
            let _ = stream.shutdown().await;
        }
        Manners::Resets => {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            return;
        }
        Manners::Floods(words) => while stream.write_all(words).await.is_ok() {},
    }
    // Until the other side has enough.
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await.is_ok_and(|length| length > 0) {}
}

/// A TCP server that answers the `n`th thing it hears with the `n`th of `answers`, the first of which it says unasked
/// (it may be empty).
pub async fn dialogue(answers: &'static [&'static [u8]]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 4096];
                for (at, answer) in answers.iter().enumerate() {
                    if at > 0 && !stream.read(&mut heard).await.is_ok_and(|length| length > 0) {
                        return;
                    }
                    let _ = stream.write_all(answer).await;
                }
                while stream.read(&mut heard).await.is_ok_and(|length| length > 0) {}
            });
        }
    });
    port
}

/// A UDP server that answers each datagram by `answer`; `None` is silence.
pub async fn udp(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut heard = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut heard).await {
            if let Some(answer) = answer(&heard[..length]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    port
}

/// A TCP port nobody listens on.
pub async fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// A UDP port nobody listens on.
pub async fn nobody_udp() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.local_addr().unwrap().port()
}
