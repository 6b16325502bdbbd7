//! ICMP echo (RFC 792) and ICMPv6 echo (RFC 4443).

/// What is sent with each echo, behind the nonce.
const PAYLOAD: &[u8] = b"health check of an LVS director";
const HEADER: usize = 8;

/// One echo request, and how its answer is known.
#[derive(Clone, Debug)]
pub struct Echo {
    six: bool,
    nonce: [u8; 8],
    request: Vec<u8>,
}

impl Echo {
    /// `id` counts on raw sockets only; datagram sockets put their own in its place. `nonce` must be unforeseeable.
    pub fn new(six: bool, id: u16, nonce: [u8; 8]) -> Self {
        let mut request = vec![if six { 128 } else { 8 }, 0, 0, 0];
        request.extend(id.to_be_bytes());
        request.extend(1_u16.to_be_bytes());
        request.extend(nonce);
        request.extend(PAYLOAD);
        // The kernel makes the checksum of ICMPv6, which has addresses in it.
        if !six {
            let sum = checksum(&request);
            request[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        Self { six, nonce, request }
    }

    /// What to send.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Whether `packet` is the reply. On raw sockets `with_header` an IPv4 header comes first.
    pub fn is_reply(&self, packet: &[u8], with_header: bool) -> bool {
        let start = match (with_header && !self.six, packet.first()) {
            (true, Some(first)) => usize::from(first & 15) * 4,
            _ => 0,
        };
        let reply = if self.six { 129 } else { 0 };
        let Some(message) = packet.get(start..) else {
            return false;
        };
        message.first_chunk::<2>() == Some(&[reply, 0])
            && message.get(HEADER..HEADER + 8) == Some(&self.nonce)
            && message.get(HEADER + 8..) == Some(PAYLOAD)
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).fold(0_u32, |sum, pair| {
        sum + u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_reply_to_this_request_counts() {
        for six in [false, true] {
            let echo = Echo::new(six, 7, [1, 2, 3, 4, 5, 6, 7, 8]);
            let mut reply = echo.request().to_vec();
            assert!(!echo.is_reply(&reply, false), "the request is not its own reply");
            reply[0] = if six { 129 } else { 0 };
            assert!(echo.is_reply(&reply, false));
            let mut with_header = vec![0x46; 24];
            with_header.extend(&reply);
            assert_eq!(echo.is_reply(&with_header, true), !six);
            reply[9] ^= 1;
            assert!(!echo.is_reply(&reply, false));
        }
        assert_eq!(checksum(Echo::new(false, 7, [9; 8]).request()), 0);
    }

    proptest! {
        #[test]
        fn noise_is_no_reply(noise in prop::collection::vec(any::<u8>(), 0..100), header in any::<bool>()) {
            prop_assert!(!Echo::new(false, 7, [9; 8]).is_reply(&noise, header));
        }
    }
}
