//! The likely mistakes in requests: each is answered with a problem document that names the field.

use serde_json::{Value, json};

use super::api::{Api, id};
use super::{PART, on_both};

/// A good request with one member changed; `null` takes the member away.
fn with(name: &str, value: Value) -> Value {
    let mut body = json!({ "filename": "a.txt", "size": 20 });
    let members = body.as_object_mut().expect("an object");
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    body
}

#[tokio::test]
async fn a_mistake_in_a_new_upload_is_named() {
    let many: Value = (0..51)
        .map(|n| (format!("{n}"), json!("x")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mistakes = [
        ("filename", "filename", Value::Null),
        ("filename", "filename", json!("")),
        ("filename", "filename", json!(7)),
        ("filename", "filename", json!("a\nb")),
        ("filename", "filename", json!("a\u{0}b")),
        ("filename", "filename", json!("a\u{7f}b")),
        ("filename", "filename", json!("x".repeat(1025))),
        ("size", "size", Value::Null),
        ("size", "size", json!(-1)),
        ("size", "size", json!("20")),
        ("size", "size", json!(1.5)),
        ("size", "size", json!(1e30)),
        ("content_type", "content_type", json!("video")),
        ("content_type", "content_type", json!("text/html\r\nX-Evil: 1")),
        ("content_type", "content_type", json!(5)),
        ("last_modified", "last_modified", json!("yesterday")),
        ("last_modified", "last_modified", json!("0000-01-01T00:00:00Z")),
        ("last_modified", "last_modified", json!(9_999_999_999_999_999_u64)),
        ("last_modified", "last_modified", json!(true)),
        ("fingerprint", "fingerprint", json!("")),
        ("fingerprint", "fingerprint", json!("x".repeat(201))),
        ("metadata", "metadata", json!("x")),
        ("metadata", "metadata", many),
        ("metadata", "metadata.album", json!({ "album": 5 })),
        ("metadata", "metadata.album", json!({ "album": "x".repeat(1025) })),
        ("part_size", "part_size", json!(1)),
        ("part_size", "part_size", json!("16")),
        ("part_size", "part_size", json!(6_u64 << 30)),
        ("resume", "resume", json!("yes")),
        ("file_name", "file_name", json!("a")),
    ];
    on_both(async |server| {
        let api = Api::of(&server);
        for (member, field, value) in &mistakes {
            let refused = api.post("/uploads", &with(member, value.clone())).await;
            assert_eq!(refused.bad_fields(), [*field], "{member}: {value}");
        }
        let listed = api.get("/uploads").await.expect(200);
        assert_eq!(listed["uploads"], json!([]), "nothing was begun");
    })
    .await;
}

#[tokio::test]
async fn several_mistakes_are_named_at_once() {
    on_both(async |server| {
        let body = json!({
            "filename": "a\nb", "size": 1, "content_type": "x", "last_modified": "x", "fingerprint": "",
            "metadata": { "": "x" },
        });
        let fields = Api::of(&server).post("/uploads", &body).await.bad_fields();
        assert_eq!(
            fields,
            [
                "filename",
                "content_type",
                "last_modified",
                "fingerprint",
                "metadata."
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_json_is_named() {
    on_both(async |server| {
        let api = Api::of(&server).with("content-type", "application/json");
        for bad in [
            "",
            "{",
            "nonsense",
            "{\"filename\":\"a\",\"size\":1} trailing",
            "{\"filename\":\"a\",\"size\":1}{}",
            "[]",
            "7",
            "\u{feff}{}",
        ] {
            let refused = api.raw("POST", "/uploads", bad.into()).await;
            assert_eq!(refused.bad_fields(), ["body"], "{bad}");
        }
        let refused = api
            .raw("POST", "/uploads", b"{\"filename\":\"\xff\",\"size\":1}".to_vec())
            .await;
        refused.bad_fields();
        let doubled = "{\"filename\":\"a\",\"size\":1,\"size\":2}";
        assert_eq!(
            api.raw("POST", "/uploads", doubled.into()).await.bad_fields(),
            ["size"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_by_header() {
    on_both(async |server| {
        let upload = Api::of(&server).create("a", PART).await;
        let body = "{\"filename\":\"a\",\"size\":1}";
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "",
        ] {
            let api = Api::of(&server).with("content-type", kind);
            for path in [
                "/uploads".to_owned(),
                format!("/uploads/{}/signatures", id(&upload)),
            ] {
                assert_eq!(
                    api.raw("POST", &path, body.into()).await.bad_fields(),
                    ["Content-Type"],
                    "{kind}"
                );
            }
        }
        let spelt = Api::of(&server).with("content-type", "Application/JSON; charset=utf-8");
        spelt.raw("POST", "/uploads", body.into()).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_with_the_limit() {
    on_both(async |server| {
        let api = Api::of(&server).with("content-type", "application/json");
        let body = format!("{{\"filename\":\"{}\",\"size\":1}}", "x".repeat(5 << 20));

        let problem = api
            .raw("POST", "/uploads", body.into_bytes())
            .await
            .problem(413, "body-too-large");

        assert_eq!(problem["limit"], 4 << 20);
    })
    .await;
}

#[tokio::test]
async fn a_mistake_in_a_query_is_named() {
    on_both(async |server| {
        let api = Api::of(&server);
        for (query, field) in [
            ("?state=opened", "state"),
            ("?limit=0", "limit"),
            ("?limit=201", "limit"),
            ("?limit=ten", "limit"),
            ("?limit=-1", "limit"),
            ("?limit=99999999999999999999", "limit"),
            ("?cursor=x", "cursor"),
            ("?stat=open", "stat"),
            ("?state=open&state=complete", "state"),
        ] {
            assert_eq!(
                api.get(&format!("/uploads{query}")).await.bad_fields(),
                [field],
                "{query}"
            );
        }
        let all = api
            .get("/uploads?state=opened&limit=0&cursor=x")
            .await
            .bad_fields();
        assert_eq!(all, ["state", "cursor", "limit"]);
        api.get("/uploads?filename=%ff").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn texts_that_one_database_might_not_like_are_kept_as_they_are() {
    on_both(async |server| {
        let api = Api::of(&server);
        let metadata = json!({ "a\u{0}b": "c\u{0}d", "quote'\"": "\\ 🎬 \u{202e}" });
        let body = json!({
            "filename": "🎬 '\"\\;--.mov", "size": 20, "fingerprint": "a\u{0}b", "metadata": metadata,
        });

        let upload = api.post("/uploads", &body).await.expect(201);

        let shown = api.show(&upload).await;
        assert_eq!(
            (&shown["metadata"], &shown["filename"]),
            (&metadata, &body["filename"])
        );
        assert_eq!(api.post("/uploads", &body).await.expect(200)["id"], upload["id"]);
    })
    .await;
}
