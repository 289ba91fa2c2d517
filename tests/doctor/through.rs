//! The way to us through a real nginx, as it is by default and as it should be.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::process::Place;

const KEY: &str = "a-key-for-the-doctor-0123456789";

/// What nginx needs to let uploads through.
const RIGHT: &str = "client_max_body_size 0; proxy_request_buffering off; proxy_http_version 1.1; proxy_set_header Host \
                     $http_host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";

/// An nginx before a server; killed when dropped.
struct Nginx {
    child: Child,
    base: String,
}

impl Nginx {
    fn start(folder: &Path, server: &str, directives: &str) -> Self {
        Self::at("/", folder, server, directives)
    }

    /// The same for what lies below `location` alone.
    fn at(location: &str, folder: &Path, server: &str, directives: &str) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let folder = folder.join(format!("nginx-{}", address.port()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let shown = folder.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {shown}/{kind};"))
            .concat();
        let settings = format!(
            "daemon off; master_process off; pid {shown}/pid; error_log {shown}/log; events {{}} http {{ access_log off; \
             {temporary} server {{ listen {address}; location {location} {{ {directives} proxy_pass {server}; }} }} }}"
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
            base: format!("http://{address}"),
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn found(place: &Place, server: &str, key: &str) -> (Option<i32>, Vec<String>) {
    let output = place.run_with(
        &["doctor", "--json", "--server", server],
        &[("MULETEER_API_KEY", key)],
    );
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let findings = report["findings"].as_array().expect("a list");
    let names = findings
        .iter()
        .map(|finding| finding["id"].as_str().expect("a name").to_owned());
    (output.status.code(), names.collect())
}

#[test]
fn an_nginx_as_it_is_by_default_is_told_each_of_its_faults_and_one_that_is_right_none() {
    let place = Place::new();
    let server = place.serve(&[("API_KEY", KEY)]);
    let default = Nginx::start(place.path(), &server.base, "");
    let right = Nginx::start(place.path(), &server.base, RIGHT);

    assert_eq!(
        found(&place, &server.base, KEY),
        (Some(0), Vec::new()),
        "without a proxy"
    );
    assert_eq!(
        found(&place, &right.base, KEY),
        (Some(0), Vec::new()),
        "as it should be"
    );
    let (status, names) = found(&place, &default.base, KEY);
    assert_eq!(status, Some(1));
    assert_eq!(
        names,
        ["proxy-buffers-requests", "proxy-body-limit", "proxy-no-websocket"]
    );
}

#[test]
fn a_wrong_key_and_an_address_that_is_not_ours_are_named() {
    let place = Place::new();
    let server = place.serve(&[("API_KEY", KEY)]);
    let astray = Nginx::start(place.path(), &format!("{}/elsewhere/", server.base), RIGHT);

    let of = |base: &str, key| found(&place, base, key).1;

    assert_eq!(
        of(&server.base, "a-key-of-nobody-0123456789"),
        ["server-key-refused"]
    );
    assert_eq!(of(&astray.base, KEY), ["server-not-muleteer"]);
    assert_eq!(of("http://127.0.0.1:9", KEY), ["server-unreachable"]);
}

#[test]
fn a_path_that_new_uploads_are_not_told_and_options_that_the_proxy_answers_are_named() {
    let place = Place::new();
    let server = place.serve(&[("API_KEY", KEY)]);
    let below = Nginx::at("/up/", place.path(), &format!("{}/", server.base), RIGHT);
    let deaf = format!("{RIGHT} if ($request_method = OPTIONS) {{ return 204; }}");
    let deaf = Nginx::start(place.path(), &server.base, &deaf);

    let of = |base: &str| found(&place, base, KEY).1;

    assert_eq!(of(&format!("{}/up", below.base)), ["proxy-location"]);
    assert_eq!(of(&deaf.base), ["proxy-drops-headers"]);
}
