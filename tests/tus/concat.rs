//! Concatenation: several uploads become one.

use muleteer::domain::State;

use super::client::{BYTES, Client, VERSION, content, location, metadata};
use super::place::Place;
use super::raw_http::Answer;
use super::server::API_KEY;
use super::{MIB, everywhere, here, here_with};

/// A whole piece of an object to come.
async fn piece(client: &Client, bytes: &[u8]) -> String {
    let length = bytes.len().to_string();
    let upload = client
        .create_with(&[("Upload-Concat", "partial"), ("Upload-Length", &length)])
        .await;
    if !bytes.is_empty() {
        client.send(&upload, 0, bytes).await;
    }
    upload
}

/// Asks for an upload of these.
async fn join(client: &Client, addresses: &[String]) -> Answer {
    let list = format!("final;{}", addresses.join(" "));
    client.post(&[("Upload-Concat", &list)]).await
}

/// An upload of these, which must be made and hold exactly these bytes.
async fn joined(place: &Place, client: &Client, addresses: &[String], expected: &[u8]) -> String {
    let made = join(client, addresses).await.expect(201);
    let upload = location(&made);
    let looked = client.look(&upload).await.expect(200);
    assert_eq!(looked.number("Upload-Offset"), expected.len() as u64);
    assert_eq!(looked.number("Upload-Length"), expected.len() as u64);
    assert_eq!(looked.field("Upload-Expires"), None, "it does not expire");
    let object = place.object(&upload).await;
    assert!(object.as_deref() == Some(expected), "its bytes are theirs");
    upload
}

#[tokio::test]
async fn cat_01_a_piece_is_told_as_one_and_is_no_object_of_its_own() {
    everywhere(async |place| {
        let client = place.client();

        let upload = piece(&client, &content(10)).await;

        let looked = client.look(&upload).await.expect(200);
        assert_eq!(looked.header("Upload-Concat"), "partial");
        assert_eq!(looked.number("Upload-Offset"), 10);
        assert_eq!(looked.number("Upload-Length"), 10);
        assert!(
            looked.field("Upload-Expires").is_some(),
            "it goes when nobody joins it"
        );
        assert_eq!(place.finished().await, Vec::<String>::new());
        let deferred = client
            .create_with(&[("Upload-Concat", "partial"), ("Upload-Defer-Length", "1")])
            .await;
        client
            .patch_with(&deferred, 0, &[("Upload-Length", "5")], b"hello")
            .await
            .expect(204);
        joined(&place, &client, &[deferred], b"hello").await;
        let with_bytes = [BYTES, ("Upload-Concat", "partial"), ("Upload-Length", "5")];
        let made = client
            .ask("POST", "/files", &with_bytes, b"hello")
            .await
            .expect(201);
        joined(&place, &client, &[location(&made)], b"hello").await;
    })
    .await;
}

#[tokio::test]
async fn cat_02_to_cat_05_pieces_are_joined_in_the_order_of_the_list_however_it_names_them() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(3000));
        let mut pieces = Vec::new();
        for bytes in file.chunks(1000) {
            pieces.push(piece(&client, bytes).await);
        }
        let [a, b, c] = &pieces[..] else { panic!() };
        let at_upload = |path: &str| path.replace("/files/", "/upload/");
        let whole = |path: &str| format!("{}{path}", place.base);
        for (list, order) in [
            (vec![whole(a), whole(b), whole(c)], [0, 1, 2]),
            (vec![a.clone(), b.clone(), c.clone()], [0, 1, 2]),
            (vec![c.clone(), whole(a), b.clone()], [2, 0, 1]),
            (vec![at_upload(b), whole(&at_upload(a)), c.clone()], [1, 0, 2]),
        ] {
            let expected: Vec<u8> = order
                .into_iter()
                .flat_map(|n| &file[n * 1000..(n + 1) * 1000])
                .copied()
                .collect();

            let upload = joined(&place, &client, &list, &expected).await;

            let told = client.look(&upload).await.header("Upload-Concat");
            assert_eq!(
                told,
                format!("final;{}", list.join(" ")),
                "exactly as it was sent"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn cat_06_an_upload_of_others_takes_no_bytes_of_its_own() {
    everywhere(async |place| {
        let client = place.client();
        let part = piece(&client, b"hello").await;
        let upload = joined(&place, &client, &[part], b"hello").await;

        for offset in [0, 5] {
            client.patch(&upload, offset, b"x").await.expect(403);
            client.patch(&upload, offset, b"").await.expect(403);
        }

        assert_eq!(place.object(&upload).await.as_deref(), Some(&b"hello"[..]));
    })
    .await;
}

#[tokio::test]
async fn cat_07_a_piece_that_is_not_whole_is_not_joined() {
    everywhere(async |place| {
        let client = place.client();
        let (whole, open) = (piece(&client, b"hello").await, "Upload-Concat");
        let half = client
            .create_with(&[(open, "partial"), ("Upload-Length", "5")])
            .await;
        client.send(&half, 0, b"he").await;
        let unknown = client
            .create_with(&[(open, "partial"), ("Upload-Defer-Length", "1")])
            .await;
        client.send(&unknown, 0, b"hello").await;
        let usual = client.create(5).await;
        client.send(&usual, 0, b"hello").await;
        let done = joined(&place, &client, std::slice::from_ref(&whole), b"hello").await;
        let before = place.finished().await;
        for other in [&half, &unknown, &usual, &done] {
            let refused = join(&client, &[whole.clone(), other.clone()]).await.expect(400);

            assert_eq!(refused.field("Location"), None);
        }

        client.send(&half, 2, b"llo").await;
        assert_eq!(place.finished().await.len(), before.len());
        joined(&place, &client, &[half, whole], b"hellohello").await;
    })
    .await;
}

#[tokio::test]
async fn cat_08_and_cat_09_a_piece_may_serve_twice_in_one_upload_and_in_several() {
    everywhere(async |place| {
        let client = place.client();
        let (a, b) = (piece(&client, b"aaa").await, piece(&client, b"bb").await);

        joined(&place, &client, &[a.clone(), b.clone(), a.clone()], b"aaabbaaa").await;
        joined(&place, &client, &[b.clone(), a.clone()], b"bbaaa").await;

        client.delete(&a).await.expect(204);
        let refused = join(&client, &[a, b.clone()]).await;
        assert!((400..500).contains(&refused.status), "{refused:?}");
        joined(&place, &client, &[b], b"bb").await;
        assert_eq!(place.finished().await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn cat_10_an_upload_of_others_has_metadata_of_its_own() {
    everywhere(async |place| {
        let client = place.client();
        let of_the_part = metadata(&[("filename", b"part.bin"), ("secret", b"x")]);
        let part = client
            .create_with(&[
                ("Upload-Concat", "partial"),
                ("Upload-Length", "5"),
                ("Upload-Metadata", &of_the_part),
            ])
            .await;
        client.send(&part, 0, b"hello").await;
        let list = format!("final;{part}");
        let own = metadata(&[("filename", b"whole.txt"), ("filetype", b"text/plain")]);

        let named = client
            .create_with(&[("Upload-Concat", &list), ("Upload-Metadata", &own)])
            .await;
        let unnamed = client.create_with(&[("Upload-Concat", &list)]).await;

        assert_eq!(client.look(&named).await.header("Upload-Metadata"), own);
        assert_eq!(client.look(&unnamed).await.field("Upload-Metadata"), None);
        let mut names: Vec<String> = place
            .finished()
            .await
            .iter()
            .filter_map(|key| Some(key.rsplit('/').next()?.to_owned()))
            .collect();
        names.sort();
        assert_eq!(names, ["file", "whole.txt"]);
    })
    .await;
}

#[tokio::test]
async fn cat_11_and_cat_13_what_is_no_piece_of_the_same_owner_is_refused() {
    here(async |place| {
        let client = place.client();
        let part = piece(&client, b"hello").await;
        let id = part.rsplit('/').next().expect("an id");
        // Nobody asks for it.
        let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = elsewhere.local_addr().expect("its address");
        for other in [
            "/files/0199f0a1b2c37d4e8f90a1b2c3d4e5f6".to_owned(),
            format!("http://{address}/elsewhere/{id}"),
            format!("http://{address}/?x=/files/{id}"),
            format!("file:///files/{id}"),
            format!("/files/{id}/more"),
            format!("files/{id}"),
            id.to_owned(),
        ] {
            let refused = join(&client, &[part.clone(), other]).await.expect(400);
            assert_eq!(refused.field("Location"), None);
        }
        let stranger = client.with("X-API-Key", &place.new_key("anna", "upload").await);
        join(&stranger, std::slice::from_ref(&part)).await.expect(400);
        assert_eq!(place.finished().await, Vec::<String>::new());

        // Whatever host the address names, it is our path that counts.
        joined(&place, &client, &[format!("http://{address}{part}")], b"hello").await;

        let asked = tokio::time::timeout(std::time::Duration::from_millis(200), elsewhere.accept());
        assert!(asked.await.is_err(), "no address is ever fetched");
    })
    .await;
}

#[tokio::test]
async fn cat_12_what_is_no_list_is_refused_and_so_is_what_does_not_belong_there() {
    here(async |place| {
        let client = place.client();
        let part = piece(&client, b"hello").await;
        let list = format!("final;{part}");
        for text in [
            "final;",
            "final",
            "final; ",
            "banana",
            "",
            "PARTIAL",
            &format!("final; {part}"),
        ] {
            client.post(&[("Upload-Concat", text)]).await.expect(400);
            client
                .post(&[("Upload-Concat", text), ("Upload-Length", "5")])
                .await
                .expect(400);
        }
        for (name, value) in [("Upload-Length", "5"), ("Upload-Defer-Length", "1")] {
            client
                .post(&[("Upload-Concat", &list), (name, value)])
                .await
                .expect(400);
        }
        let twice = [("Upload-Concat", list.as_str()), ("Upload-Concat", &list)];
        client.post(&twice).await.expect(400);
        client
            .ask("POST", "/files", &[("Upload-Concat", &list), BYTES], b"x")
            .await
            .expect(403);
        let fields = [
            VERSION,
            BYTES,
            ("Upload-Concat", &list),
            ("Transfer-Encoding", "chunked"),
        ];
        let mut connection = client.connect().await;
        connection.send(client.head_of("POST", "/files", &fields)).await;
        connection.answer().await.expect(403);
        let many = vec![part; 1001];
        join(&client, &many).await.expect(400);
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn cat_14_empty_pieces_join_as_nothing() {
    everywhere(async |place| {
        let client = place.client();
        let (empty, part) = (piece(&client, b"").await, piece(&client, b"hello").await);

        joined(&place, &client, &[empty.clone(), part, empty.clone()], b"hello").await;
        joined(&place, &client, &[empty.clone(), empty], b"").await;
    })
    .await;
}

#[tokio::test]
async fn cat_15_large_and_small_pieces_join_in_any_order() {
    everywhere(async |place| {
        let (client, file) = (place.client(), content(25 * MIB));
        let mut pieces = Vec::new();
        let mut from = 0;
        for size in [1, 6 * MIB, 5 * MIB, 3, 5 * MIB + 1, 100_000, 7 * MIB - 7] {
            pieces.push((piece(&client, &file[from..from + size]).await, from..from + size));
            from += size;
        }
        for order in [[0, 1, 2, 3, 4, 5, 6], [6, 3, 5, 0, 4, 2, 1]] {
            let addresses: Vec<String> = order.iter().map(|n| pieces[*n].0.clone()).collect();
            let expected: Vec<u8> = order
                .iter()
                .flat_map(|n| &file[pieces[*n].1.clone()])
                .copied()
                .collect();

            let upload = joined(&place, &client, &addresses, &expected).await;

            client.delete(&upload).await.expect(204);
        }
        for (address, _) in &pieces {
            client.delete(address).await.expect(204);
        }
        assert!(place.is_clean().await, "{:?}", place.unfinished().await);
        assert_eq!(place.finished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn cat_16_the_sum_of_the_pieces_is_within_the_limit_too() {
    here_with(
        |config| config.protocols.tus.max_size = 10,
        async |place| {
            let client = place.client();
            let (a, b) = (piece(&client, b"hello").await, piece(&client, b"world!").await);

            join(&client, &[a.clone(), b]).await.expect(413);

            joined(&place, &client, &[a.clone(), a], b"hellohello").await;
            assert_eq!(place.finished().await.len(), 1);
        },
    )
    .await;
}

#[tokio::test]
async fn cat_17_a_piece_is_in_no_list_of_uploads() {
    here(async |place| {
        let client = place.client().with("X-API-Key", API_KEY);
        let part = piece(&client, b"hello").await;
        let whole = joined(&place, &client, std::slice::from_ref(&part), b"hello").await;
        let native = place.client().with("X-API-Key", API_KEY);
        let mut connection = native.connect().await;
        connection
            .send(native.head_of("GET", "/api/v1/uploads", &[]))
            .await;

        let listed = connection.answer().await.expect(200).text();

        assert!(
            listed.contains(whole.rsplit('/').next().expect("an id")),
            "{listed}"
        );
        assert!(
            !listed.contains(part.rsplit('/').next().expect("an id")),
            "{listed}"
        );
    })
    .await;
}

#[tokio::test]
async fn cat_18_an_upload_that_is_still_being_joined_stands_nowhere_yet() {
    here(async |place| {
        let client = place.client();
        let part = piece(&client, b"hello").await;
        let upload = joined(&place, &client, &[part], b"hello").await;
        let id = super::client::id_of(&upload);
        let db = place.database().await;
        let now = place.clock.now();
        let changed = db.change_state(&id, &[State::Complete], State::Completing, None, now);
        assert!(changed.await.expect("the database"));
        db.close().await.expect("closed");

        let looked = client.look(&upload).await.expect(200);

        assert_eq!(
            (looked.field("Upload-Offset"), looked.number("Upload-Length")),
            (None, 5)
        );
        assert_eq!(looked.field("Upload-Expires"), None);
    })
    .await;
}

#[tokio::test]
async fn cat_10_a_piece_has_no_type_but_what_is_made_of_it_does() {
    here_with(
        |config| config.limits.types = vec!["image/*".into()],
        async |place| {
            let client = place.client();
            let part = piece(&client, b"\x89PNG\r\n\x1a\n").await;
            let whole = format!("final;{part}");
            let typed = |kind: &str| metadata(&[("filetype", kind.as_bytes())]);

            client
                .post(&[
                    ("Upload-Concat", &whole),
                    ("Upload-Metadata", &typed("text/plain")),
                ])
                .await
                .expect(415);
            client
                .post(&[
                    ("Upload-Concat", &whole),
                    ("Upload-Metadata", &typed("image/png")),
                ])
                .await
                .expect(201);
        },
    )
    .await;
}
