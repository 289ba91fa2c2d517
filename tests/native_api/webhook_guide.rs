//! The receiver that `docs/webhooks.md` prints, run as it stands there: it knows nothing of our code.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::api::Api;
use super::on_both_with;
use super::webhook_receiver::nobody;
use super::webhooks::telling;

/// The receiver, stopped when dropped.
struct Guide(Child);

impl Drop for Guide {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_receiver_of_the_guide_takes_what_we_send_and_nobody_elses_words() {
    on_both_with(telling, async |server| {
        let guide = include_str!("../../docs/webhooks.md");
        let block = guide
            .split("```python\n")
            .nth(1)
            .expect("the guide has a receiver");
        let address = nobody().await;
        let code = block.split("\n```").next().expect("a block ends");
        let code = code.replace("9000", &address.port().to_string());
        assert!(code.contains(&address.port().to_string()));
        let mut process = Command::new("python3")
            .args(["-u", "-c", &code])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 is needed for this test");
        let output = process.stdout.take().expect("its output");
        let _process = Guide(process);
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let url = format!("http://{address}/");
        let stranger = reqwest::Client::builder().no_proxy().build().expect("a client");
        let forged = stranger
            .post(&url)
            .header("webhook-id", "msg_forged")
            .header("webhook-timestamp", server.clock.now().timestamp())
            .header("webhook-signature", "v1,Zm9yZ2Vk")
            .body("{}");
        assert_eq!(forged.send().await.expect("an answer").status(), 401);
        let api = Api::of(&server);

        let upload = api.upload_telling("clip.mp4", 0, &url).await;

        let event = api.event_once(|event| event["state"] == "delivered").await;
        assert_eq!(event["last_status"], 204);
        let line = tokio::task::spawn_blocking(move || BufReader::new(output).lines().next());
        let line = line.await.expect("it was read").expect("a line").expect("text");
        let key = upload["key"].as_str().expect("a key");
        assert!(
            line.starts_with("clip.mp4 is at s3://") && line.ends_with(key),
            "{line}"
        );
    })
    .await;
}
