//! A real nginx before a server or a store.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::certificate::Certificate;

/// An nginx before a server; killed when dropped.
pub struct Nginx {
    child: Child,
    /// `http://` or `https://`, and its address.
    pub base: String,
}

/// An address of this machine's own that nobody uses now.
pub fn free_address() -> SocketAddr {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("its address")
}

impl Nginx {
    /// One that passes everything on to `server`, with these directives.
    pub fn start(folder: &Path, server: &str, directives: &str) -> Self {
        Self::at("/", folder, server, directives)
    }

    /// The same for what lies below `location` alone.
    pub fn at(location: &str, folder: &Path, server: &str, directives: &str) -> Self {
        Self::on(free_address(), location, folder, server, directives)
    }

    /// The same at an address that is known before.
    pub fn on(address: SocketAddr, location: &str, folder: &Path, server: &str, directives: &str) -> Self {
        let host = format!("listen {address}; location {location} {{ {directives} proxy_pass {server}; }}");
        Self::run(address, folder, &host, "http")
    }

    /// One that speaks TLS, and changes nothing that was signed.
    pub fn secure(folder: &Path, server: &str, certificate: &Certificate) -> Self {
        let address = free_address();
        let (chain, key) = (certificate.certificate.display(), certificate.key.display());
        let host = format!(
            "listen {address} ssl; ssl_certificate {chain}; ssl_certificate_key {key}; client_max_body_size 0; \
             location / {{ proxy_set_header Host $http_host; proxy_pass {server}; }}"
        );
        Self::run(address, folder, &host, "https")
    }

    fn run(address: SocketAddr, folder: &Path, host: &str, scheme: &str) -> Self {
        let folder = folder.join(format!("nginx-{}", address.port()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let shown = folder.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {shown}/{kind};"))
            .concat();
        let settings = format!(
            "daemon off; master_process off; pid {shown}/pid; error_log {shown}/log; events {{}} http {{ access_log off; \
             {temporary} server {{ {host} }} }}"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, settings).expect("written");
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        for _ in 0..200 {
            if std::net::TcpStream::connect(address).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        Self {
            child,
            base: format!("{scheme}://{address}"),
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
