use super::*;

fn message(kind: i32, flags: i32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.message(kind as u16, flags as u16, sequence, body);
    writer.bytes().to_vec()
}

#[test]
fn writes_what_it_reads() {
    let mut writer = Writer::default();
    writer.message(20, 1, 7, &[1, 2, 3, 4]);
    writer.attribute(3, b"eth0\0");
    writer.attribute(8, &[9; 4]);
    writer.message(21, 1, 8, &[]);
    writer.flag(4);
    let bytes = writer.bytes().to_vec();
    assert_eq!(bytes.len() % 4, 0);
    let mut walk = Messages::new(&bytes);
    let first = walk.next().expect("first");
    assert_eq!((first.kind, first.flags, first.sequence), (20, 1, 7));
    let attributes: Vec<_> = Attributes::after(first.body, 4).collect();
    assert_eq!(attributes, [(3, &b"eth0\0"[..]), (8, &[9; 4][..])]);
    assert_eq!(walk.next(), Some(Message { kind: 21, flags: 5, sequence: 8, body: &[] }));
    assert_eq!(walk.next(), None);
    assert!(!walk.damaged());
}

#[test]
fn an_attribute_too_long_for_its_length_field_is_left_out() {
    let mut writer = Writer::default();
    writer.message(20, 1, 7, &[]);
    writer.attribute(3, &[0; 70_000]);
    assert_eq!(writer.bytes().len(), HEADER);
}

#[test]
fn lengths_that_cannot_be_true_end_the_walk() {
    let good = message(16, 0, 1, &[0; 4]);
    for length in [0u32, 1, 15, 21, 1 << 20, u32::MAX] {
        let mut bytes = [good.clone(), good.clone()].concat();
        bytes[20..24].copy_from_slice(&length.to_ne_bytes());
        let mut walk = Messages::new(&bytes);
        assert_eq!(walk.by_ref().count(), 1, "length {length}");
        assert!(walk.damaged(), "length {length}");
    }
    let attribute = [8u16.to_ne_bytes(), 1u16.to_ne_bytes(), [1, 2], [3, 4]].concat();
    for length in [0u16, 1, 3, 9, u16::MAX] {
        let mut bytes = [attribute.clone(), attribute.clone()].concat();
        bytes[8..10].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(Attributes::after(&bytes, 0).count(), 1, "length {length}");
    }
    assert_eq!(Attributes::after(&attribute, 9).count(), 0);
    assert_eq!(Attributes::after(&attribute, usize::MAX).count(), 0);
}

#[test]
fn truncated_anywhere_never_panics() {
    let bytes = [message(16, 0, 1, &[7; 40]), message(2, 0x300, 2, &[0xff; 40])].concat();
    for end in 0..bytes.len() {
        for message in Messages::new(&bytes[..end]) {
            let _ = (verdict(&message), Attributes::after(message.body, 4).count());
        }
    }
}

/// An NLMSG_ERROR as the kernel writes it.
fn refusal(errno: i32, capped: bool, text: Option<&[u8]>) -> Vec<u8> {
    let request = message(20, 5, 9, &[5; 12]);
    let mut body = (-errno).to_ne_bytes().to_vec();
    body.extend_from_slice(if capped { &request[..HEADER] } else { &request });
    let mut flags = if capped { libc::NLM_F_CAPPED } else { 0 };
    if text.is_some() {
        flags |= libc::NLM_F_ACK_TLVS;
    }
    let mut writer = Writer::default();
    writer.message(libc::NLMSG_ERROR as u16, flags as u16, 9, &body);
    if let Some(text) = text {
        writer.attribute(2, &[0, 0, 0, 8]);
        writer.attribute(NLMSGERR_ATTR_MSG, text);
    }
    writer.bytes().to_vec()
}

fn judge(bytes: &[u8]) -> Option<Result<(), Refusal>> {
    verdict(&Messages::new(bytes).next().expect("a message"))
}

#[test]
fn reads_errors_acknowledgements_and_the_kernels_words() {
    assert_eq!(judge(&refusal(0, true, None)), Some(Ok(())));
    for capped in [true, false] {
        let said = judge(&refusal(libc::EEXIST, capped, Some(b"Address already assigned\0")));
        let text = Some("Address already assigned".to_owned());
        assert_eq!(said, Some(Err(Refusal { errno: libc::EEXIST, text })), "capped {capped}");
        let silent = judge(&refusal(libc::EPERM, capped, None));
        assert_eq!(silent, Some(Err(Refusal { errno: libc::EPERM, text: None })));
    }
    // A text that is empty, or not UTF-8.
    assert_eq!(judge(&refusal(1, true, Some(b"\0"))), Some(Err(Refusal { errno: 1, text: None })));
    let odd = judge(&refusal(1, true, Some(b"\xff!\0")));
    assert_eq!(odd, Some(Err(Refusal { errno: 1, text: Some("\u{fffd}!".into()) })));
}

#[test]
fn reads_the_end_of_a_dump() {
    assert_eq!(judge(&message(libc::NLMSG_DONE, 0, 1, &0i32.to_ne_bytes())), Some(Ok(())));
    assert_eq!(judge(&message(libc::NLMSG_DONE, 0, 1, &[])), Some(Ok(())));
    let refused = judge(&message(libc::NLMSG_DONE, 0, 1, &(-libc::ENOENT).to_ne_bytes()));
    assert_eq!(refused, Some(Err(Refusal { errno: libc::ENOENT, text: None })));
    assert_eq!(judge(&message(16, 0, 1, &[0; 16])), None);
    // Too short to say anything, and an errno whose sign cannot be turned.
    let short = Message { kind: libc::NLMSG_ERROR as u16, flags: 0, sequence: 1, body: &[0, 0] };
    assert_eq!(verdict(&short), None);
    let lowest = judge(&message(libc::NLMSG_ERROR, 0, 1, &i32::MIN.to_ne_bytes()));
    assert_eq!(lowest, Some(Err(Refusal { errno: libc::EIO, text: None })));
}
