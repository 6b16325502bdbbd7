//! Serial lines: opened, set up and locked by the `serialport` crate, read and written without it.
//!
//! The crate's own reads and writes may block for as long as the other side wishes; here nothing does: the
//! descriptor is non-blocking from the moment the line is set up. It is never a controlling terminal (O_NOCTTY):
//! the end of the line would hang this process up.
//!
//! [`Line::open`] and dropping a [`Line`] may take their time in a driver (USB above all): not on a thread that
//! has better things to do.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{
    BaudRate, FlushArg, SetArg, SpecialCharacterIndices, cfsetspeed, tcflush, tcgetattr, tcsetattr,
};
use serialport::{DataBits, ErrorKind, FlowControl, Parity, StopBits, TTYPort};

/// A serial line: 8 data bits, no parity, one stop bit, no flow control, binary. Locked against other programs.
#[derive(Debug)]
pub struct Line(OwnedFd);

impl Line {
    /// Opens and locks `device` at `baud` bits per second.
    ///
    /// # Errors
    /// `NotFound` if there is no such device, `ResourceBusy` if another program has it, `InvalidInput` if it is no
    /// serial line, else what the kernel says.
    pub fn open(device: &Path, baud: u32) -> io::Result<Line> {
        let name = device.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
        let port = serialport::new(name, baud)
            .data_bits(DataBits::Eight)
            .parity(Parity::None)
            .stop_bits(StopBits::One)
            .flow_control(FlowControl::None);
        let port = TTYPort::open(&port).map_err(|error| meaning(&error, device))?;
        // SAFETY: into_raw_fd gives the open descriptor away and forgets it; nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(port.into_raw_fd()) };
        let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let mut settings = tcgetattr(&fd)?;
        settings.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        settings.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        // The crate asks for any speed by number (BOTHER), which termios(3) cannot hand on; these have a name.
        if let Some(speed) = named(baud) {
            cfsetspeed(&mut settings, speed)?;
        }
        tcsetattr(&fd, SetArg::TCSANOW, &settings)?;
        let line = Line(fd);
        // What came in at another speed, or waits to go out from a former life.
        tcflush(&line.0, FlushArg::TCIOFLUSH)?;
        Ok(line)
    }

    /// Takes what is there, without ever waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; `BrokenPipe` if the device is gone; else what the kernel says.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match nix::unistd::read(&self.0, buffer) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the device is gone")),
            result => Ok(result?),
        }
    }

    /// Hands over as much as the driver takes at once.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing now; else what the kernel says.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(nix::unistd::write(&self.0, bytes)?)
    }

    /// Bytes handed over that have not left yet, as far as the driver tells (TIOCOUTQ); a driver that cannot
    /// tell says 0.
    pub fn queued(&self) -> usize {
        let mut count: libc::c_int = 0;
        // SAFETY: the descriptor is open, and TIOCOUTQ (tty_ioctl(4)) writes one int where the pointer shows.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
        if done == 0 { usize::try_from(count).unwrap_or(0) } else { 0 }
    }

    /// Throws away what has not left yet.
    pub fn discard(&self) {
        let _ = tcflush(&self.0, FlushArg::TCOFLUSH);
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Else close(2) waits for bytes that a dead line may never take, 30 s by default.
        self.discard();
    }
}

/// The rates of a configuration.
fn named(baud: u32) -> Option<BaudRate> {
    Some(match baud {
        9600 => BaudRate::B9600,
        19200 => BaudRate::B19200,
        38400 => BaudRate::B38400,
        57600 => BaudRate::B57600,
        115_200 => BaudRate::B115200,
        _ => return None,
    })
}

/// What the crate's error means.
fn meaning(error: &serialport::Error, device: &Path) -> io::Error {
    let kind = match error.kind {
        ErrorKind::Io(kind) => kind,
        // What open(2) and the lock have to say is folded into this one.
        ErrorKind::NoDevice if !device.exists() => io::ErrorKind::NotFound,
        ErrorKind::NoDevice => io::ErrorKind::ResourceBusy,
        ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
        ErrorKind::Unknown => io::ErrorKind::Other,
    };
    let text = match kind {
        io::ErrorKind::NotFound => "there is no such device".to_owned(),
        io::ErrorKind::ResourceBusy => format!("another program has it: {error}"),
        _ if error.description == Errno::ENOTTY.desc() => "this is no serial line".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(kind, text)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use nix::pty::{OpenptyResult, openpty};
    use nix::sys::termios::cfgetospeed;
    use nix::unistd::ttyname;

    use super::*;

    fn pty() -> (OwnedFd, std::path::PathBuf) {
        let OpenptyResult { master, slave } = openpty(None, None).expect("a pseudo terminal");
        let name = ttyname(&slave).expect("its name");
        (master, name)
    }

    /// Until `done`, within a bound.
    fn until(what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !done() {
            assert!(Instant::now() < end, "{what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn fill(buffer: &mut Vec<u8>, line: &Line) {
        let mut chunk = [0; 512];
        if let Ok(length) = line.read(&mut chunk) {
            buffer.extend_from_slice(&chunk[..length]);
        }
    }

    #[test]
    fn every_byte_goes_both_ways_as_it_is() {
        let (master, name) = pty();
        let line = Line::open(&name, 19200).expect("open");
        let settings = tcgetattr(&line).expect("settings");
        assert_eq!(cfgetospeed(&settings), BaudRate::B19200);
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(line.write(&all).expect("written"), 256);
        let mut heard = vec![0; 256];
        let mut at = 0;
        until("all 256 arrive", || {
            at += nix::unistd::read(&master, &mut heard[at..]).expect("read");
            at == 256
        });
        assert_eq!(heard, all);
        assert_eq!(nix::unistd::write(&master, &all).expect("written"), 256);
        let mut heard = Vec::new();
        until("all 256 come back", || {
            fill(&mut heard, &line);
            heard.len() == 256
        });
        assert_eq!(heard, all);
    }

    #[test]
    fn nothing_ever_waits() {
        let (_master, name) = pty();
        let line = Line::open(&name, 9600).expect("open");
        let mut buffer = [0; 64];
        assert_eq!(line.read(&mut buffer).expect_err("nothing").kind(), io::ErrorKind::WouldBlock);
        // Nobody reads: the driver takes what it can and then says so.
        let mut taken = 0;
        let full = loop {
            match line.write(&[0x55; 4096]) {
                Ok(length) => taken += length,
                Err(error) => break error,
            }
            assert!(taken < 1 << 20, "it takes everything");
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(line);
    }

    #[test]
    fn a_line_in_use_a_missing_one_and_what_is_none_are_refused() {
        let (_master, name) = pty();
        let first = Line::open(&name, 19200).expect("open");
        let busy = Line::open(&name, 19200).expect_err("in use");
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy, "{busy}");
        drop(first);
        Line::open(&name, 19200).expect("free again");
        let missing = Line::open(Path::new("/dev/ttyNONE9"), 19200).expect_err("missing");
        assert_eq!(
            (missing.kind(), missing.to_string().as_str()),
            (io::ErrorKind::NotFound, "there is no such device")
        );
        let null = Line::open(Path::new("/dev/null"), 19200).expect_err("no tty");
        assert_eq!(null.to_string(), "this is no serial line", "{null:?}");
    }

    #[test]
    fn the_end_of_the_line_is_an_error_and_no_signal() {
        let (master, name) = pty();
        let line = Line::open(&name, 19200).expect("open");
        drop(master);
        let mut buffer = [0; 16];
        until("the hangup shows", || match line.read(&mut buffer) {
            Ok(_) => false,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        });
        assert!(line.write(b"x").is_err());
        assert_eq!(line.queued(), 0);
    }
}
