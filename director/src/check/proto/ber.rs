//! BER as LDAP uses it (X.690, RFC 4511 section 5.1): definite lengths, tags of one byte.

/// The longest element read.
const LONGEST: usize = 1 << 20;

/// One element: its tag and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Tag, with class and form.
    pub tag: u8,
    /// What is in it.
    pub content: &'a [u8],
}

/// The first element of `bytes` and how long it is altogether; `None` while it is not complete.
///
/// # Errors
/// A sentence if it is no BER of this kind.
pub fn first(bytes: &[u8]) -> Result<Option<(Element<'_>, usize)>, String> {
    let (Some(&tag), Some(&short)) = (bytes.first(), bytes.get(1)) else {
        return Ok(None);
    };
    if tag & 0x1f == 0x1f {
        return Err("no LDAP: a tag of several bytes".to_owned());
    }
    let (length, start) = match short {
        0..=127 => (usize::from(short), 2),
        0x81..=0x84 => {
            let count = usize::from(short & 0x7f);
            let Some(digits) = bytes.get(2..2 + count) else {
                return Ok(None);
            };
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), 2 + count)
        }
        _ => return Err("no LDAP: a length that is none".to_owned()),
    };
    if length > LONGEST {
        return Err(format!("an element of {length} bytes"));
    }
    let whole = start + length;
    Ok(bytes.get(start..whole).map(|content| (Element { tag, content }, whole)))
}

/// All elements in `bytes`; `None` if they do not fill it exactly.
pub fn all(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (element, length) = first(bytes).ok()??;
        elements.push(element);
        bytes = &bytes[length..];
    }
    Some(elements)
}

/// An element.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 128 => out.push(length),
        _ => {
            let digits = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
            out.push(0x84);
            out.extend(digits);
        }
    }
    out.extend(content);
    out
}

/// An element of elements.
pub fn constructed(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &parts.concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn there_and_back(tag in 0..0x1f_u8, content in prop::collection::vec(any::<u8>(), 0..400)) {
            let coded = element(tag, &content);
            for cut in 0..coded.len() {
                prop_assert_eq!(first(&coded[..cut]), Ok(None));
            }
            prop_assert_eq!(first(&coded), Ok(Some((Element { tag, content: &content }, coded.len()))));
        }

        #[test]
        fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = first(&noise);
            let _ = all(&noise);
        }
    }

    #[test]
    fn what_is_not_definite_is_refused() {
        assert!(first(&[0x30, 0x80, 0, 0]).is_err());
        assert!(first(&[0x1f, 0x81, 1]).is_err());
        assert!(first(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(first(&[0x30, 0x85, 0, 0, 0, 0, 0]).is_err());
    }
}
