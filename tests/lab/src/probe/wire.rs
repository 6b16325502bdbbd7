//! The datagrams of the probe.
//!
//! ```text
//! request   0        8        16        24
//!           | magic  | cookie | sequence |            cookie: one per run, so that two probes never mix
//! reply     | magic' | cookie | sequence | name …     name: who answers, up to 32 bytes
//! ```
//! All numbers big-endian. The magics differ, so two responders can never answer each other for ever.

/// Bytes of a request, and of a reply before the name.
pub const HEADER: usize = 24;
/// The longest name a reply carries.
pub const NAME_MAX: usize = 32;

const REQUEST: &[u8; 8] = b"hbprobe?";
const REPLY: &[u8; 8] = b"hbprobe!";

/// Builds a request.
pub fn request(cookie: u64, sequence: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(REQUEST);
    bytes[8..16].copy_from_slice(&cookie.to_be_bytes());
    bytes[16..].copy_from_slice(&sequence.to_be_bytes());
    bytes
}

/// Turns the request in `buffer[..length]` into its reply in place; gives the reply's length,
/// or `None` if it is no request.
pub fn make_reply(buffer: &mut [u8], length: usize, name: &str) -> Option<usize> {
    let name = &name.as_bytes()[..name.len().min(NAME_MAX)];
    if length != HEADER || !buffer.starts_with(REQUEST) || buffer.len() < HEADER + name.len() {
        return None;
    }
    buffer[..8].copy_from_slice(REPLY);
    buffer[HEADER..HEADER + name.len()].copy_from_slice(name);
    Some(HEADER + name.len())
}

/// Takes a reply apart: sequence and the name of who answered. `None` for anything else.
pub fn parse_reply(bytes: &[u8], cookie: u64) -> Option<(u64, &str)> {
    if bytes.len() < HEADER || bytes.len() > HEADER + NAME_MAX || !bytes.starts_with(REPLY) {
        return None;
    }
    let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_be_bytes).ok();
    if number(8)? != cookie {
        return None;
    }
    Some((number(16)?, std::str::from_utf8(&bytes[HEADER..]).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_carries_the_sequence_and_the_name() {
        let mut buffer = [0; 64];
        buffer[..HEADER].copy_from_slice(&request(7, 42));
        let length = make_reply(&mut buffer, HEADER, "a").unwrap();
        assert_eq!(parse_reply(&buffer[..length], 7), Some((42, "a")));
        assert_eq!(parse_reply(&buffer[..length], 8), None, "another run's cookie");
        assert_eq!(make_reply(&mut buffer, HEADER, "b"), None, "a reply is never answered");
    }
}
