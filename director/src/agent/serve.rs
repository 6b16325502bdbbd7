//! The agent's two kinds of ports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

use super::{Meter, Report};

/// For one who asks, altogether.
const PATIENCE: Duration = Duration::from_secs(2);
/// Answered at a time.
const AT_ONCE: usize = 64;
/// After a failure to take a connection (too many open files).
const PAUSE: Duration = Duration::from_millis(100);
/// The longest request that is read; what is in it does not matter.
const LONGEST_REQUEST: usize = 8192;

/// Where to listen.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    /// For the agent's line.
    pub line: Vec<SocketAddr>,
    /// For JSON over HTTP.
    pub json: Vec<SocketAddr>,
}

/// Measures every `interval` and answers, for ever.
///
/// # Errors
/// A port cannot be listened on: a sentence.
pub async fn serve(mut meter: Meter, ports: &Ports, interval: Duration) -> Result<(), String> {
    let latest = Arc::new(Mutex::new(meter.report()));
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    for (addresses, json) in [(&ports.line, false), (&ports.json, true)] {
        for address in addresses {
            let listener = bind(*address).await.map_err(|e| refused(*address, &e))?;
            info!("listening on {address} ({})", if json { "JSON over HTTP" } else { "agent-check" });
            tokio::spawn(accept(listener, Arc::clone(&latest), Arc::clone(&permits), json));
        }
    }
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let report = meter.report();
        debug!("{}", report.line().trim_end());
        *latest.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}

/// Every address of IPv6 is every address of IPv4 where there is no IPv6.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error)
            if address.is_ipv6()
                && address.ip().is_unspecified()
                && error.kind() != io::ErrorKind::AddrInUse =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await.map_err(|_| error)
        }
        bound => bound,
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("cannot listen on {address}: another program does already"),
        io::ErrorKind::AddrNotAvailable => {
            format!("cannot listen on {address}: this machine has no such address")
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}

async fn accept(listener: TcpListener, latest: Arc<Mutex<Report>>, permits: Arc<Semaphore>, json: bool) {
    loop {
        // Never closed, so there is always one to come.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let report = latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
                tokio::spawn(async move {
                    // Who goes away or is slow has had his turn.
                    let _ = tokio::time::timeout(PATIENCE, answer(stream, report, json)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!("a connection could not be taken: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, report: Report, json: bool) -> io::Result<()> {
    if json {
        read_request(&mut stream).await?;
        let body = report.json();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await?;
    } else {
        stream.write_all(report.line().as_bytes()).await?;
    }
    stream.shutdown().await
}

/// Until the empty line: closing before all was read would reset the connection.
async fn read_request(stream: &mut TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while request.len() < LONGEST_REQUEST && !request.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut chunk).await? {
            0 => break,
            length => request.extend_from_slice(&chunk[..length]),
        }
    }
    Ok(())
}
