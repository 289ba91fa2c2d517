//! Searches among uploads: pages, conditions, and what is recorded of each.

use chrono::TimeDelta;
use muleteer::db::{Database, UploadQuery};
use muleteer::domain::{FileName, State, Upload, UploadId};

use super::{kept, noon, on_both, open, owner, part, record, upload_at};

#[tokio::test(flavor = "multi_thread")]
async fn pages_run_from_the_newest_to_the_oldest_and_miss_none() {
    on_both(|url| async move {
        let db = open(&url).await;
        let mut expected = Vec::new();
        for minute in 0..7 {
            expected.insert(
                0,
                kept(&db, upload_at(noon() + TimeDelta::minutes(minute))).await.id,
            );
        }

        let mut seen: Vec<UploadId> = Vec::new();
        loop {
            let before = seen.last().cloned();
            let page = search(
                &db,
                UploadQuery {
                    before,
                    limit: 3,
                    ..UploadQuery::default()
                },
            )
            .await;
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }

        assert_eq!(seen, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_meets_all_of_its_conditions() {
    on_both(|url| async move {
        let db = open(&url).await;
        let named = |name: &str, minute| Upload {
            filename: FileName::new(name).unwrap(),
            ..upload_at(noon() + TimeDelta::minutes(minute))
        };
        let a = kept(&db, named("IMG_1.jpg", 1)).await;
        let b = kept(
            &db,
            Upload {
                owner: owner("ben"),
                state: State::Complete,
                ..named("IMG_2.jpg", 2)
            },
        )
        .await;
        let c = kept(&db, named("img_1.jpg", 3)).await;
        let d = kept(&db, named("IMG日本.jpg", 4)).await;
        let any = UploadQuery {
            limit: 10,
            ..UploadQuery::default()
        };
        let prefix = |text: &str| UploadQuery {
            filename_prefix: Some(text.into()),
            ..any.clone()
        };
        let (open, ben) = (Some(State::Open), Some(owner("ben")));

        let cases = [
            (any.clone(), vec![&d, &c, &b, &a]),
            (
                UploadQuery {
                    filename: Some("IMG_1.jpg".into()),
                    ..any.clone()
                },
                vec![&a],
            ),
            (
                UploadQuery {
                    filename: Some("IMG_1".into()),
                    ..any.clone()
                },
                vec![],
            ),
            (prefix("IMG"), vec![&d, &b, &a]),
            (prefix("IMG_"), vec![&b, &a]),
            (prefix("IMG日"), vec![&d]),
            (prefix("%"), vec![]),
            (prefix("\u{10ffff}"), vec![]),
            (
                UploadQuery {
                    owner: ben.clone(),
                    ..prefix("IMG")
                },
                vec![&b],
            ),
            (
                UploadQuery {
                    state: open,
                    ..prefix("IMG")
                },
                vec![&d, &a],
            ),
            (
                UploadQuery {
                    owner: ben.clone(),
                    ..any.clone()
                },
                vec![&b],
            ),
            (
                UploadQuery {
                    state: open,
                    ..any.clone()
                },
                vec![&d, &c, &a],
            ),
            (
                UploadQuery {
                    state: open,
                    owner: ben,
                    ..any.clone()
                },
                vec![],
            ),
            (
                UploadQuery {
                    key: Some(c.key.to_string()),
                    ..any.clone()
                },
                vec![&c],
            ),
            (
                UploadQuery {
                    multipart_id: d.multipart_id.clone(),
                    ..any.clone()
                },
                vec![&d],
            ),
            (
                UploadQuery {
                    before: Some(c.id.clone()),
                    ..any.clone()
                },
                vec![&b, &a],
            ),
            (UploadQuery { limit: 0, ..any }, vec![]),
        ];
        for (query, expected) in cases {
            let expected: Vec<UploadId> = expected.into_iter().map(|upload| upload.id.clone()).collect();
            assert_eq!(search(&db, query.clone()).await, expected, "{query:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_says_how_much_of_each_upload_is_recorded() {
    on_both(|url| async move {
        let db = open(&url).await;
        let began = kept(&db, upload_at(noon())).await;
        kept(&db, upload_at(noon() + TimeDelta::minutes(1))).await;
        let largest = 5 << 30;
        record(
            &db,
            &began,
            vec![part(1, largest, None), part(2, largest, None), part(3, 1, None)],
        )
        .await
        .unwrap();

        let listed = db
            .list_uploads(UploadQuery {
                limit: 5,
                ..UploadQuery::default()
            })
            .await
            .unwrap();

        let totals: Vec<_> = listed
            .iter()
            .map(|one| (one.parts_recorded, one.bytes_recorded))
            .collect();
        assert_eq!(totals, [(0, 0), (3, 2 * largest + 1)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_text_that_no_column_can_hold_finds_nothing() {
    on_both(|url| async move {
        let db = open(&url).await;
        let upload = kept(&db, upload_at(noon())).await;
        let nul = || Some("a\0b".to_owned());
        let any = UploadQuery {
            limit: 10,
            ..UploadQuery::default()
        };

        for query in [
            UploadQuery {
                filename: nul(),
                ..any.clone()
            },
            UploadQuery {
                filename_prefix: nul(),
                ..any.clone()
            },
            UploadQuery {
                key: nul(),
                ..any.clone()
            },
            UploadQuery {
                multipart_id: nul(),
                ..any
            },
        ] {
            assert!(search(&db, query).await.is_empty());
        }
        let found = db
            .find_by_multipart(None, upload.key.as_str(), "a\0b")
            .await
            .unwrap();
        assert!(found.is_none());
    })
    .await;
}

async fn search(db: &Database, query: UploadQuery) -> Vec<UploadId> {
    let found = db.list_uploads(query).await.unwrap();
    found.into_iter().map(|one| one.upload.id).collect()
}
