use super::*;

/// The problems of `text`, as `line:column text`.
fn problems(text: &str) -> Vec<String> {
    let problems = Keyring::parse(text).expect_err("the file is bad");
    assert!(problems.iter().all(|problem| !problem.help.is_empty()));
    problems.iter().map(|KeyProblem { line, column, text, .. }| format!("{line}:{column} {text}")).collect()
}

fn good(text: &str) -> Keyring {
    Keyring::parse(text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn order_comments_and_blank_lines_do_not_matter() {
    let keys = good("# ours\n\n  2 sha256 a b  c d e \t\r\n\tauth\t2\n1 md5 12345678\n   # end");
    assert_eq!(keys.signing(), (2, Method::Sha256));
    assert!(keys.signer(1).is_some() && keys.signer(2).is_some() && keys.signer(3).is_none());
    assert_eq!(keys.warnings(), Vec::<String>::new());
}

#[test]
fn the_secret_is_the_rest_of_the_line_trimmed() {
    let cluster = crate::ClusterId::of("lvs");
    let plain = good("auth 1\n1 sha256 two  words");
    let message = crate::tests::heartbeat();
    let packet = plain.seal(cluster, &message);
    for same in ["1\tsha256 \t two  words \t\r\nauth 1\r\n", "auth 1 \n  1 sha256 two  words"] {
        assert_eq!(good(same).open(cluster, &packet).as_ref(), Ok(&message));
    }
    for other in ["auth 1\n1 sha256 two words", "auth 1\n1 sha256 two  Words", "auth 1\n1 sha256 two  w"] {
        assert_eq!(good(other).open(cluster, &packet), Err(crate::Reject::Tag { id: 1 }));
    }
}

#[test]
fn a_short_secret_of_an_old_file_loads_with_a_warning() {
    let keys = good("auth 3\n3 md5 Hello!\n");
    assert_eq!(keys.signing(), (3, Method::Md5));
    let warnings = keys.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("line 2") && warnings[0].contains("shorter than 8 bytes"), "{warnings:?}");
    assert!(!warnings[0].contains("Hello!"));
    assert_eq!(good("auth 1\n1 sha256 12345678").warnings().len(), 0);
}

#[test]
fn a_secret_that_can_be_tried_out_is_refused_by_name() {
    assert_eq!(problems("auth 1\n1 sha256 Hell!"), ["2:10 the secret of key 1 is shorter than 6 bytes"]);
    assert_eq!(
        problems("auth 1\n1 sha256 12345678\n7 md5   x\t \r\n"),
        ["3:9 the secret of key 7 is shorter than 6 bytes"]
    );
    assert_eq!(good("auth 1\n1 sha256 Hello!").signing(), (1, Method::Sha256));
}

#[test]
fn a_crc_key_alone_is_taken_with_a_warning() {
    let keys = good("auth 1\n1 crc\n");
    assert_eq!(keys.signing(), (1, Method::Crc));
    assert_eq!(keys.warnings().len(), 1);
    assert!(keys.warnings()[0].contains("crc"));
}

#[test]
fn the_old_file_with_crc_beside_a_key_is_refused() {
    let text = "3 md5 Hello!\nauth 1\n1 crc\n";
    assert_eq!(problems(text), ["3:1 crc is allowed only when it is the only key"]);
    let help = &Keyring::parse(text).expect_err("bad")[0].help;
    assert!(help.contains("`auth 3`"), "{help}");
    // With the crc line unused it is refused as well: it would still be accepted from anyone.
    assert_eq!(problems("auth 3\n1 crc\n2 md5 12345678\n3 md5 12345678").len(), 1);
    assert_eq!(problems("auth 1\n1 crc\n2 crc").len(), 2);
}

#[test]
fn all_mistakes_are_told_at_once_and_in_order() {
    let text = "1 sha1 secret\nauth 9\n256 md5 secret\nauth 1\n2 md5\n2 sha256 other secret\n  Hello!\n4 SHA256 x\n5\n6 secret\n7 crc key\n";
    assert_eq!(
        problems(text),
        [
            "1:3 method `sha1` is not supported",
            "2:1 `auth` picks key 9, which is not in the file",
            "3:1 this is not the number of a key",
            "4:1 a second `auth` line; the first is line 2",
            "5:6 key 2 has no secret",
            "6:1 key 2 again; it is on line 5 already",
            "7:3 the line begins with neither `auth` nor the number of a key",
            "8:3 methods are written in small letters",
            "9:2 the key has no method",
            "10:3 the word after the number is no method (it may be the key itself, with the method missing)",
            "11:1 crc is allowed only when it is the only key",
            "11:7 crc takes no key",
        ]
    );
}

#[test]
fn each_mistake_alone() {
    assert_eq!(problems(""), ["1:1 no `auth` line"]);
    assert_eq!(problems("1 md5 12345678\n"), ["2:1 no `auth` line"]);
    assert_eq!(problems("auth\n1 md5 12345678"), ["1:5 `auth` without the number of a key"]);
    assert_eq!(problems("auth one\n1 md5 12345678"), ["1:6 this is not the number of a key"]);
    assert_eq!(problems("auth +1\n1 md5 12345678"), ["1:6 this is not the number of a key"]);
    assert_eq!(problems("auth 1 2\n1 md5 12345678"), ["1:8 more than one word after `auth`"]);
    assert_eq!(problems("auth 2\n1 md5 12345678"), ["1:1 `auth` picks key 2, which is not in the file"]);
    assert_eq!(problems("auth 1"), ["1:1 `auth` picks key 1, which is not in the file"]);
    assert_eq!(problems("auth 1\n1 sha256   \n"), ["2:9 key 1 has no secret"]);
    assert_eq!(
        problems("auth 1\n999999999999999999999 md5 x\n1 md5 12345678"),
        ["2:1 this is not the number of a key"]
    );
}

#[test]
fn sha1_is_refused_with_advice_only() {
    let problems = Keyring::parse("auth 1\n1 sha1 secret").expect_err("bad");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].help.contains("sha256"));
}

#[test]
fn the_ends_of_the_id_range_are_good() {
    assert_eq!(good("auth 0\n0 sha256 12345678").signing(), (0, Method::Sha256));
    assert_eq!(good("auth 255\n255 sha256 12345678").signing(), (255, Method::Sha256));
}

#[test]
fn a_would_be_comment_behind_a_key_is_warned_of() {
    let warnings = good("auth 1\n1 sha256 12345678 # ours").warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("comment"));
    assert_eq!(good("auth 1\n1 sha256 1234#5678").warnings().len(), 0);
}

#[test]
fn nothing_printed_shows_a_secret() {
    let keys = good("auth 2\n1 md5 Hello!\n2 sha256 open sesame # now");
    let shown = format!("{keys:?} {:#?} {:?}", keys, keys.warnings());
    assert!(shown.contains("1 md5") && shown.contains("2 sha256"), "{shown}");
    // Each way a secret can slip into a wrong place.
    let slips = "auth sesame\nsesame\n1 sesame\n2 sesame sesame\n3 crc sesame\n4 sha1 sesame\n4 md5 sesame\n";
    let problems = Keyring::parse(slips).expect_err("bad");
    let told: String = problems.iter().map(|problem| format!("{problem} {problem:?}")).collect();
    for secret in ["Hello!", "sesame"] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn a_fresh_file_is_good() {
    for method in Method::ALL {
        let text = Keyring::generate(method, &[0xa5; 32]);
        let keys = good(&text);
        assert_eq!(keys.signing(), (1, method));
        assert_eq!(keys.warnings().len(), usize::from(method == Method::Crc));
        assert_eq!(text.contains(&"a5".repeat(32)), method != Method::Crc);
    }
    assert_eq!(problems(&Keyring::generate(Method::Sha256, &[])).len(), 1);
}

#[test]
fn of_a_file_that_is_no_authkeys_file_not_every_line_is_told() {
    assert_eq!(problems(&"some text\n".repeat(5000)).len(), TOLD);
}
