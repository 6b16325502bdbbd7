//! OpenLDAP's slapd.

use std::fs;
use std::process::Command;

use crate::server::{Server, certificate, done, folder, port, wanted, write};
use crate::support::{bad, good, here};

const CONF: &str = r#"
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile @DIR@/pid
argsfile @DIR@/args
TLSCertificateFile @DIR@/cert.pem
TLSCertificateKeyFile @DIR@/key.pem
database mdb
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw p
directory @DIR@/data
maxsize 10485760
access to dn.subtree="ou=closed,dc=example,dc=com" by * none
access to * by * read
"#;

const DATA: &str = "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: happy ltd\n\n\
                    dn: ou=closed,dc=example,dc=com\nobjectClass: organizationalUnit\nou: closed\n\n\
                    dn: cn=one,dc=example,dc=com\nobjectClass: person\ncn: one\nsn: one\nuserPassword: q\n";

#[tokio::test]
async fn slapd() {
    if !wanted("slapd", "/usr/sbin/slapd") {
        return;
    }
    let (folder, plain, secure) = (folder(), port(), port());
    fs::create_dir(folder.path().join("data")).unwrap();
    certificate(folder.path());
    let conf = write(folder.path(), "slapd.conf", CONF, &[]);
    let data = write(folder.path(), "data.ldif", DATA, &[]);
    done(Command::new("slapadd").arg("-f").arg(&conf).arg("-l").arg(data));
    let urls = format!("ldap://127.0.0.1:{plain}/ ldaps://127.0.0.1:{secure}/");
    let mut command = Command::new("/usr/sbin/slapd");
    command.arg("-d").arg("0").arg("-h").arg(urls).arg("-f").arg(conf);
    let server = Server::start(&mut command, folder.path()).listening(secure).listening(plain);
    let target = here(plain);
    let base = "type = \"ldap\"\nbase = \"dc=example,dc=com\"\n";
    good("type = \"ldap\"", &target).await;
    good(base, &target).await;
    good(&format!("{base}expect = \"/^dc=example/\""), &target).await;
    good(&format!("{base}attribute = \"o\"\nexpect = \"happy\""), &target).await;
    bad(&format!("{base}attribute = \"o\"\nexpect = \"sad\""), &target, "'o' is \"happy ltd\"").await;
    bad(&format!("{base}attribute = \"mail\""), &target, "found no 'mail'").await;
    good(
        &format!("{base}scope = \"sub\"\nfilter = \"(&(objectClass=person)(cn=o*e))\"\nexpect = \"cn=one\""),
        &target,
    )
    .await;
    good(&format!("{base}scope = \"one\"\nfilter = \"cn=one\""), &target).await;
    bad(&format!("{base}filter = \"cn=one\""), &target, "found no entry").await;
    bad("type = \"ldap\"\nbase = \"dc=example,dc=net\"", &target, "noSuchObject (32)").await;
    bad("type = \"ldap\"\nbase = \"ou=closed,dc=example,dc=com\"", &target, "noSuchObject (32)").await;
    let admin = |password: &str| {
        format!("type = \"ldap\"\nuser = \"cn=admin,dc=example,dc=com\"\npassword = \"{password}\"\n")
    };
    good(&format!("{}base = \"ou=closed,dc=example,dc=com\"", admin("p")), &target).await;
    bad(&admin("x"), &target, "invalidCredentials (49)").await;
    let ca = format!("ca_file = \"{}/cert.pem\"\n", folder.path().display());
    good(&format!("{base}tls = true\n{ca}"), &here(secure)).await;
    good(&format!("{base}starttls = true\n{ca}"), &target).await;
    bad(&format!("{base}starttls = true\n"), &target, "signed by nobody trusted here").await;
    server.hangs_and_dies(base, &target).await;
}
