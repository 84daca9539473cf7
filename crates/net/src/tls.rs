//! One TLS provider and one set of roots for the whole process.

/// Installs ring as the process's TLS provider, unless the program chose one already.
pub fn install_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Lost only to another thread that installed one a moment ago.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// A client's set-up for `https://`: the system's roots and Mozilla's merged, as a container may
/// lack the system's.
pub fn merge_roots(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| reqwest::Certificate::from_der(der).ok());
    builder.tls_certs_merge(roots)
}
