//! Waiting for a descriptor to become readable, and an alarm clock that is such a descriptor.
//!
//! Both are there because a daemon that only beats should wake only for beats. tokio's own sockets also ask to be
//! told when they may be written, which the kernel does after each datagram sent; its timers round to milliseconds and,
//! being kept in a wheel, wake once or twice before they are due.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The descriptor under which something is registered: a duplicate of its own, so that nothing its owner does can close it.
#[derive(Debug)]
struct Registered(OwnedFd);

impl AsRawFd for Registered {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Something that can be read, and the knowledge whether it is worth trying.
#[derive(Debug)]
pub struct Watched<T> {
    fd: AsyncFd<Registered>,
    inner: T,
}

impl<T: AsFd> Watched<T> {
    /// Registers `inner`, which must be non-blocking, with the tokio runtime of the calling thread, for reading only.
    ///
    /// # Errors
    /// When no descriptor or memory is left.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub fn new(inner: T) -> io::Result<Watched<T>> {
        let own = Registered(inner.as_fd().try_clone_to_owned()?);
        // SAFETY: `Registered` owns its descriptor, always returns that same one, and nobody else can reach or close it; it is
        // given to the AsyncFd by value and stays open until the AsyncFd is dropped.
        let fd =
            unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) }.map_err(io::Error::from)?;
        Ok(Watched { fd, inner })
    }

    /// What is watched.
    pub fn get(&self) -> &T {
        &self.inner
    }

    /// Ready when a read may find something (or an error); else `context` is woken then.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.fd.poll_read_ready(context).map(drop)
    }

    /// Reads with `read` if there may be something. `WouldBlock`, from there or because there is nothing, means that
    /// [`Watched::poll_readable`] waits for the next arrival.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn try_read<R>(&self, read: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.fd.try_io(Interest::READABLE, |_| read(&self.inner))
    }
}

/// An epoll instance of our own, under which one descriptor is registered.
#[derive(Debug)]
struct Inner(Epoll);

impl AsRawFd for Inner {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0.as_raw_fd()
    }
}

/// Something that brings its news in many small pieces, and is watched only when the first of them is of interest.
///
/// After each one the kernel is told anew to watch (EPOLLONESHOT, epoll(7)); until then, pieces that come in cost nothing.
/// tokio cannot be told so, hence the instance in between.
#[derive(Debug)]
pub struct Once<T> {
    fd: AsyncFd<Inner>,
    inner: T,
}

impl<T: AsFd> Once<T> {
    /// Watches `inner` until it is readable, on the tokio runtime of the calling thread.
    ///
    /// # Errors
    /// When no descriptor or memory is left.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub fn new(inner: T) -> io::Result<Once<T>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&inner, EpollEvent::new(Once::<T>::NEWS, 0))?;
        // SAFETY: `Inner` owns its descriptor, always returns that same one, and nobody else can reach or close it; it is
        // given to the AsyncFd by value and stays open until the AsyncFd is dropped.
        let fd = unsafe { AsyncFd::register_with_interest(Inner(epoll), Interest::READABLE) }
            .map_err(io::Error::from)?;
        Ok(Once { fd, inner })
    }

    const NEWS: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLONESHOT);

    /// What is watched.
    pub fn get(&self) -> &T {
        &self.inner
    }

    /// Ready when there is news; else `context` is woken then.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.fd.poll_read_ready(context).map(drop)
    }

    /// Whether there was news. If so it is no longer watched, until [`Once::again`].
    pub fn fired(&self) -> bool {
        let mut fired = false;
        // Whatever it was, it is taken note of: as good as that nothing is left.
        let _ = self.fd.try_io(Interest::READABLE, |inner| {
            let mut events = [EpollEvent::empty()];
            fired = inner.0.wait(&mut events, EpollTimeout::ZERO).is_ok_and(|count| count > 0);
            Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock))
        });
        fired
    }

    /// Watches it again. What is there already is news.
    ///
    /// # Errors
    /// When the kernel no longer knows the descriptor.
    pub fn again(&self) -> io::Result<()> {
        Ok(self.fd.get_ref().0.modify(&self.inner, &mut EpollEvent::new(Once::<T>::NEWS, 0))?)
    }
}

/// An alarm clock on `CLOCK_BOOTTIME` (timerfd_create(2)), exact to the timer of the machine. An alarm that
/// was due during a suspend goes off at the resume.
#[derive(Debug)]
pub struct Alarm {
    timer: Watched<TimerFd>,
    set: Option<u64>,
}

impl Alarm {
    /// An alarm clock, not set, on the tokio runtime of the calling thread.
    ///
    /// # Errors
    /// When no descriptor or memory is left.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub fn new() -> io::Result<Alarm> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        Ok(Alarm { timer: Watched::new(timer)?, set: None })
    }

    /// Sets it to `at`, in nanoseconds of [`crate::clock::boottime_ns`]; a time that is past goes off at once. `None`
    /// turns it off. Setting it to what it is set to costs nothing.
    ///
    /// # Errors
    /// As timerfd_settime(2), which for such values gives none.
    pub fn set(&mut self, at: Option<u64>) -> io::Result<()> {
        if at == self.set {
            return Ok(());
        }
        match at {
            None => self.timer.get().unset()?,
            Some(ns) => {
                // Zero would turn it off.
                let time = std::time::Duration::from_nanos(ns.max(1));
                let once = Expiration::OneShot(TimeSpec::from_duration(time));
                self.timer.get().set(once, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
        }
        self.set = at;
        Ok(())
    }

    /// Ready when it went off. It is then no longer set.
    pub fn poll_ring(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.timer.poll_readable(context).is_pending() {
                return Poll::Pending;
            }
            // The count read is of no interest; that there was one tells a ring from a stale notice.
            let rang = self.timer.try_read(|timer| {
                let mut count = [0; 8];
                nix::unistd::read(timer, &mut count).map_err(io::Error::from)
            });
            if rang.is_ok() {
                self.set = None;
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;
    use crate::clock::boottime_ns;

    async fn within<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
    }

    #[tokio::test]
    async fn a_datagram_makes_it_readable_and_reading_it_makes_it_wait_again() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("socket");
        socket.set_nonblocking(true).expect("non-blocking");
        let to = socket.local_addr().expect("address");
        let watched = Watched::new(socket).expect("watched");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("socket");
        for round in 0..3_u8 {
            sender.send_to(&[round], to).expect("sent");
            within(poll_fn(|context| watched.poll_readable(context))).await;
            let mut byte = [0];
            watched.try_read(|socket| socket.recv(&mut byte)).expect("a datagram");
            assert_eq!(byte, [round]);
            let empty = watched.try_read(|socket| socket.recv(&mut byte)).expect_err("nothing more");
            assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
            let now = poll_fn(|context| Poll::Ready(watched.poll_readable(context))).await;
            assert!(now.is_pending());
        }
    }

    #[tokio::test]
    async fn the_first_piece_is_news_and_the_others_are_not_until_it_is_watched_again() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("socket");
        socket.set_nonblocking(true).expect("non-blocking");
        let to = socket.local_addr().expect("address");
        let once = Once::new(socket).expect("watched");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("socket");
        let quiet = async || {
            let news = poll_fn(|context| once.poll_readable(context));
            assert!(tokio::time::timeout(Duration::from_millis(30), news).await.is_err());
        };
        quiet().await;
        assert!(!once.fired());
        for round in 0..3 {
            sender.send_to(&[round], to).expect("sent");
            within(poll_fn(|context| once.poll_readable(context))).await;
            assert!(once.fired() && !once.fired());
            sender.send_to(&[round], to).expect("sent");
            quiet().await;
            let mut byte = [0];
            assert_eq!(once.get().recv(&mut byte).expect("a datagram"), 1);
            // The other one is there already.
            once.again().expect("watched again");
            within(poll_fn(|context| once.poll_readable(context))).await;
            assert!(once.fired());
            once.get().recv(&mut byte).expect("a datagram");
            once.again().expect("watched again");
            quiet().await;
        }
    }

    #[tokio::test]
    async fn it_rings_not_before_its_time_and_once() {
        let mut alarm = Alarm::new().expect("alarm");
        for _ in 0..3 {
            let due = boottime_ns() + 3_000_000;
            alarm.set(Some(due)).expect("set");
            within(poll_fn(|context| alarm.poll_ring(context))).await;
            assert!(boottime_ns() >= due);
            let again = poll_fn(|context| Poll::Ready(alarm.poll_ring(context))).await;
            assert!(again.is_pending(), "once");
        }
    }

    #[tokio::test]
    async fn a_time_that_is_past_rings_at_once_and_one_turned_off_never() {
        let mut alarm = Alarm::new().expect("alarm");
        for past in [0, 1, boottime_ns()] {
            alarm.set(Some(past)).expect("set");
            within(poll_fn(|context| alarm.poll_ring(context))).await;
        }
        alarm.set(Some(boottime_ns() + 1_000_000)).expect("set");
        alarm.set(None).expect("unset");
        let ring = poll_fn(|context| alarm.poll_ring(context));
        assert!(tokio::time::timeout(Duration::from_millis(50), ring).await.is_err());
        // Set anew, to earlier and to later, the last setting holds.
        let far = boottime_ns() + 3_600_000_000_000;
        alarm.set(Some(far)).expect("set");
        alarm.set(Some(boottime_ns() + 1_000_000)).expect("set");
        within(poll_fn(|context| alarm.poll_ring(context))).await;
    }
}
