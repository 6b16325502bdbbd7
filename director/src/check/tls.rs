//! TLS of the checks: whom to trust, by which name, and a warning before a certificate ends.
//!
//! A [`Secure`] is made once for a check and used for all its connections. Sessions are never resumed: a resumed one
//! would not show the certificate the server has now.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::progress::Progress;
use super::proto::text::quoted;
use super::proto::x509;
use super::spec::Tls;
use super::wire::broken;

const DAY: i64 = 24 * 3600;

/// How a check speaks TLS.
#[derive(Clone)]
pub(super) struct Secure {
    config: Arc<ClientConfig>,
    /// The name the certificate must be good for; the server's address if there is none.
    name: Option<ServerName<'static>>,
    warn_before: Duration,
}

impl Secure {
    /// `host` is the name asked for, if the check has one; `protocols` are offered by ALPN.
    ///
    /// # Errors
    /// A sentence: the file with the authorities cannot be used, or the name is none.
    pub fn new(tls: &Tls, host: Option<&str>, protocols: &[&[u8]]) -> Result<Secure, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS cannot be used: {e}"))?;
        let builder = match (tls.verify, tls.ca_file.as_deref()) {
            (true, None) => builder.with_root_certificates(authorities()?),
            (true, Some(file)) => {
                let known = Verifier::known(file, provider)?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(known))
            }
            (false, _) => {
                let anybody = Verifier { trust: Trust::Anybody, provider };
                builder.dangerous().with_custom_certificate_verifier(Arc::new(anybody))
            }
        };
        let mut config = builder.with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let name = tls.name.as_deref().or(host.map(without_port)).map(|name| {
            let known = ServerName::try_from(name.to_owned());
            known.map_err(|_| format!("{} is neither a host name nor an address", quoted(name)))
        });
        Ok(Secure { config: Arc::new(config), name: name.transpose()?, warn_before: tls.warn_before })
    }

    /// Starts TLS on a stream.
    ///
    /// # Errors
    /// A sentence.
    pub async fn start(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        progress: &Progress,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = self.name.clone().unwrap_or_else(|| ServerName::from(address.ip()));
        let shown = name.to_str().into_owned();
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await;
        let stream = stream.map_err(|e| failed(&e, &shown))?;
        if let Some(warning) = self.ends_soon(stream.get_ref().1.peer_certificates().unwrap_or_default()) {
            progress.warn(warning);
        }
        Ok(stream)
    }

    /// What to say of the certificate of the chain that ends first.
    fn ends_soon(&self, chain: &[CertificateDer<'_>]) -> Option<String> {
        let end = chain.iter().filter_map(|certificate| x509::not_after(certificate)).min()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        warning(end, i64::try_from(now).ok()?, self.warn_before)
    }
}

fn warning(end: i64, now: i64, warn_before: Duration) -> Option<String> {
    let left = end - now;
    match left {
        left if left < 0 => Some(format!("the certificate ended {} days ago", -left / DAY)),
        left if left > i64::try_from(warn_before.as_secs()).unwrap_or(i64::MAX) => None,
        left if left < 2 * DAY => Some(format!("the certificate ends in {} hours", left / 3600)),
        left => Some(format!("the certificate ends in {} days", left / DAY)),
    }
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secure").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `www.example.com:8443` names the host `www.example.com`, `[::1]:443` the address `::1`.
fn without_port(host: &str) -> &str {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.split(']').next().unwrap_or(inner);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && host.parse::<IpAddr>().is_err() => {
            name
        }
        _ => host,
    }
}

/// Whom to trust unless told otherwise: the system's authorities.
fn authorities() -> Result<Arc<RootCertStore>, String> {
    static SYSTEMS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(store) = SYSTEMS.get() {
        return Ok(Arc::clone(store));
    }
    let found = base::authorities::of_this_system().ok_or(
        "this system has no certificates of authorities; install ca-certificates, or give the check its ca_file",
    )?;
    let (store, _) = read(found)?;
    let store = Arc::new(store);
    Ok(Arc::clone(SYSTEMS.get_or_init(|| store)))
}

fn read(file: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
    let shown = file.display();
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|e| format!("cannot read {shown}: {e}"))?;
    let (mut store, mut all) = (RootCertStore::empty(), Vec::new());
    for certificate in certificates {
        let certificate = certificate.map_err(|e| format!("{shown} is no file of PEM certificates: {e}"))?;
        // One broken among the system's hundred must not take the others away.
        let _ = store.add(certificate.clone());
        all.push(certificate);
    }
    match store.is_empty() {
        false => Ok((store, all)),
        true => Err(format!("{shown} has no PEM certificate of an authority in it")),
    }
}

/// A sentence from what rustls says.
fn failed(error: &io::Error, name: &str) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return broken(error, "while TLS was being started");
    };
    match tls {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the certificate has expired".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "the certificate is not valid yet: is the clock right?".to_owned(),
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "the certificate is not good for {name}; give the check the name it is good for (tls_name)"
        ),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the certificate is signed by nobody trusted here; give the check the authority's ca_file"
                .to_owned()
        }
        error if is_of_an_authority(error) => {
            "the certificate is an authority's, and in no ca_file of this check: name it there, or give the server one of its own"
                .to_owned()
        }
        Error::InvalidMessage(_) => "the server does not speak TLS on this port".to_owned(),
        other => format!("TLS failed: {other}"),
    }
}

/// Whose certificates are taken; the owner of one must have the key to it in any case.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Trust {
    /// Everybody's (`verify = false`).
    Anybody,
    /// What the authorities in `ca_file` have signed, and the very certificates in it: what `openssl req -x509` makes for a
    /// server is an authority's too unless it is told otherwise, and webpki takes none of those from a server.
    Known { usual: Arc<WebPkiServerVerifier>, certificates: Vec<CertificateDer<'static>> },
}

impl Verifier {
    /// Of whoever is known by `ca_file`.
    fn known(ca_file: &Path, provider: Arc<CryptoProvider>) -> Result<Verifier, String> {
        let (store, certificates) = read(ca_file)?;
        let usual =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider)).build();
        let usual = usual.map_err(|e| format!("{} cannot be used: {e}", ca_file.display()))?;
        Ok(Verifier { trust: Trust::Known { usual, certificates }, provider })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Known { usual, certificates } = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        match usual.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // Looked at after its time, and before its name.
            Err(error) if is_of_an_authority(&error) && certificates.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate was refused since it is an authority's. rustls hands this reason of webpki on as it is.
fn is_of_an_authority(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(why)) if why.to_string() == "CaUsedAsEndEntity")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warned_in_time_and_only_then() {
        let fortnight = Duration::from_secs(14 * DAY as u64);
        assert_eq!(warning(100 * DAY, 0, fortnight), None);
        assert_eq!(warning(10 * DAY, 0, fortnight).unwrap(), "the certificate ends in 10 days");
        assert_eq!(warning(DAY, 0, fortnight).unwrap(), "the certificate ends in 24 hours");
        assert_eq!(warning(0, 3 * DAY, fortnight).unwrap(), "the certificate ended 3 days ago");
        assert_eq!(warning(DAY, 0, Duration::ZERO), None);
    }

    #[test]
    fn a_host_with_a_port_is_the_same_name() {
        for (host, name) in
            [("a.b:443", "a.b"), ("a.b", "a.b"), ("[::1]:443", "::1"), ("[::1]", "::1"), ("::1", "::1")]
        {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing").unwrap();
        assert!(read(&empty).unwrap_err().contains("has no PEM certificate"));
        assert!(read(&folder.path().join("none")).unwrap_err().contains("cannot read"));
    }
}
