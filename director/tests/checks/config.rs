//! Mistakes in a check's table are found when it is read, with what to do.

use crate::support::{refused, spec};

#[test]
fn what_cannot_be_asked_is_refused_when_it_is_read() {
    for (text, why) in [
        ("type = \"htttp\"", "did you mean \"http\"?"),
        ("type = \"http\"\nmethod = \"GE T\"", "no HTTP method"),
        ("type = \"http\"\npath = \"/a b\"", "cannot be asked for"),
        ("type = \"http\"\nheaders = { \"a b\" = \"c\" }", "no name of an HTTP header"),
        ("type = \"http\"\nheaders = { a = \"c\\nd\" }", "character that is not allowed"),
        ("type = \"http\"\nstatus = [20]", "no status code"),
        ("type = \"http\"\nexpect = \"/(/\"", "no regular expression"),
        ("type = \"https\"\nca_file = \"/no/such\"", "cannot read /no/such"),
        ("type = \"https\"\ntls_name = \"a b\"", "neither a host name nor an address"),
        ("type = \"http\"\nverify = false", "of no use without TLS"),
        ("type = \"dns\"\nname = \"a..b\"", "no DNS name"),
        ("type = \"dns\"\nname = \"a.b\"\nrecord = \"X\"", "no type of record"),
        ("type = \"ldap\"\nbase = \"dc=x\"\nfilter = \"(a\"", "no LDAP filter"),
        ("type = \"ldap\"\nscope = \"all\"", "not how far a search goes"),
        ("type = \"mysql\"\nquery = \"SELECT 1\"", "a query needs a user"),
        ("type = \"smtp\"\nhello = \"a\\nQUIT\"", "cannot be said in this protocol"),
        ("type = \"imap\"\nuser = \"a\"\npassword = \"b\\nc\"", "cannot have line ends"),
        ("type = \"redis\"\nstarttls = true", "has no starttls"),
        ("type = \"connect\"\nsend = '\\xzz'", "two hexadecimal digits"),
        ("type = \"pop3\"\npath = \"x\"", "unknown key 'path'"),
        ("type = \"script\"\nprogram = \"relative\"", "no absolute path"),
    ] {
        let said = refused(text);
        assert!(said.contains(why), "{text}\n{said}");
    }
}

#[test]
fn a_secret_is_shown_to_nobody() {
    for text in [
        "type = \"imap\"\nuser = \"u\"\npassword = \"hunter2\"",
        "type = \"radius\"\nsecret = \"hunter2\"\nuser = \"u\"\npassword = \"hunter2\"",
        "type = \"http\"\nuser = \"u\"\npassword = \"hunter2\"",
    ] {
        let shown = format!("{:?}", spec(text));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
