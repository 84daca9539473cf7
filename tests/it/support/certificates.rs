//! A private certificate authority, and a certificate for this machine, by `openssl`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The files of a server that is trusted by whoever trusts `authority`.
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Makes them in a folder, for this machine.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::of(folder, "IP:127.0.0.1")
    }

    /// Makes them in a folder, for whoever has this name.
    pub(crate) fn of(folder: &Path, name: &str) -> Self {
        let path = |name: &str| folder.join(name);
        request(
            &["-subj", "/CN=authority of a test"],
            &["-addext", "keyUsage=critical,keyCertSign"],
            &path("authority.key"),
            &path("authority.crt"),
        );
        let authority = path("authority.crt").display().to_string();
        let authority_key = path("authority.key").display().to_string();
        request(
            &["-subj", "/CN=127.0.0.1", "-CA", &authority],
            &[
                "-CAkey",
                &authority_key,
                "-addext",
                &format!("subjectAltName={name}"),
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ],
            &path("server.key"),
            &path("server.crt"),
        );
        Self {
            authority: path("authority.crt"),
            certificate: path("server.crt"),
            key: path("server.key"),
        }
    }
}

impl Certificates {
    /// What a redis-server is started with to speak TLS on a port.
    pub(crate) fn server_arguments(&self, port: u16) -> Vec<String> {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let pairs = [
            ("--tls-port", port.to_string()),
            ("--tls-auth-clients", "no".to_owned()),
            ("--tls-cert-file", path(&self.certificate)),
            ("--tls-key-file", path(&self.key)),
            ("--tls-ca-cert-file", path(&self.authority)),
        ];
        let words = pairs.into_iter();
        let words = words.flat_map(|(name, value)| [name.to_owned(), value]);
        words.collect()
    }
}

fn request(subject: &[&str], extensions: &[&str], key: &Path, certificate: &Path) {
    let done = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(subject)
        .args(extensions)
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
