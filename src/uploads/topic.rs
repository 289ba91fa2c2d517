//! Topic: the upload that the request which a task serves is about, so that what it is refused with can be noted there.
//!
//! Separate from the notes, because it is known where an upload is looked up for its owner, whatever the client calls it by,
//! and what is noted is known where the answer is: far from each other, and neither has to know the other. Nothing is asked
//! of the database for it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{Upload, UploadId};

tokio::task_local! {
    /// What the request of this task is about.
    static TOPIC: Topic;
}

/// What one request is about; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Topic(Arc<Mutex<Option<UploadId>>>);

impl Topic {
    /// Serves a request, and learns which upload its caller meant.
    pub fn learn<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        TOPIC.scope(self.clone(), work)
    }

    /// The upload that was looked up last; `None` where none was found that its caller may reach.
    pub fn upload(&self) -> Option<UploadId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The request that this task serves is about this upload, which its caller may reach. Outside of any request nothing is
/// noted.
pub(super) fn is_about(upload: &Upload) {
    let _ = TOPIC.try_with(|Topic(known)| {
        *known.lock().unwrap_or_else(PoisonError::into_inner) = Some(upload.id.clone());
    });
}

/// Work that goes on in a task of its own, for the same request.
pub(super) fn carry<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let topic = TOPIC.try_with(Clone::clone).unwrap_or_default();
    TOPIC.scope(topic, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> UploadId {
        UploadId::generate("2026-03-01T12:00:00Z".parse().unwrap())
    }

    #[tokio::test]
    async fn what_a_task_of_its_own_finds_is_known_to_the_request() {
        let (topic, id) = (Topic::default(), id());
        let found = id.clone();

        let work = async {
            let work = carry(async move {
                TOPIC.with(|Topic(known)| *known.lock().unwrap() = Some(found));
            });
            tokio::spawn(work).await.unwrap();
        };
        topic.learn(work).await;

        assert_eq!(topic.upload(), Some(id));
    }
}
