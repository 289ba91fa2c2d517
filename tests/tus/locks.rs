//! Locks: one request at a time sends to an upload, and never keeps the next one waiting.

use std::time::{Duration, Instant};

use super::client::{Client, content};
use super::place::Place;
use super::raw_http::Answer;
use super::{MIB, everywhere, here};

/// "Within a second", on machines that are busy with other things.
pub const A_SECOND: Duration = Duration::from_secs(5);

#[tokio::test]
async fn lock_01_and_lock_02_who_comes_back_finds_the_way_free() {
    everywhere(async |place| {
        let client = place.client();
        comes_back(&client, &client, &place).await;
    })
    .await;
}

/// A PATCH stalls; its client comes back, perhaps elsewhere, looks, and goes on from there.
pub async fn comes_back(before: &Client, after: &Client, place: &Place) {
    let file = content(2 * MIB);
    let upload = before.create(file.len()).await;
    let mut stalled = before.begin_patch(&upload, 0, file.len(), &file[..300_000]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;

    let began = Instant::now();
    let offset = after.offset(&upload).await;

    assert!(began.elapsed() < A_SECOND, "{:?}", began.elapsed());
    assert_eq!(offset, 300_000);
    // The old connection goes on as if nothing had happened, with other bytes.
    let garbage = vec![b'!'; file.len() - 300_000];
    let goes_on = async {
        stalled.send_while_taken(&garbage).await;
        stalled.answer_or_end().await
    };
    let taken_over = async {
        let began = Instant::now();
        after.send(&upload, 300_000, &file[300_000..]).await;
        began.elapsed()
    };
    let (answer, took) = tokio::join!(goes_on, taken_over);
    assert!(took < A_SECOND, "{took:?}");
    if let Some(answer) = answer {
        assert!(matches!(answer.status, 409 | 423), "{answer:?}");
    }
    assert!(place.object(&upload).await == Some(file));
}

#[tokio::test]
async fn lock_02_a_patch_takes_over_without_a_look_before() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(MIB));
        let upload = client.create(file.len()).await;
        let mut stalled = client.begin_patch(&upload, 0, file.len(), &file[..1]).await;
        tokio::time::sleep(Duration::from_millis(300)).await;

        let began = Instant::now();
        client.patch(&upload, 0, &file).await.expect(409);
        client.send(&upload, 1, &file[1..]).await;

        assert!(began.elapsed() < A_SECOND, "{:?}", began.elapsed());
        if let Some(answer) = stalled.answer_or_end().await {
            assert!(matches!(answer.status, 409 | 423), "{answer:?}");
        }
        assert!(place.object(&upload).await == Some(file));
    })
    .await;
}

#[tokio::test]
async fn lock_03_of_two_at_once_one_is_heard() {
    everywhere(async |place| {
        let client = place.client();
        let mut heard = 0;
        for _ in 0..3 {
            heard += at_once(&client, &client, &place).await;
        }
        assert!(heard > 0, "somebody is heard at least once");
    })
    .await;
}

/// Two clients send different bytes for the same place; gives how many of them are there.
pub async fn at_once(one: &Client, other: &Client, place: &Place) -> usize {
    const SIZE: usize = 2 * MIB;
    let upload = one.create(SIZE).await;
    let send = async |client: &Client, byte: u8| -> Option<Answer> {
        let mut sending = client.begin_patch(&upload, 0, SIZE, b"").await;
        sending.send_while_taken(&vec![byte; SIZE]).await;
        sending.answer_or_end().await
    };

    let answers = tokio::join!(send(one, b'a'), send(other, b'b'));

    let mut taken = 0;
    for answer in [answers.0, answers.1].into_iter().flatten() {
        taken += usize::from(answer.status == 204);
        assert!(matches!(answer.status, 204 | 409 | 423), "{answer:?}");
    }
    assert!(taken <= 1);
    let offset = other.offset(&upload).await;
    assert!(taken == 0 || offset == SIZE, "what was acknowledged is there");
    if offset < SIZE {
        other.send(&upload, offset, &vec![b'c'; SIZE - offset]).await;
    }
    let object = place.object(&upload).await.expect("it is whole");
    assert_eq!(object.len(), SIZE);
    assert!(
        object[..offset].windows(2).all(|two| two[0] == two[1]),
        "bytes of two do not mix"
    );
    offset
}

#[tokio::test]
async fn lock_04_an_upload_under_way_does_not_slow_any_other() {
    here(async |place| {
        let client = place.client();
        let mut waiting = Vec::new();
        for _ in 0..50 {
            let upload = client.create(100).await;
            waiting.push(client.begin_patch(&upload, 0, 100, b"a").await);
        }

        let began = Instant::now();
        let upload = client.create(MIB).await;
        client.send(&upload, 0, &content(MIB)).await;
        client.look(&upload).await.expect(200);

        assert!(began.elapsed() < A_SECOND, "{:?}", began.elapsed());
    })
    .await;
}
