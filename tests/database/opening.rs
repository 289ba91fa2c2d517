//! Opening: URLs, migrations, several instances at once, and what is there after a restart.

use std::time::{Duration, Instant};

use muleteer::db::Database;
use muleteer::error::Error;

use super::{kept, noon, on_both, open, upload_at};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_opened_again_still_has_its_uploads() {
    on_both(|url| async move {
        let first = open(&url).await;
        let upload = kept(&first, upload_at(noon())).await;
        first.close().await.unwrap();

        let second = open(&url).await;

        assert!(second.find_upload(&upload.id, None).await.unwrap().is_some());
        second.ping().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_instances_may_open_a_new_database_at_once() {
    on_both(|url| async move {
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { Database::open(&url, 2).await })
            })
            .collect();

        for opened in opening {
            let db = opened.await.unwrap().expect("every instance opens");
            kept(&db, upload_at(noon())).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_url_of_no_database_we_know_is_refused_by_the_name_of_its_setting() {
    for url in ["mysql://u:hush@h/d", "data.db", "host=localhost password=hush"] {
        let Err(Error::Invalid(fields)) = Database::open(url, 4).await else {
            panic!("{url} was taken");
        };
        assert_eq!(fields[0].field, "database.url");
        assert!(!fields[0].detail.contains("hush"), "{fields:?}");
    }
}

#[tokio::test]
async fn a_postgres_that_is_not_there_is_reported_at_once_with_its_reason() {
    let begun = Instant::now();

    let refused = Database::open("postgres://u:hush@127.0.0.1:1/d", 4).await;

    let Err(Error::Unavailable { cause, .. }) = refused else {
        panic!("opened");
    };
    assert!(cause.to_string().contains("refused"), "{cause}");
    assert!(!cause.to_string().contains("hush"), "{cause}");
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_sqlite_file_in_a_folder_that_cannot_be_made_is_reported_with_its_path() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let url = format!("sqlite://{}/below/a.db", file.path().display());

    let Err(Error::Internal(cause)) = Database::open(&url, 4).await else {
        panic!("opened");
    };

    assert!(cause.to_string().contains("below"), "{cause}");
}
