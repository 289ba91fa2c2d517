//! Lists of uploads: newest first, whole over all pages, and within one owner.

use serde_json::{Value, json};

use super::api::{Api, file, id};
use super::visitors::visitor;
use super::{PART, TestServer, on_both};

async fn ids(api: &Api, query: &str) -> Vec<String> {
    let page = api.get(&format!("/uploads{query}")).await.expect(200);
    ids_of(&page)
}

fn ids_of(page: &Value) -> Vec<String> {
    let uploads = page["uploads"].as_array().expect("a list");
    uploads.iter().map(|upload| id(upload).to_owned()).collect()
}

/// Begins uploads of that many files.
async fn some(api: &Api, count: usize) -> Vec<String> {
    let mut made = Vec::new();
    for n in 0..count {
        made.push(id(&api.create(&format!("{n}.bin"), 20).await).to_owned());
    }
    made
}

#[tokio::test]
async fn the_newest_come_first_with_what_was_recorded_of_them() {
    on_both(async |server| {
        let api = Api::of(&server);
        let mut made = some(&api, 3).await;
        let path = format!("/uploads/{}/parts/1", made[1]);
        api.put(&path, &json!({ "size": PART })).await.expect(204);

        let page = api.get("/uploads").await.expect(200);

        made.reverse();
        assert_eq!(ids_of(&page), made);
        assert_eq!(page["next_cursor"], Value::Null);
        let row = &page["uploads"][1];
        for (field, value) in [
            ("state", json!("open")),
            ("transfer", json!("direct")),
            ("filename", json!("1.bin")),
            ("size", json!(20)),
            ("owner", json!("default")),
            ("part_size", json!(PART)),
            ("part_count", json!(2)),
            ("parts_recorded", json!(1)),
            ("bytes_recorded", json!(PART)),
            ("location", Value::Null),
        ] {
            assert_eq!(row[field], value, "{field}");
        }
        assert!(row.get("token").is_none());
    })
    .await;
}

#[tokio::test]
async fn pages_are_whole_and_without_doubles_although_uploads_come_in_between() {
    on_both(async |server| {
        let api = Api::of(&server);
        let mut made = some(&api, 11).await;
        made.reverse();
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api
                .get(&format!("/uploads?limit=4&cursor={cursor}"))
                .await
                .expect(200);
            assert!(ids_of(&page).len() <= 4);
            seen.extend(ids_of(&page));
            api.create(&format!("between {}", seen.len()), 1).await;
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(seen, made);
        // A last page that is exactly full says so.
        let oldest = api
            .get(&format!("/uploads?limit=4&cursor={}", made[6]))
            .await
            .expect(200);
        assert_eq!(
            (ids_of(&oldest), oldest["next_cursor"].clone()),
            (made[7..].to_vec(), Value::Null)
        );
    })
    .await;
}

#[tokio::test]
async fn the_way_back_leads_over_the_same_pages_and_then_to_what_is_newer() {
    on_both(async |server| {
        let api = Api::of(&server);
        some(&api, 11).await;
        let page = async |query: &str| {
            let path = format!("/uploads?limit=4&state=open{query}");
            api.get(&path).await.expect(200)
        };
        let first = page("").await;
        assert_eq!(first["previous_cursor"], Value::Null);
        let mut there = vec![ids_of(&first)];
        let mut last = first;
        while let Some(next) = last["next_cursor"].as_str() {
            last = page(&format!("&cursor={next}")).await;
            there.push(ids_of(&last));
        }
        let new = api.create("new.bin", 1).await;

        let mut back = vec![ids_of(&last)];
        while let Some(previous) = last["previous_cursor"].as_str() {
            last = page(&format!("&after={previous}")).await;
            back.insert(0, ids_of(&last));
        }

        there.insert(0, vec![id(&new).to_owned()]);
        assert_eq!(back, there);
        let both_ways = format!("/uploads?cursor={0}&after={0}", id(&new));
        for path in ["/uploads?after=x", both_ways.as_str()] {
            let bad = api.get(path).await.expect(400);
            assert_eq!(bad["errors"][0]["field"], "after", "{path}: {bad}");
        }
    })
    .await;
}

#[tokio::test]
async fn every_filter_narrows() {
    on_both(async |server| {
        let api = Api::of(&server);
        let open = api.create("a b&c=é.bin", 20).await;
        let done = api.upload("done.bin", 20).await;
        let aborted = api.create("aborted.bin", 20).await;
        api.delete(&format!("/uploads/{}", id(&aborted)))
            .await
            .expect(204);

        for (query, expected) in [
            ("?state=open".to_owned(), vec![&open]),
            ("?state=complete".to_owned(), vec![&done]),
            ("?state=aborted".to_owned(), vec![&aborted]),
            ("?state=failed".to_owned(), vec![]),
            ("?filename=a+b%26c%3D%C3%A9.bin".to_owned(), vec![&open]),
            ("?filename=A+b".to_owned(), vec![]),
            (format!("?key={}", done["key"].as_str().unwrap()), vec![&done]),
            (
                format!("?upload_id={}", open["upload_id"].as_str().unwrap()),
                vec![&open],
            ),
            ("?filename=done.bin&state=open".to_owned(), vec![]),
            ("?filename_prefix=a".to_owned(), vec![&aborted, &open]),
            ("?filename_prefix=a&state=open".to_owned(), vec![&open]),
            ("?protocol=native&state=complete".to_owned(), vec![&done]),
            ("?protocol=tus".to_owned(), vec![]),
            ("?size=20".to_owned(), vec![&aborted, &done, &open]),
            ("?size=21".to_owned(), vec![]),
            ("?client_ip=127.0.0.1".to_owned(), vec![&aborted, &done, &open]),
            ("?client_ip=::1".to_owned(), vec![]),
            (
                format!("?support_code={}", done["support_code"].as_str().unwrap()),
                vec![&done],
            ),
            (
                "?since=2020-01-01T00:00:00Z".to_owned(),
                vec![&aborted, &done, &open],
            ),
            ("?until=2020-01-01T00:00:00Z".to_owned(), vec![]),
            ("?owner=default".to_owned(), vec![&aborted, &done, &open]),
            ("?owner=nobody".to_owned(), vec![]),
            (
                "?state=&filename=&cursor=".to_owned(),
                vec![&aborted, &done, &open],
            ),
        ] {
            let expected: Vec<&str> = expected.into_iter().map(id).collect();
            assert_eq!(ids(&api, &query).await, expected, "{query}");
        }
        let row = &api.get("/uploads?state=complete").await.expect(200)["uploads"][0];
        assert_eq!(row["location"], done["location"]);
    })
    .await;
}

#[tokio::test]
async fn strange_texts_in_filters_find_nothing_and_break_nothing() {
    on_both(async |server| {
        let api = Api::of(&server);
        some(&api, 1).await;
        for query in [
            "?filename=%00",
            "?key=%00",
            "?upload_id=%00",
            "?owner=%00",
            "?owner=%27%3B--",
            "?filename=%25",
            "?filename=%F0%9F%8E%AC",
        ] {
            assert_eq!(ids(&api, query).await, Vec::<String>::new(), "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn everybody_sees_their_own_and_an_admin_everything() {
    on_both(async |server| {
        let admin = Api::of(&server);
        let (anna, ben) = (visitor(&server).await, visitor(&server).await);
        let (first, second) = (some(&anna, 1).await, some(&ben, 1).await);
        let third = some(&admin, 1).await;

        assert_eq!(ids(&anna, "").await, first);
        assert_eq!(ids(&ben, "").await, second);
        assert_eq!(
            ids(&admin, "").await,
            [third[0].clone(), second[0].clone(), first[0].clone()]
        );
        let owner = owner_of(&admin, &first[0]).await;
        assert_eq!(ids(&admin, &format!("?owner={owner}")).await, first);
        assert_eq!(ids(&anna, &format!("?owner={owner}")).await, first);
        ben.get(&format!("/uploads?owner={owner}"))
            .await
            .problem(403, "forbidden");
        // From where others came is for admins.
        anna.get("/uploads?client_ip=127.0.0.1")
            .await
            .problem(403, "forbidden");
        // Nobody reaches around the owner with a key or an id that they guess.
        let theirs = anna.get(&format!("/uploads/{}", first[0])).await.expect(200);
        for field in ["key", "upload_id", "filename", "support_code"] {
            let query = format!("?{field}={}", theirs[field].as_str().unwrap());
            assert!(!ids(&ben, &query).await.contains(&first[0]), "{query}");
        }
        stays_empty_for_a_token(&server, &theirs).await;
    })
    .await;
}

async fn owner_of(admin: &Api, wanted: &str) -> String {
    let page = admin.get("/uploads").await.expect(200);
    let rows = page["uploads"].as_array().expect("a list");
    let row = rows.iter().find(|row| id(row) == wanted).expect("it is listed");
    row["owner"].as_str().expect("an owner").to_owned()
}

async fn stays_empty_for_a_token(server: &TestServer, upload: &Value) {
    let bearer = Api::nobody(server).bearing(&upload["token"]);
    bearer.get("/uploads").await.problem(403, "forbidden");
    bearer
        .post("/uploads", &file("a", 1))
        .await
        .problem(403, "forbidden");
}
