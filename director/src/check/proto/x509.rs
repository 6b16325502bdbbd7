//! When a certificate ends: the one thing of X.509 (RFC 5280) that TLS libraries do not say before it is too late.

use super::ber::{Element, all, first};

/// The certificate's `notAfter`, in seconds since 1970; `None` if it is none that can be read.
pub fn not_after(der: &[u8]) -> Option<i64> {
    let (certificate, _) = first(der).ok()??;
    let (to_be_signed, _) = first(certificate.content).ok()??;
    let parts = all(to_be_signed.content)?;
    // [0] version, if it is there; then serial number, signature, issuer, validity.
    let version = usize::from(parts.first()?.tag == 0xa0);
    let validity = all(parts.get(version + 3)?.content)?;
    time(*validity.get(1)?)
}

/// UTCTime (years 1950 to 2049) or GeneralizedTime, both always in UTC and with seconds (section 4.1.2.5).
fn time(element: Element<'_>) -> Option<i64> {
    let text = std::str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (element.tag, text.len()) {
        (0x17, 12) => {
            let year: i64 = text[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &text[2..])
        }
        (0x18, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let number = |at: usize| rest[at..at + 2].parse::<i64>().ok();
    let (month, day, hour, minute, second) = (number(0)?, number(2)?, number(4)?, number(6)?, number(8)?);
    ((1..=12).contains(&month) && (1..=31).contains(&day))
        .then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970 of a Gregorian date: years counted from March, so that the leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 719_469
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ber::{constructed, element};
    use super::*;

    #[test]
    fn times() {
        let time = |tag, text: &str| time(Element { tag, content: text.as_bytes() });
        assert_eq!(time(0x17, "700101000000Z"), Some(0));
        assert_eq!(time(0x17, "261124221422Z"), Some(1_795_558_462));
        assert_eq!(time(0x18, "20500301000001Z"), Some(2_529_705_601));
        assert_eq!(time(0x18, "99991231235959Z"), Some(253_402_300_799));
        for wrong in ["2611242214Z", "261124221422", "261324221422Z", "2611é4221422Z"] {
            assert_eq!(time(0x17, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_certificate_with_and_without_version() {
        let validity = constructed(0x30, &[element(0x17, b"250101000000Z"), element(0x17, b"700102000000Z")]);
        let rest = [element(2, &[1]), element(0x30, b""), element(0x30, b""), validity];
        let v1 = constructed(0x30, &[constructed(0x30, &rest), element(3, b"x")]);
        assert_eq!(not_after(&v1), Some(86_400));
        let with_version = [&[constructed(0xa0, &[element(2, &[2])])][..], &rest].concat();
        assert_eq!(not_after(&constructed(0x30, &[constructed(0x30, &with_version)])), Some(86_400));
    }

    proptest! {
        #[test]
        fn noise_is_survived(noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = not_after(&noise);
        }
    }
}
