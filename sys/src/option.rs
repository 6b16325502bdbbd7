//! Socket options that have no safe wrapper.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Plain kernel structures that may be handed to setsockopt(2): every bit pattern is valid and there is no padding
/// the kernel would read.
pub(crate) trait Plain: Copy {}
impl Plain for libc::c_int {}
impl Plain for libc::ip_mreqn {}
impl Plain for [u32; 8] {}

/// setsockopt(2) with a value of exactly the size the kernel wants.
pub(crate) fn set<T: Plain>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let size = libc::socklen_t::try_from(mem::size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the descriptor is borrowed, hence open; pointer and size describe the live value behind `value`, which
    // the kernel only reads.
    let done = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (value as *const T).cast(), size) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks for a receive buffer of `bytes`, past `net.core.rmem_max` where CAP_NET_ADMIN allows it, else up to it.
pub(crate) fn receive_buffer(fd: BorrowedFd<'_>, bytes: libc::c_int) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &bytes)
        .or_else(|_| set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &bytes))
}

/// The same for the send buffer.
pub(crate) fn send_buffer(fd: BorrowedFd<'_>, bytes: libc::c_int) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &bytes)
        .or_else(|_| set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &bytes))
}
