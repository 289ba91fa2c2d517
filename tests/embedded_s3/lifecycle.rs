//! Starting, stopping, crashing, and connections that break.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use muleteer::dev_s3::{self, DevS3Error};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Running, client_of, config};

/// Sends the head of a request and as much of its body as given, and keeps the connection open.
async fn send_beginning(s3: &Running, target: &str, length: usize, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(s3.server.address()).await.expect("it listens");
    let head = format!(
        "PUT {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n",
        s3.client.host()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(body).await.expect("sent");
    stream
}

/// Waits until the directory holds that many segments.
async fn wait_for_segments(s3: &Running, count: usize) {
    for _ in 0..500 {
        if s3.files_in("segments") == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there are {} segments, not {count}", s3.files_in("segments"));
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_restart() {
    let s3 = Running::start().await;
    s3.client.put("whole", b"in one piece").await;
    let done = s3.client.begin("joined").await;
    let etag = s3.client.part("joined", &done, 1, b"from parts").await;
    s3.client.complete("joined", &done, &[(1, &etag)]).await;
    let open = s3.client.begin("open").await;
    let first = s3.client.part("open", &open, 1, b"kept over the restart").await;

    let s3 = s3.restart().await;

    assert_eq!(s3.client.get("whole").await.body, b"in one piece");
    assert_eq!(s3.client.get("joined").await.body, b"from parts");
    assert_eq!(
        s3.client.parts("open", &open).await.tags("ETag"),
        [first.as_str()]
    );
    let last = s3.client.part("open", &open, 2, b"!").await;
    assert_eq!(
        s3.client
            .complete("open", &open, &[(1, &first), (2, &last)])
            .await
            .status,
        200
    );
    assert_eq!(s3.client.get("open").await.body, b"kept over the restart!");
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_part_keeps_the_earlier_one_and_leaves_no_debris() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let earlier = s3.client.part("key", &upload, 1, b"the earlier part").await;
    let target = s3.client.part_request("key", &upload, 1).target();
    let half = send_beginning(&s3, &target, 9_000_000, &vec![1; 4_000_000]).await;
    wait_for_segments(&s3, 2).await;

    // What a killed process leaves is exactly what the disk holds at that moment.
    let after_crash = tempfile::tempdir().expect("a folder");
    copy_folder(s3.folder.path(), after_crash.path());
    fs::write(after_crash.path().join("tmp/half-a-record"), "{").expect("debris");
    drop(half);
    let server = dev_s3::start(config(after_crash.path()))
        .await
        .expect("it starts");
    let client = client_of(&server);

    assert_eq!(
        client.parts("key", &upload).await.tags("ETag"),
        [earlier.as_str()]
    );
    assert_eq!(
        fs::read_dir(after_crash.path().join("segments"))
            .expect("a folder")
            .count(),
        1
    );
    assert_eq!(
        fs::read_dir(after_crash.path().join("tmp"))
            .expect("a folder")
            .count(),
        0
    );
    assert_eq!(
        client.complete("key", &upload, &[(1, &earlier)]).await.status,
        200
    );
    server.stop().await;
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_part_leaves_the_earlier_part() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let earlier = s3.client.part("key", &upload, 1, b"the earlier part").await;
    let target = s3.client.part_request("key", &upload, 1).target();

    let half = send_beginning(&s3, &target, 9_000_000, &vec![1; 4_000_000]).await;
    wait_for_segments(&s3, 2).await;
    drop(half);

    wait_for_segments(&s3, 1).await;
    assert_eq!(s3.client.parts("key", &upload).await.tags("ETag"), [earlier]);
}

#[tokio::test]
async fn a_large_part_with_a_bad_signature_gets_its_answer_and_the_connection_lives_on() {
    let s3 = Running::start().await;
    let target = s3
        .client
        .ask("PUT", "key")
        .by(|signer| signer.secret = "another".into())
        .target();
    let body = vec![0; 20_000_000];
    let mut stream = send_beginning(&s3, &target, body.len(), &body).await;

    let again = format!(
        "OPTIONS /uploads HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        s3.client.host()
    );
    stream
        .write_all(again.as_bytes())
        .await
        .expect("the connection is open");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.expect("both answers");

    assert!(answers.starts_with("HTTP/1.1 403"), "{answers}");
    assert!(answers.contains("HTTP/1.1 400"), "{answers}");
}

#[tokio::test]
async fn who_waits_for_permission_to_send_is_refused_before_the_body() {
    let s3 = Running::start().await;
    let target = s3
        .client
        .ask("PUT", "key")
        .by(|signer| signer.secret = "another".into())
        .target();
    let mut stream = TcpStream::connect(s3.server.address()).await.expect("it listens");
    let head = format!(
        "PUT {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
        s3.client.host()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");

    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");

    assert_eq!(answer, b"HTTP/1.1 403");
}

#[tokio::test]
async fn a_part_without_a_length_is_refused() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    let target = s3.client.part_request("key", &upload, 1).target();
    let mut stream = TcpStream::connect(s3.server.address()).await.expect("it listens");
    let request = format!(
        "PUT {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        s3.client.host()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");

    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");

    assert!(
        answer.starts_with("HTTP/1.1 411") && answer.contains("MissingContentLength"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_download_goes_on_while_its_object_is_replaced() {
    let s3 = Running::start().await;
    let old = vec![7; 30_000_000];
    s3.client.put("key", &old).await;
    let url = format!("{}{}", s3.client.endpoint, s3.client.ask("GET", "key").target());
    let download = reqwest::get(&url).await.expect("it begins");

    s3.client.put("key", b"new").await;
    let downloaded = download.bytes().await.expect("it ends");

    assert_eq!(downloaded.len(), old.len());
    assert!(downloaded == old, "the bytes are the old ones");
    assert_eq!(s3.client.get("key").await.body, b"new");
    wait_for_segments(&s3, 1).await;
}

#[tokio::test]
async fn stopping_lets_a_running_upload_finish() {
    let s3 = Running::start().await;
    let target = s3.client.ask("PUT", "key").target();
    let mut stream = send_beginning(&s3, &target, 4_000_000, &vec![1; 3_000_000]).await;
    wait_for_segments(&s3, 1).await;

    let stopping = tokio::spawn(s3.server.stop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream
        .write_all(&vec![1; 1_000_000])
        .await
        .expect("it still listens to us");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("an answer, then the end");
    stopping.await.expect("it stops");

    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let server = dev_s3::start(config(s3.folder.path()))
        .await
        .expect("the directory is free again");
    assert_eq!(client_of(&server).get("key").await.body.len(), 4_000_000);
}

#[tokio::test]
async fn uploads_past_their_age_are_dropped_at_the_start() {
    let s3 = Running::start().await;
    let upload = s3.client.begin("key").await;
    s3.client.part("key", &upload, 1, b"abandoned").await;
    s3.server.stop().await;

    let mut old = config(s3.folder.path());
    old.max_upload_age = Duration::ZERO;
    let server = dev_s3::start(old).await.expect("it starts");

    assert_eq!(
        client_of(&server).parts("key", &upload).await.outcome(),
        "404 NoSuchUpload"
    );
    assert_eq!(
        fs::read_dir(s3.folder.path().join("segments"))
            .expect("a folder")
            .count(),
        0
    );
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused_unless_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut open = config(folder.path());
    open.address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    let refused = dev_s3::start(open).await;

    assert!(matches!(refused, Err(DevS3Error::NotLoopback(_))), "{refused:?}");
}

#[tokio::test]
async fn a_directory_in_use_and_a_bad_bucket_name_are_named() {
    let s3 = Running::start().await;
    let second = dev_s3::start(config(s3.folder.path())).await;
    assert!(matches!(second, Err(DevS3Error::InUse(_))), "{second:?}");

    let folder = tempfile::tempdir().expect("a folder");
    let mut bad = config(folder.path());
    bad.bucket = "../up".to_owned();
    let named = dev_s3::start(bad).await;
    assert!(matches!(named, Err(DevS3Error::BadBucketName(_))), "{named:?}");
}

#[tokio::test]
async fn a_port_that_was_chosen_once_can_be_kept() {
    let s3 = Running::start().await;
    let port = s3.server.address().port();
    s3.client.put("key", b"x").await;
    s3.server.stop().await;

    let mut same = config(s3.folder.path());
    same.port = port;
    let server = dev_s3::start(same).await.expect("the port is free again");

    assert_eq!(server.endpoint(), format!("http://127.0.0.1:{port}"));
    assert_eq!(s3.client.get("key").await.body, b"x");
}
