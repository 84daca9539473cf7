//! One TLS provider for the whole process.

/// Installs ring as the process's TLS provider, unless the program chose one already.
pub(crate) fn install_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Lost only to another thread that installed one a moment ago.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
