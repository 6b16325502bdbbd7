//! Netlink's framing: headers and attributes, both ways (netlink(7), linux/netlink.h).
//!
//! ```text
//!  message    len u32 | type u16 | flags u16 | sequence u32 | port u32 | body …        each starts on 4 bytes
//!  attribute  len u16 | type u16 | payload …                                          each starts on 4 bytes
//! ```
//! All numbers are in the machine's own byte order. Readers take any bytes: a length that cannot be true ends the
//! walk, and every step moves on by at least a header, so no input makes them loop or panic.

/// Size of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;

/// Rounds up to the 4 bytes on which everything starts.
pub(crate) const fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// A run of messages being written, to be sent in one go.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    start: usize,
}

impl Writer {
    /// Starts a message; the one before is complete.
    pub(crate) fn message(&mut self, kind: u16, flags: u16, sequence: u32, body: &[u8]) {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]); // port 0: the kernel fills in ours
        self.bytes.extend_from_slice(body);
        self.close();
    }

    /// Adds an attribute to the message. Payloads are a few bytes; what does not fit 16 bits of length is left out.
    pub(crate) fn attribute(&mut self, kind: u16, payload: &[u8]) {
        let Ok(length) = u16::try_from(payload.len() + 4) else {
            return;
        };
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.close();
    }

    /// Adds an attribute that holds those which `fill` writes.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Writer)) {
        let from = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - from).unwrap_or(u16::MAX);
        self.bytes[from..from + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Adds flags to the header of the message being written.
    pub(crate) fn flag(&mut self, flags: u16) {
        let at = self.start + 6;
        let old = u16::from_ne_bytes([self.bytes[at], self.bytes[at + 1]]);
        self.bytes[at..at + 2].copy_from_slice(&(old | flags).to_ne_bytes());
    }

    /// Pads, and writes the length of the message into its header.
    fn close(&mut self) {
        self.bytes.resize(align(self.bytes.len()), 0);
        let length = u32::try_from(self.bytes.len() - self.start).unwrap_or(u32::MAX);
        self.bytes[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// One message as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

/// Walks over the messages of one datagram.
#[derive(Debug)]
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
    damaged: bool,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(datagram: &'a [u8]) -> Messages<'a> {
        Messages { rest: datagram, damaged: false }
    }

    /// After the walk: whether it ended at something that is no message, so that some may be missing.
    pub(crate) fn damaged(&self) -> bool {
        self.damaged
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let length = number32(self.rest, 0).and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let (Some(kind), Some(flags), Some(sequence), Some(body)) = (
            number16(self.rest, 4),
            number16(self.rest, 6),
            number32(self.rest, 8),
            self.rest.get(HEADER..length),
        ) else {
            self.damaged = true;
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get(align(length)..).unwrap_or(&[]);
        Some(Message { kind, flags, sequence, body })
    }
}

/// Walks over attributes; ends quietly at the first one that cannot be true, as the kernel itself does.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The attributes of `body` from byte `from` on; none if there are not that many bytes.
    pub(crate) fn after(body: &'a [u8], from: usize) -> Attributes<'a> {
        Attributes { rest: body.get(align(from)..).unwrap_or(&[]) }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(number16(self.rest, 0)?);
        let kind = number16(self.rest, 2)? & KIND_MASK;
        let payload = self.rest.get(4..length)?;
        self.rest = self.rest.get(align(length)..).unwrap_or(&[]);
        Some((kind, payload))
    }
}

/// The bit that says an attribute holds others (NLA_F_NESTED).
const NESTED: u16 = 0x8000;

/// The type without the "nested" and "network byte order" bits (NLA_TYPE_MASK).
const KIND_MASK: u16 = 0x3fff;

/// The 16-bit number at `at`, if it is there.
pub(crate) fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// The 32-bit number at `at`, if it is there.
pub(crate) fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The 64-bit number at `at`, if it is there.
pub(crate) fn number64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// A text attribute: up to its NUL, whatever is not UTF-8 replaced.
pub(crate) fn text(payload: &[u8]) -> String {
    let end = payload.iter().position(|byte| *byte == 0).unwrap_or(payload.len());
    String::from_utf8_lossy(&payload[..end]).into_owned()
}

/// What the kernel answered to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The errno, positive.
    pub(crate) errno: i32,
    /// The kernel's own words (extended acknowledgement), if it had any.
    pub(crate) text: Option<String>,
}

/// The result carried by an NLMSG_ERROR (which is also the acknowledgement) or an NLMSG_DONE; `None` when the
/// message is
/// neither, or too short to say.
///
/// ```text
///  ERROR   errno i32 | the request's header, 16 bytes | its body, unless CAPPED | attributes, if ACK_TLVS
///  DONE    errno i32 | attributes, if ACK_TLVS
/// ```
pub(crate) fn verdict(message: &Message<'_>) -> Option<Result<(), Refusal>> {
    let is_error = i32::from(message.kind) == libc::NLMSG_ERROR;
    let is_done = i32::from(message.kind) == libc::NLMSG_DONE;
    if !is_error && !is_done {
        return None;
    }
    let code = match number32(message.body, 0) {
        Some(code) => code.cast_signed(),
        None if is_done => 0, // old kernels end a dump without a number
        None => return None,
    };
    if code >= 0 {
        return Some(Ok(()));
    }
    let attributes = if is_done {
        4
    } else if i32::from(message.flags) & libc::NLM_F_CAPPED != 0 {
        4 + HEADER
    } else {
        let request = number32(message.body, 4).and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        align(request).saturating_add(4)
    };
    let text = (i32::from(message.flags) & libc::NLM_F_ACK_TLVS != 0)
        .then(|| Attributes::after(message.body, attributes).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG))
        .flatten()
        .map(|(_, payload)| text(payload))
        .filter(|text| !text.is_empty());
    Some(Err(Refusal { errno: code.checked_neg().unwrap_or(libc::EIO), text }))
}

/// The attribute with the kernel's explanation (linux/netlink.h).
const NLMSGERR_ATTR_MSG: u16 = 1;

#[cfg(test)]
mod tests;
