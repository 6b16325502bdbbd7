//! TLS of the client: whom to trust, and what went wrong in a sentence.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

/// Trusts the authorities in the file `ca`, else those of the system; shows `identity`, the files of a certificate and its
/// key, to who wants to see one.
///
/// # Errors
/// A sentence.
pub(crate) fn trust(ca: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be used: {error}"))?;
    let builder = builder.with_root_certificates(authorities(ca)?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let (shown, key_shown) = (cert.display(), key.display());
            let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
            let chain = chain.map_err(|error| format!("cannot read the certificate {shown}: {error}"))?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("{key_shown} has no private key that can be used: {error}"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("{shown} and {key_shown} cannot be used together: {error}"))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, String> {
    let file = match file {
        Some(file) => file,
        None => base::authorities::of_this_system().ok_or(
            "this system has no certificates of authorities: install ca-certificates, or name a file: ca = \"…\"",
        )?,
    };
    let shown = file.display();
    let all = CertificateDer::pem_file_iter(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut store = RootCertStore::empty();
    // One that is broken among the system's hundred must not take the others away.
    for certificate in all.flatten() {
        let _ = store.add(certificate);
    }
    match store.is_empty() {
        false => Ok(store),
        true => Err(format!("{shown} has no certificate of an authority in it")),
    }
}

/// A sentence from what rustls says.
pub(crate) fn untrusted(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return format!("TLS was not begun: {}", super::plain(error));
    };
    let Error::InvalidCertificate(certificate) = tls else {
        return match tls {
            Error::InvalidMessage(_) => "no TLS is spoken there: is it http:// and not https://?".to_owned(),
            other => format!("TLS failed: {other}"),
        };
    };
    match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is good for other names".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "its certificate is signed by nobody trusted here: name its authority: ca = \"…\"".to_owned()
        }
        other => format!("its certificate is not good: {other:?}"),
    }
}
