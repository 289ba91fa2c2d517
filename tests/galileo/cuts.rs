//! Cut off at moments that a seed decides: forty files, on every storage and both databases, and all objects are right.

use muleteer::config::Config;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::client::content;
use super::clients::{begin, check_ready};
use super::place::Place;
use super::socket::{Handshake, frame};
use super::{CELLS, on};

/// A small generator, the same on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % most.max(1)
    }
}

#[actix_web::test]
async fn uploads_that_are_cut_off_at_any_moment_arrive_whole() {
    for (seed, (database, backend)) in (20_260_725..).zip(CELLS) {
        let adjust = |config: &mut Config| config.protocols.galileo.chunk_size = 100_000;
        on(*database, *backend, adjust, async |place| {
            cut_off(&place, seed).await;
        })
        .await;
    }
}

async fn cut_off(place: &Place, seed: u64) {
    const FILES: usize = 8;
    let mut chance = Chance(seed);
    for n in 0..FILES {
        let file = content(1 + chance.below(1_200_000) as u64);
        let claim = json!({ "type": "sha256", "value": hex::encode(Sha256::digest(&file)) });
        let (mut id, mut cuts, mut acknowledged): (Option<String>, _, _) = (None, 1 + chance.below(3), 0);
        let path = 'upload: loop {
            let mut socket = Handshake::new("/galileo").open(place).await;
            let mut ready = begin(&mut socket, "cut.bin", file.len(), id.as_deref()).await;
            id = Some(ready["upload"].as_str().expect("an id").to_owned());
            loop {
                let offset = check_ready(&ready);
                assert!(offset >= acknowledged, "{n}: what was acknowledged is stored");
                acknowledged = offset;
                let is_cut = cuts > 0 && chance.below(4) == 0;
                let wire = if offset == file.len() {
                    frame(
                        0x81,
                        json!({ "finished": true, "hash": claim }).to_string().as_bytes(),
                    )
                } else {
                    frame(0x82, &file[offset..file.len().min(offset + 100_000)])
                };
                if is_cut {
                    cuts -= 1;
                    socket.raw(&wire[..chance.below(wire.len() + 1)]).await;
                    if chance.below(2) == 0 {
                        tokio::time::sleep(std::time::Duration::from_millis(chance.below(30) as u64)).await;
                    }
                    if chance.below(2) == 0 {
                        socket.reset();
                    }
                    continue 'upload;
                }
                socket.raw(&wire).await;
                let signal = socket.signal().await;
                if signal["close"] == true {
                    break 'upload signal["path"].as_str().expect("a path").to_owned();
                }
                ready = signal;
            }
        };
        assert_eq!(
            place.object(&path).await.expect("an object"),
            file,
            "{n} of seed {seed}"
        );
    }
    assert_eq!(place.finished().await.len(), FILES);
    assert!(place.is_clean().await);
}
