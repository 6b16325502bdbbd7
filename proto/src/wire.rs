//! Numbers, texts and blocks as they stand on the wire.
//!
//! * fixed-size numbers: network byte order
//! * varint: unsigned LEB128, seven bits a byte, lowest first; the shortest form only
//! * text: varint length in bytes, then UTF-8 without control characters
//! * block: varint length in bytes, then that many bytes

use crate::reject::{Fault, Malformed};

/// Most bytes a 64-bit varint has.
const MAX_VARINT: usize = 10;

/// Takes fields off the front of a packet's body; never past its end.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let (head, rest) =
            self.rest.split_first_chunk::<N>().ok_or(Malformed { field, fault: Fault::Ends })?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// A varint that fits 64 bits, in its shortest form.
    pub(crate) fn varint(&mut self, field: &'static str) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for index in 0..MAX_VARINT {
            let byte = self.u8(field)?;
            // The tenth byte has room for the 64th bit alone.
            if index == MAX_VARINT - 1 && byte > 1 {
                return Err(Malformed { field, fault: Fault::TooBig });
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                if byte == 0 && index > 0 {
                    return Err(Malformed { field, fault: Fault::Overlong });
                }
                return Ok(value);
            }
        }
        Err(Malformed { field, fault: Fault::TooBig })
    }

    /// A varint that fits `T`.
    pub(crate) fn varint_as<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, Malformed> {
        T::try_from(self.varint(field)?).map_err(|_| Malformed { field, fault: Fault::TooBig })
    }

    fn length_and_bytes(&mut self, field: &'static str) -> Result<&'a [u8], Malformed> {
        let length = self.varint_as::<usize>(field)?;
        let (head, rest) =
            self.rest.split_at_checked(length).ok_or(Malformed { field, fault: Fault::Ends })?;
        self.rest = rest;
        Ok(head)
    }

    /// A block, to be read on its own; what its reader leaves unread is skipped.
    pub(crate) fn block(&mut self, field: &'static str) -> Result<Reader<'a>, Malformed> {
        self.length_and_bytes(field).map(Reader::new)
    }

    /// A text of at most `max` bytes.
    pub(crate) fn text(&mut self, field: &'static str, max: usize) -> Result<String, Malformed> {
        let bytes = self.length_and_bytes(field)?;
        if bytes.len() > max {
            return Err(Malformed { field, fault: Fault::TooLong });
        }
        let not_text = Malformed { field, fault: Fault::NotText };
        let text = std::str::from_utf8(bytes).map_err(|_| not_text)?;
        if text.chars().any(char::is_control) {
            return Err(not_text);
        }
        Ok(text.to_owned())
    }
}

/// The bytes of `value` as a varint, and how many of them count.
fn varint_bytes(mut value: u64) -> ([u8; MAX_VARINT], usize) {
    let mut bytes = [0; MAX_VARINT];
    let mut length = 0;
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        bytes[length] = if value == 0 { low } else { low | 0x80 };
        length += 1;
        if value == 0 {
            return (bytes, length);
        }
    }
}

/// Appends `value` as a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: u64) {
    let (bytes, length) = varint_bytes(value);
    out.extend_from_slice(&bytes[..length]);
}

/// Appends what `fill` appends, with its length in front.
pub(crate) fn put_block(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    fill(out);
    let (bytes, length) = varint_bytes((out.len() - start) as u64);
    out.splice(start..start, bytes[..length].iter().copied());
}

/// Appends `text` made fit to travel: control characters become blanks, and what is longer than
/// `max` bytes is cut at the last whole character.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str, max: usize) {
    put_block(out, |out| {
        let start = out.len();
        let mut utf8 = [0; 4];
        for character in text.chars() {
            let character = if character.is_control() { ' ' } else { character };
            let bytes = character.encode_utf8(&mut utf8).as_bytes();
            if out.len() - start + bytes.len() > max {
                break;
            }
            out.extend_from_slice(bytes);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<u64, Fault> {
        let mut reader = Reader::new(bytes);
        let value = reader.varint("n").map_err(|malformed| malformed.fault)?;
        assert!(reader.is_empty(), "{bytes:x?} was read to its end");
        Ok(value)
    }

    #[test]
    fn varints_are_as_pinned() {
        let pinned: [(u64, &[u8]); 8] = [
            (0, &[0]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (16_384, &[0x80, 0x80, 1]),
            (u64::from(u32::MAX), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ];
        for (value, bytes) in pinned {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(read(bytes), Ok(value));
        }
    }

    #[test]
    fn only_the_shortest_form_of_a_varint_is_taken() {
        assert_eq!(read(&[0x80, 0]), Err(Fault::Overlong));
        assert_eq!(read(&[0xff, 0x80, 0]), Err(Fault::Overlong));
        assert_eq!(read(&[0x80]), Err(Fault::Ends));
        assert_eq!(read(&[]), Err(Fault::Ends));
        let mut eleven = [0x80; 11];
        eleven[10] = 1;
        assert_eq!(read(&eleven), Err(Fault::TooBig));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Err(Fault::TooBig));
    }

    #[test]
    fn numbers_beyond_their_type_are_refused() {
        let mut out = Vec::new();
        put_varint(&mut out, 65_536);
        let refused = Reader::new(&out).varint_as::<u16>("failures");
        assert_eq!(refused, Err(Malformed { field: "failures", fault: Fault::TooBig }));
    }

    #[test]
    fn texts_are_cut_at_a_whole_character_and_cleaned() {
        let travels = |text: &str, max| {
            let mut out = Vec::new();
            put_text(&mut out, text, max);
            Reader::new(&out).text("t", max).expect("what we write we can read")
        };
        assert_eq!(travels("root", 32), "root");
        assert_eq!(travels("äöü", 5), "äö");
        assert_eq!(travels("a\nb\u{85}c", 32), "a b c");
        assert_eq!(travels("", 32), "");
    }

    #[test]
    fn bad_texts_are_refused() {
        let fault = |bytes: &[u8]| Reader::new(bytes).text("t", 3).expect_err("bad").fault;
        assert_eq!(fault(&[4, b'a', b'b', b'c', b'd']), Fault::TooLong);
        assert_eq!(fault(&[2, 0xc3, 0x28]), Fault::NotText);
        assert_eq!(fault(&[1, 0x1b]), Fault::NotText);
        assert_eq!(fault(&[2, b'a']), Fault::Ends);
    }

    #[test]
    fn long_blocks_have_their_length_in_front() {
        let mut out = vec![9];
        put_block(&mut out, |out| out.extend_from_slice(&[7; 300]));
        assert_eq!(out[..4], [9, 0xac, 2, 7]);
        assert_eq!(out.len(), 303);
    }
}
