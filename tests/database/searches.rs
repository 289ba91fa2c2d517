//! Searches among uploads: pages, conditions, and what is recorded of each.

use chrono::TimeDelta;
use muleteer::db::{Database, UploadPage, UploadQuery};
use muleteer::domain::{FileName, Owner, State, Upload, UploadId};

use super::{asking, kept, noon, on_both, open, owner, part, record, upload_at};

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
            let page = search(&db, asking(|q| (q.before, q.limit) = (before, 3))).await;
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
async fn the_way_back_leads_over_the_same_pages_to_the_first() {
    on_both(|url| async move {
        let db = open(&url).await;
        for n in 0..11 {
            // Several begin at the same moment.
            let upload = upload_at(noon() + TimeDelta::minutes(n / 4));
            let state = if n % 3 == 1 { State::Complete } else { State::Open };
            let filename = FileName::new(&format!("IMG_{n}.jpg")).unwrap();
            let upload = Upload {
                filename,
                state,
                ..upload
            };
            kept(&db, upload).await;
        }
        let (anna, prefix) = (owner("anna"), Some("IMG".to_owned()));
        for query in [
            asking(|_| {}),
            asking(|q| q.owner = Some(anna.clone())),
            asking(|q| q.state = Some(State::Open)),
            asking(|q| (q.owner, q.until) = (Some(anna.clone()), Some(noon() + TimeDelta::hours(1)))),
            // What no index holds together is walked through.
            asking(|q| (q.owner, q.protocol) = (Some(anna.clone()), Some("native".into()))),
            asking(|q| (q.owner, q.filename_prefix) = (Some(anna.clone()), prefix.clone())),
            asking(|q| (q.size, q.state) = (Some(upload_at(noon()).size), Some(State::Open))),
            asking(|q| q.filename_prefix = prefix.clone()),
            asking(|q| q.sizes = Some(0..=u64::MAX)),
            asking(|q| (q.sizes, q.state) = (Some(0..=u64::MAX), Some(State::Open))),
        ] {
            let query = UploadQuery { limit: 3, ..query };
            assert_leads_back(&db, &query).await;
        }
    })
    .await;
}

/// Goes through all pages to the oldest upload, and back.
async fn assert_leads_back(db: &Database, query: &UploadQuery) {
    let mut page = page_from(db, query, None, None).await;
    assert_eq!(page.previous, None, "the first page of {query:?}");
    let mut there = vec![ids_of(&page)];
    while let Some(next) = page.next.take() {
        page = page_from(db, query, Some(next), None).await;
        assert!(page.previous.is_some(), "{query:?} after {there:?}");
        there.push(ids_of(&page));
    }
    assert!(there.len() > 2, "{query:?}: {there:?}");

    let mut back = vec![ids_of(&page)];
    while let Some(previous) = page.previous.take() {
        page = page_from(db, query, None, Some(previous)).await;
        let on = page_from(db, query, page.next.clone(), None).await;
        assert_eq!(ids_of(&on), back[0], "{query:?}: on again");
        back.insert(0, ids_of(&page));
    }
    assert_eq!(back, there, "{query:?}");
}

async fn page_from(
    db: &Database,
    query: &UploadQuery,
    before: Option<UploadId>,
    after: Option<UploadId>,
) -> UploadPage {
    let query = UploadQuery {
        before,
        after,
        ..query.clone()
    };
    db.list_uploads(query).await.unwrap()
}

fn ids_of(page: &UploadPage) -> Vec<UploadId> {
    page.uploads.iter().map(|one| one.upload.id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found_exactly_or_by_how_they_begin_with_case_and_accents() {
    on_both(|url| async move {
        let db = open(&url).await;
        let [a, b, c, d] = four(&db).await;
        let named = |name: &str| asking(|q| q.filename = Some(name.into()));
        let prefix = |text: &str| asking(|q| q.filename_prefix = Some(text.into()));

        for (query, expected) in [
            (named("IMG_1.jpg"), vec![&a]),
            (named("IMG_1"), vec![]),
            (prefix("IMG"), vec![&d, &b, &a]),
            (prefix("IMG_"), vec![&b, &a]),
            (prefix("IMG日"), vec![&d]),
            (prefix("img"), vec![&c]),
            (prefix("%"), vec![]),
            (prefix("\u{10ffff}"), vec![]),
        ] {
            assert_finds(&db, query, &expected).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_meets_all_of_its_conditions() {
    on_both(|url| async move {
        let db = open(&url).await;
        let [a, b, c, d] = four(&db).await;
        let (open, ben, prefix) = (Some(State::Open), Some(owner("ben")), Some("IMG".to_owned()));

        for (query, expected) in [
            (asking(|_| {}), vec![&d, &c, &b, &a]),
            (asking(|q| q.owner = ben.clone()), vec![&b]),
            (asking(|q| q.state = open), vec![&d, &c, &a]),
            (asking(|q| (q.owner, q.state) = (ben.clone(), open)), vec![]),
            (asking(|q| q.key = Some(c.key.to_string())), vec![&c]),
            (asking(|q| q.multipart_id = d.multipart_id.clone()), vec![&d]),
            (
                asking(|q| (q.filename_prefix, q.owner) = (prefix.clone(), ben.clone())),
                vec![&b],
            ),
            (
                asking(|q| (q.filename_prefix, q.state) = (prefix.clone(), open)),
                vec![&d, &a],
            ),
            (asking(|q| q.before = Some(c.id.clone())), vec![&b, &a]),
            (asking(|q| q.limit = 0), vec![]),
        ] {
            assert_finds(&db, query, &expected).await;
        }
    })
    .await;
}

/// Four uploads, the oldest first; the second one is ben's and complete, the others are anna's and open.
async fn four(db: &Database) -> [Upload; 4] {
    let named = |name: &str, minute| Upload {
        filename: FileName::new(name).unwrap(),
        ..upload_at(noon() + TimeDelta::minutes(minute))
    };
    let of_ben = Upload {
        owner: owner("ben"),
        state: State::Complete,
        ..named("IMG_2.jpg", 2)
    };
    [
        kept(db, named("IMG_1.jpg", 1)).await,
        kept(db, of_ben).await,
        kept(db, named("img_1.jpg", 3)).await,
        kept(db, named("IMG日本.jpg", 4)).await,
    ]
}

async fn assert_finds(db: &Database, query: UploadQuery, expected: &[&Upload]) {
    let expected: Vec<UploadId> = expected.iter().map(|upload| upload.id.clone()).collect();
    assert_eq!(search(db, query.clone()).await, expected, "{query:?}");
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

        let listed = db.list_uploads(asking(|_| {})).await.unwrap().uploads;

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

        for query in [
            asking(|q| q.filename = nul()),
            asking(|q| q.filename_prefix = nul()),
            asking(|q| q.key = nul()),
            asking(|q| q.multipart_id = nul()),
            asking(|q| q.owner = nul().map(Owner::recorded)),
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
    let found = db.list_uploads(query).await.unwrap().uploads;
    found.into_iter().map(|one| one.upload.id).collect()
}
