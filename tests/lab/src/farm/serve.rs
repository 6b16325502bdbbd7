//! A real server: says its name on every kind of service a director leads to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use crate::error::Context;
use crate::{LabError, Result};

/// A connection that says nothing for so long is closed.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is answered on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTTP: a page that is `happy NAME`.
    Http,
    /// Lines over TCP: each comes back behind the name.
    Line,
    /// Datagrams: each comes back behind the name.
    Udp,
    /// A load agent: says what stands in /run/load, or `100%`.
    Agent,
}

/// `http:ADDRESS:PORT`, `line:…`, `udp:…`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What is answered, or asked.
    pub kind: Kind,
    /// Where.
    pub address: SocketAddr,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Place, String> {
        let (kind, address) = text.split_once(':').ok_or("KIND:ADDRESS:PORT")?;
        let kind = match kind {
            "http" => Kind::Http,
            "line" => Kind::Line,
            "udp" => Kind::Udp,
            "agent" => Kind::Agent,
            _ => return Err(format!("`{kind}` is none of http, line, udp, agent")),
        };
        let address = address.parse().map_err(|_| format!("`{address}` is no ADDRESS:PORT"))?;
        Ok(Place { kind, address })
    }
}

/// Serves on all places until it is killed; says `serving` when it does.
///
/// # Errors
/// A port cannot be had.
pub fn serve(name: &str, places: &[Place]) -> Result<()> {
    let name: Arc<str> = name.into();
    for place in places {
        let name = name.clone();
        let what = || format!("cannot serve at {}", place.address);
        match place.kind {
            Kind::Udp => {
                let socket = UdpSocket::bind(place.address).context(what)?;
                thread::spawn(move || datagrams(&name, &socket));
            }
            kind => {
                let listener = TcpListener::bind(place.address).context(what)?;
                thread::spawn(move || connections(&name, kind, &listener));
            }
        }
    }
    eprintln!("serving");
    loop {
        thread::park();
    }
}

fn datagrams(name: &str, socket: &UdpSocket) {
    let mut buffer = [0; 2048];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        let answer = [name.as_bytes(), b" ", &buffer[..length]].concat();
        let _ = socket.send_to(&answer, client);
    }
}

fn connections(name: &Arc<str>, kind: Kind, listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        let name = name.clone();
        thread::spawn(move || {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            match kind {
                Kind::Http => page(&name, stream),
                Kind::Agent => load(stream),
                _ => lines(&name, stream),
            }
        });
    }
}

/// Reads the request to its end, so that closing does not reset what was said.
fn page(name: &str, mut stream: TcpStream) -> Option<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
        request.extend_from_slice(&buffer[..length]);
        if request.len() > 16 << 10 {
            return None;
        }
    }
    let body = format!("happy {name}\n");
    let length = body.len();
    let head = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).ok()
}

fn load(mut stream: TcpStream) -> Option<()> {
    let text = std::fs::read_to_string("/run/load").unwrap_or_else(|_| "100%".to_owned());
    stream.write_all(format!("{}\n", text.trim()).as_bytes()).ok()
}

fn lines(name: &str, stream: TcpStream) -> Option<()> {
    let mut answers = stream.try_clone().ok()?;
    for line in BufReader::new(stream).lines() {
        answers.write_all(format!("{name} {}\n", line.ok()?).as_bytes()).ok()?;
    }
    Some(())
}

/// Asks once, from a port of its own; the name that answered.
///
/// # Errors
/// No connection, no answer within `patience`, or an odd one.
pub fn ask(place: Place, from: Option<IpAddr>, patience: Duration) -> Result<String> {
    match place.kind {
        Kind::Udp => ask_datagram(place.address, from, patience),
        kind => {
            let mut stream = connect(place.address, from, patience)?;
            stream.set_read_timeout(Some(patience)).context(|| "no timeout".to_owned())?;
            if kind == Kind::Http {
                ask_page(&mut stream)
            } else {
                stream.write_all(b"who\n").context(|| "nothing was taken".to_owned())?;
                let mut answer = String::new();
                BufReader::new(stream).read_line(&mut answer).context(|| "no answer".to_owned())?;
                name_in(&answer, |rest| rest == "who")
            }
        }
    }
}

fn connect(to: SocketAddr, from: Option<IpAddr>, patience: Duration) -> Result<TcpStream> {
    let socket =
        Socket::new(Domain::for_address(to), Type::STREAM, None).context(|| "no socket".to_owned())?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::new(from, 0).into()).context(|| format!("{from} is not here"))?;
    }
    socket.connect_timeout(&to.into(), patience).context(|| "no connection".to_owned())?;
    Ok(socket.into())
}

fn ask_datagram(address: SocketAddr, from: Option<IpAddr>, patience: Duration) -> Result<String> {
    let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((from.unwrap_or(any), 0)).context(|| "no socket".to_owned())?;
    socket.set_read_timeout(Some(patience)).context(|| "no timeout".to_owned())?;
    socket.connect(address).context(|| "no way there".to_owned())?;
    socket.send(b"who").context(|| "nothing was taken".to_owned())?;
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).context(|| "no answer".to_owned())?;
    name_in(&String::from_utf8_lossy(&buffer[..length]), |rest| rest == "who")
}

fn ask_page(stream: &mut TcpStream) -> Result<String> {
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n").context(|| "nothing was taken".to_owned())?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer).context(|| "no answer".to_owned())?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned()).unwrap_or_default();
    match body.strip_prefix("happy ") {
        Some(name) => Ok(name.to_owned()),
        None => Err(LabError(format!("an odd answer: {answer:?}"))),
    }
}

fn name_in(answer: &str, is_rest: impl Fn(&str) -> bool) -> Result<String> {
    match answer.trim_end().split_once(' ') {
        Some((name, rest)) if is_rest(rest) => Ok(name.to_owned()),
        _ => Err(LabError(format!("an odd answer: {answer:?}"))),
    }
}

/// A connection that is to stay: lines go over it until stdin ends.
///
/// # Errors
/// It could not be opened.
pub fn open_line(address: SocketAddr, patience: Duration) -> Result<(TcpStream, BufReader<TcpStream>)> {
    let stream = TcpStream::connect_timeout(&address, patience).context(|| "no connection".to_owned())?;
    stream.set_read_timeout(Some(patience)).context(|| "no timeout".to_owned())?;
    // A segment that is lost when a director dies is sent again soon.
    let _ = setsockopt(&stream, sockopt::TcpUserTimeout, &(patience.as_millis() as u32));
    let reader = BufReader::new(stream.try_clone().context(|| "no second handle".to_owned())?);
    Ok((stream, reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_its_name_on_every_kind() {
        let free = |udp: bool| {
            let address = if udp {
                UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
            } else {
                TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
            };
            address.port()
        };
        let places: Vec<Place> = [("http", free(false)), ("line", free(false)), ("udp", free(true))]
            .map(|(kind, port)| format!("{kind}:127.0.0.1:{port}").parse().unwrap())
            .into();
        let served = places.clone();
        thread::spawn(move || serve("real7", &served));
        for place in places {
            let mut answer = Err(LabError::new("never asked"));
            for _ in 0..500 {
                answer = ask(place, None, Duration::from_secs(5));
                if answer.is_ok() {
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(answer.unwrap(), "real7", "{place:?}");
        }
        assert!("ftp:127.0.0.1:1".parse::<Place>().is_err() && "http:here".parse::<Place>().is_err());
    }
}
