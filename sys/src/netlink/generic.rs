//! Generic netlink: families that have a name, and a number that is asked for (linux/genetlink.h).
//!
//! ```text
//!  body of a message    command u8 | version u8 | 0 u16 | attributes …
//! ```

use super::Error;
use super::request::Requests;
use super::wire::{Attributes, Writer, number16};

/// Size of `struct genlmsghdr`.
pub(crate) const HEADER: usize = 4;

/// The family that knows the others: its number and version.
const CONTROL: u16 = 0x10;
const CONTROL_VERSION: u8 = 1;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// The start of a body.
pub(crate) fn header(command: u8, version: u8) -> [u8; HEADER] {
    [command, version, 0, 0]
}

/// The number of the family of that name.
///
/// # Errors
/// ENOENT when the kernel has no such family (a module may have to be loaded first).
pub(crate) fn family(requests: &mut Requests, name: &str) -> Result<u16, Error> {
    let what = format!("find {name} in the kernel");
    let body = body(&header(CTRL_CMD_GETFAMILY, CONTROL_VERSION), |writer| {
        writer.attribute(CTRL_ATTR_FAMILY_NAME, &terminated(name));
    });
    let number = requests.ask(&what, CONTROL, &body, |body| {
        Attributes::after(body, HEADER)
            .find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)
            .and_then(|(_, payload)| number16(payload, 0))
    })?;
    number.ok_or_else(|| Error::errno(what, nix::errno::Errno::ENOENT))
}

/// A whole body: the header, and the attributes that `fill` writes.
pub(crate) fn body(header: &[u8; HEADER], fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.message(0, 0, 0, header);
    fill(&mut writer);
    writer.bytes()[super::wire::HEADER..].to_vec()
}

/// A text with the NUL that the kernel expects behind it.
pub(crate) fn terminated(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 1);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::request::Talk;
    use super::*;

    #[test]
    fn the_family_of_families_knows_itself() {
        let mut requests = Requests::open(Talk::GENERIC).expect("open");
        assert_eq!(family(&mut requests, "nlctrl"), Ok(CONTROL));
        let none = family(&mut requests, "no-such-family").expect_err("there is none");
        assert_eq!(none.raw_errno(), Some(libc::ENOENT));
    }
}
