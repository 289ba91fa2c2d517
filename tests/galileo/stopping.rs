//! Section 4: what clients are told when the server is being stopped; and that no ticket gets into its log.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::client::{Client, content};
use super::clients::{begin, check_ready};
use super::here;
use super::server::{API_KEY, TestServer};
use super::socket::{Frame, Handshake};

/// A process of its own beside a server that is only there to name the folder and the address.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(first: &TestServer) -> (Program, TestServer) {
    let data = first.folder().join("process");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("a port")
        .port();
    let program = Program(
        Command::new(env!("CARGO_BIN_EXE_muleteer"))
            .args(["serve", "--port", &port.to_string(), "--data"])
            .arg(&data)
            .env_clear()
            .env("MULETEER_STORAGE__BACKEND", "local")
            .env("MULETEER_STORAGE__LOCAL__PATH", data.join("uploads"))
            .env("MULETEER_DEV_S3__PORT", "0")
            .env("MULETEER_AUTH__API_KEY", API_KEY)
            .current_dir(first.folder())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts"),
    );
    let mut there = TestServer::start(super::Kind::Sqlite, |_| {}).expect("SQLite is never skipped");
    there.base = format!("http://127.0.0.1:{port}");
    for _ in 0..600 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return (program, there);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the program does not listen");
}

#[cfg(unix)]
#[actix_web::test]
async fn a_server_that_stops_says_so_keeps_what_came_and_logs_no_ticket() {
    let place = here(|_| {});
    let (mut program, there) = start(&place).await;
    let file = content(2_000_000);
    let made = Client::of(&there)
        .raw("POST", "/galileo/ticket", Vec::new())
        .await
        .expect(201);
    let path = made["path"].as_str().unwrap().to_owned();
    let ticket = made["ticket"].as_str().unwrap();
    let mut socket = Handshake::new(&path).open(&there).await;
    let ready = begin(&mut socket, "x", file.len(), None).await;
    socket.binary(&file[..1 << 20]).await;
    assert_eq!(check_ready(&socket.signal().await), 1 << 20);
    let mut silent = Handshake::new("/galileo").open(&there).await;

    let stopped = Command::new("kill").arg(program.0.id().to_string()).status();
    assert!(stopped.expect("kill").success());

    assert_eq!(socket.fatal().await, "stopping");
    assert_eq!(socket.closed().await, Some(1001));
    assert_eq!(socket.next().await, Frame::Gone);
    assert_eq!(silent.fatal().await, "stopping");
    assert_eq!(silent.closed().await, Some(1001));
    drop(silent);
    let mut log = String::new();
    program
        .0
        .stderr
        .take()
        .expect("a log")
        .read_to_string(&mut log)
        .expect("text");
    assert!(program.0.wait().expect("an end").success(), "{log}");
    assert!(
        log.contains("/galileo") && !log.contains(ticket) && !log.contains("ticket="),
        "{log}"
    );
    assert!(ready["upload"].is_string());

    // The same folder again: what was acknowledged is there.
    let (_program, there) = start(&place).await;
    let mut again = Handshake::new("/galileo")
        .with("X-API-Key", API_KEY)
        .open(&there)
        .await;
    let ready = begin(&mut again, "x", file.len(), ready["upload"].as_str()).await;
    assert_eq!(check_ready(&ready), 1 << 20);
}
