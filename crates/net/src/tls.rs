//! One TLS provider and one set of roots for the whole process.

/// Installs ring as the TLS provider of the process, unless the program has chosen one.
pub fn install_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only if another thread installed one a moment ago.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Adds Mozilla's roots to those of the system, which a container may lack.
pub fn merge_roots(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| reqwest::Certificate::from_der(der).ok());
    builder.tls_certs_merge(roots)
}
