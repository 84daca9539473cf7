//! A private nginx in front of a server.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{end, free_port, until};

/// An nginx that is ended when dropped.
pub(crate) struct Nginx {
    pub(crate) address: String,
    child: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Starts one that passes every request on to a server, with settings as the package has them.
    pub(crate) async fn in_front_of(server: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let home = folder.path().display();
        let settings = format!(
            "daemon off; master_process off; pid {home}/pid; error_log stderr;\n\
             events {{}}\n\
             http {{\n\
             access_log off; gzip on; client_body_temp_path {home}; proxy_temp_path {home};\n\
             fastcgi_temp_path {home}; uwsgi_temp_path {home}; scgi_temp_path {home};\n\
             server {{ listen {address}; location / {{ proxy_pass http://{server}; }} }}\n\
             }}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, settings).unwrap();
        // The package puts it where only root looks.
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new("nginx")
            .args(["-e", "stderr", "-c"])
            .arg(&file)
            .env("PATH", format!("{path}:/usr/sbin"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx, as scripts/test installs it");
        let nginx = Self {
            address,
            child,
            _folder: folder,
        };
        until("nginx listens", async || {
            TcpStream::connect(&nginx.address).await.ok()
        })
        .await;
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
