//! gRPC's health service, grpc.health.v1: one message there, one back, each with five bytes before it.
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use super::text::quoted;

/// The path of the call.
pub const PATH: &str = "/grpc.health.v1.Health/Check";
/// An answer with more bytes is none of this service.
pub const MOST: usize = 4096;

/// The request, framed. Names longer than a DNS name is allowed to be are cut.
pub fn request(service: &str) -> Vec<u8> {
    let service = &service.as_bytes()[..service.len().min(255)];
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, a string; its length in one or two groups of seven bits.
        message.push(0x0a);
        let length = service.len() as u8;
        if length > 127 {
            message.extend([length | 0x80, length >> 7]);
        } else {
            message.push(length);
        }
        message.extend(service);
    }
    let length = u32::try_from(message.len()).unwrap_or(0);
    [&[0][..], &length.to_be_bytes(), &message].concat()
}

/// Judges the body and the trailers `grpc-status` and `grpc-message`.
///
/// # Errors
/// A sentence.
pub fn judge(body: &[u8], status: Option<&str>, message: Option<&str>) -> Result<(), String> {
    match status {
        Some("0") => {}
        Some(status) => {
            let name = match status {
                "5" => "NOT_FOUND: it does not know this service",
                "12" => "UNIMPLEMENTED: it has no health service",
                "14" => "UNAVAILABLE",
                "16" => "UNAUTHENTICATED",
                _ => "an error",
            };
            let said = message.filter(|said| !said.is_empty()).map(|said| format!(": {}", quoted(said)));
            return Err(format!("gRPC status {} ({name}){}", quoted(status), said.unwrap_or_default()));
        }
        None => return Err("the answer has no gRPC status".to_owned()),
    }
    match serving(body) {
        Some(1) => Ok(()),
        Some(0) => Err("the service's health is UNKNOWN".to_owned()),
        Some(2) => Err("the service is NOT_SERVING".to_owned()),
        Some(3) => Err("the service is SERVICE_UNKNOWN".to_owned()),
        _ => Err("the answer is no HealthCheckResponse".to_owned()),
    }
}

/// Field 1 of the message; it is 0 when it is not there.
fn serving(body: &[u8]) -> Option<u64> {
    let (&[compressed, a, b, c, d], message) = body.split_first_chunk::<5>()?;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    let mut rest = message.get(..length).filter(|_| compressed == 0)?;
    let mut status = 0;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match key & 7 {
            0 => {
                let value = varint(&mut rest)?;
                if key >> 3 == 1 {
                    status = value;
                }
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..10 {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests() {
        assert_eq!(request(""), b"\0\0\0\0\0");
        assert_eq!(request("shop"), b"\0\0\0\0\x06\x0a\x04shop");
        assert_eq!(request(&"x".repeat(200))[4..8], [203, 0x0a, 0xc8, 1]);
    }

    #[test]
    fn answers() {
        assert_eq!(judge(b"\0\0\0\0\x02\x08\x01", Some("0"), None), Ok(()));
        assert_eq!(
            judge(b"\0\0\0\0\x02\x08\x02", Some("0"), None).unwrap_err(),
            "the service is NOT_SERVING"
        );
        assert!(judge(b"\0\0\0\0\0", Some("0"), None).unwrap_err().contains("UNKNOWN"));
        assert!(judge(b"", Some("0"), None).unwrap_err().contains("no HealthCheckResponse"));
        assert!(judge(b"\x01\0\0\0\x02\x08\x01", Some("0"), None).is_err());
        assert_eq!(
            judge(b"", Some("5"), Some("unknown service")).unwrap_err(),
            "gRPC status \"5\" (NOT_FOUND: it does not know this service): \"unknown service\""
        );
        assert!(judge(b"\0\0\0\0\x02\x08\x01", None, None).unwrap_err().contains("no gRPC status"));
    }

    proptest! {
        #[test]
        fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = judge(&noise, Some("0"), None);
            let _ = judge(&[&[0, 0, 0, 0, noise.len() as u8][..], &noise].concat(), Some("0"), None);
        }
    }
}
