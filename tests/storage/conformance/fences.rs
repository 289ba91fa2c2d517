//! Several that append to one upload: only the last has a say, and what is safe is told on the way.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use muleteer::error::Error;
use muleteer::storage::{Body, BodyError, Expectation};
use tokio::sync::oneshot;

use crate::Place;
use crate::files::{MIB, begin, body, bytes_of, fenced, finish_appended, open_body, pieces, upload_of};

/// A body that brings `head`, waits until it is released, and goes on with `rest`.
fn stalling(head: &Bytes, rest: &Bytes, expected: Expectation) -> (Body, oneshot::Sender<()>) {
    let (release, released) = oneshot::channel::<()>();
    let waiting = stream::once(async move {
        let _ = released.await;
        Ok::<_, BodyError>(Bytes::new())
    });
    let all = pieces(head).chain(waiting).chain(pieces(rest));
    (Body::new(all, expected), release)
}

pub async fn what_comes_late_under_a_lower_fence_changes_nothing(place: &dyn Place) {
    let (old_store, store) = (place.open().await, place.open().await);
    let least = place.least_part();
    let (file, other) = (bytes_of(3 * least + 77, 51), bytes_of(3 * least + 77, 52));
    let half = usize::try_from(least).unwrap() + 1234;
    for is_whole in [false, true] {
        let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
        let first = fenced(&upload, 1);
        let offset = store
            .append(&first, 0, open_body(&file.slice(..10)))
            .await
            .unwrap();
        let expected = if is_whole {
            Expectation::exactly(other.len() as u64 - 10, None)
        } else {
            Expectation::at_most(other.len() as u64 - 10)
        };
        let (stalled, release) = stalling(&other.slice(10..1000), &other.slice(1000..), expected);
        let old = fenced(&upload, 2);
        let mut late = old_store.append(&old, offset, stalled);
        assert!(
            tokio::time::timeout(Duration::from_millis(50), &mut late)
                .await
                .is_err(),
            "it waits"
        );

        let new = fenced(&upload, 3);
        let at = store.offset(&new).await.unwrap();
        assert_eq!(at, 10);
        let end = store
            .append(&new, at, open_body(&file.slice(10..half)))
            .await
            .unwrap();
        assert_eq!(end, half as u64);
        release.send(()).unwrap();
        let late = late.await;

        // Where the storage itself cannot tell, the caller does, who gave the fence.
        assert!(late.is_err() || !is_whole, "{late:?}");
        assert_eq!(store.offset(&new).await.unwrap(), end, "{late:?}");
        let again = old_store.append(&old, end, body(&other.slice(half..))).await;
        assert!(matches!(again, Err(Error::Superseded)), "{again:?}");
        let last = fenced(&upload, 4);
        assert_eq!(old_store.offset(&last).await.unwrap(), end);
        old_store
            .append(&last, end, open_body(&file.slice(half..)))
            .await
            .unwrap();
        finish_appended(&*store, &last, &file).await;
    }
}

pub async fn each_append_has_a_higher_fence(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(2 * place.least_part() + 5000, 53);
    let upload = begin(&*store, upload_of(file.len() as u64, MIB)).await;
    let mut rest = file.clone();

    for (fence, size) in (1..).zip([5, 3 * MIB, 70_000, 1, 0, 64 * MIB]) {
        let offset = (file.len() - rest.len()) as u64;
        let next = rest.split_to(rest.len().min(usize::try_from(size).unwrap()));
        let upload = fenced(&upload, fence);
        let body = if fence % 2 == 0 {
            body(&next)
        } else {
            open_body(&next)
        };
        let after = store.append(&upload, offset, body).await.unwrap();
        assert_eq!(after, offset + next.len() as u64);
    }

    finish_appended(&*store, &fenced(&upload, 6), &file).await;
}

pub async fn what_is_safe_is_told_on_the_way(place: &dyn Place) {
    let store = place.open().await;
    let file = bytes_of(3 * MIB, 54);
    let upload = fenced(&begin(&*store, upload_of(file.len() as u64, MIB)).await, 1);
    let half = usize::try_from(MIB + MIB / 2).unwrap();
    let expected = Expectation::at_most(file.len() as u64);
    let (stalled, release) = stalling(&file.slice(..half), &file.slice(half..), expected);
    let mut kept = stalled.receipt().kept();
    let mut told = Vec::new();
    let mut release = Some(release);

    let mut appending = store.append(&upload, 0, stalled);
    let end = loop {
        tokio::select! {
            end = &mut appending => break end.unwrap(),
            changed = kept.changed() => {
                changed.unwrap();
                let offset = *kept.borrow_and_update();
                // All but what the body holds back, which may be its last piece.
                if offset > MIB && let Some(release) = release.take() {
                    assert!(place.open().await.offset(&upload).await.unwrap() >= offset);
                    release.send(()).unwrap();
                }
                told.push(offset);
            }
        }
    };

    told.push(*kept.borrow());
    assert_eq!((end, told.last()), (3 * MIB, Some(&end)));
    assert!(told.is_sorted(), "{told:?}");
    assert!(release.is_none(), "{told:?}");
    finish_appended(&*store, &upload, &file).await;
}
