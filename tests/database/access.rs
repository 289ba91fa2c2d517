//! API keys and the secrets that instances share.

use chrono::TimeDelta;
use muleteer::db::ApiKeyRecord;
use uuid::Uuid;

use super::{noon, on_both, open, owner};

fn key(hash: &str) -> ApiKeyRecord {
    ApiKeyRecord {
        id: Uuid::new_v4().simple().to_string(),
        owner: owner("anna"),
        scopes: "upload,admin".into(),
        hash: hash.into(),
        hint: "mk_ab12".into(),
        created_at: noon(),
        revoked_at: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_found_by_its_hash_until_it_is_revoked_and_stays_listed() {
    on_both(|url| async move {
        let db = open(&url).await;
        let (mine, other) = (key("h1"), key("h2"));
        db.insert_key(mine.clone()).await.unwrap();
        db.insert_key(other.clone()).await.unwrap();

        assert_eq!(db.find_key("h1").await.unwrap(), Some(mine.clone()));
        assert!(db.revoke_key(&mine.id, noon()).await.unwrap());

        assert_eq!(db.find_key("h1").await.unwrap(), None);
        assert_eq!(db.find_key("h2").await.unwrap(), Some(other));
        let listed = db.list_keys().await.unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(
            listed.iter().filter(|key| key.revoked_at == Some(noon())).count(),
            1
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_twice_or_what_is_unknown_changes_nothing() {
    on_both(|url| async move {
        let db = open(&url).await;
        let mine = key("h1");
        db.insert_key(mine.clone()).await.unwrap();
        db.revoke_key(&mine.id, noon()).await.unwrap();

        assert!(
            !db.revoke_key(&mine.id, noon() + TimeDelta::hours(1))
                .await
                .unwrap()
        );
        assert!(!db.revoke_key("unknown", noon()).await.unwrap());

        assert_eq!(db.list_keys().await.unwrap()[0].revoked_at, Some(noon()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_never_share_a_hash() {
    on_both(|url| async move {
        let db = open(&url).await;
        db.insert_key(key("same")).await.unwrap();

        assert!(db.insert_key(key("same")).await.is_err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_at_once_agree_on_one_secret() {
    on_both(|url| async move {
        let instances = [open(&url).await, open(&url).await];
        let asking: Vec<_> = (0..16)
            .map(|n| {
                let db = instances[n % 2].clone();
                tokio::spawn(async move { db.shared_secret("token", format!("candidate {n}")).await })
            })
            .collect();

        let mut answers = Vec::new();
        for asked in asking {
            answers.push(asked.await.unwrap().unwrap());
        }

        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        let other = instances[0].shared_secret("cookie", "own".into()).await.unwrap();
        assert_eq!(other, "own");
    })
    .await;
}
