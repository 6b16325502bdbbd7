//! vsftpd: FTP.

use std::fs;
use std::process::Command;

use crate::server::{Server, certificate, folder, port, wanted, write};
use crate::support::{bad, good, here};

const CONF: &str = "listen=YES\nlisten_address=127.0.0.1\nlisten_port=@PORT@\nbackground=NO\nanonymous_enable=YES\n\
                    local_enable=NO\nno_anon_password=NO\nanon_root=@DIR@/public\nsecure_chroot_dir=@DIR@/empty\n\
                    ftp_username=daemon\nnopriv_user=nobody\nseccomp_sandbox=NO\nxferlog_enable=NO\n\
                    pasv_address=127.0.0.1\nftpd_banner=happy files\nssl_enable=@TLS@\nallow_anon_ssl=YES\n\
                    force_local_data_ssl=NO\nforce_anon_data_ssl=NO\nrequire_ssl_reuse=NO\n\
                    rsa_cert_file=@DIR@/cert.pem\nrsa_private_key_file=@DIR@/key.pem\n";

#[tokio::test]
async fn vsftpd() {
    if !wanted("vsftpd", "/usr/sbin/vsftpd") {
        return;
    }
    let (folder, port) = (folder(), port());
    for name in ["public", "empty"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("public/motd"), "so happy here\n").unwrap();
    certificate(folder.path());
    let conf = write(folder.path(), "vsftpd.conf", CONF, &[("PORT", &port), ("TLS", &"YES")]);
    let server = Server::start(Command::new("/usr/sbin/vsftpd").arg(conf), folder.path()).listening(port);
    let target = here(port);
    let file = "type = \"ftp\"\npath = \"motd\"\n";
    good("type = \"ftp\"", &target).await;
    good("type = \"ftp\"\nexpect = \"happy files\"", &target).await;
    good("type = \"ftp\"\nuser = \"anonymous\"\npassword = \"me@example.com\"", &target).await;
    good(file, &target).await;
    good(&format!("{file}expect = \"/^so happy/\""), &target).await;
    bad(&format!("{file}expect = \"sad\""), &target, "the file has no \"sad\"").await;
    bad("type = \"ftp\"\npath = \"none\"", &target, "the file was answered \"550").await;
    bad("type = \"ftp\"\nuser = \"root\"\npassword = \"x\"", &target, "530").await;
    let tls = format!("starttls = true\nca_file = \"{}/cert.pem\"\n", folder.path().display());
    good(&format!("{file}{tls}expect = \"happy\""), &target).await;
    server.hangs_and_dies(file, &target).await;
}
