//! Discovery and version: what a server says that it can do, and what it says to clients of another version.

use super::client::{BYTES, content, location};
use super::{here, here_with};

const OLD: (&str, &str) = ("Tus-Resumable", "0.2.2");

#[tokio::test]
async fn ver_01_options_on_the_creation_address_lists_the_version() {
    here(async |place| {
        for path in ["/files", "/files/", "/upload"] {
            let answer = place.client().raw("OPTIONS", path, &[], b"").await;

            assert_eq!(answer.expect(204).header("Tus-Version"), "1.0.0");
        }
    })
    .await;
}

#[tokio::test]
async fn ver_02_each_extension_is_listed_once_and_none_that_is_switched_off() {
    here(async |place| {
        let answer = place.client().raw("OPTIONS", "/files", &[], b"").await;

        assert_eq!(
            answer.header("Tus-Extension"),
            "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation"
        );
    })
    .await;
    let switched_off = |config: &mut muleteer::config::Config| {
        config.protocols.tus.termination = false;
        config.protocols.tus.concatenation = false;
    };
    here_with(switched_off, async |place| {
        let client = place.client();
        let upload = client.create(5).await;

        let answer = client.raw("OPTIONS", "/files", &[], b"").await;

        let extensions = answer.header("Tus-Extension");
        assert!(
            !extensions.contains("termination") && !extensions.contains("concatenation"),
            "{extensions}"
        );
        let refused = client.delete(&upload).await.expect(405);
        assert_eq!(refused.header("Allow"), "HEAD, PATCH, OPTIONS");
        client
            .post(&[("Upload-Concat", "partial"), ("Upload-Length", "5")])
            .await
            .expect(400);
        assert_eq!(client.offset(&upload).await, 0);
    })
    .await;
}

#[tokio::test]
async fn ver_03_options_does_not_look_at_the_version() {
    here(async |place| {
        let answer = place.client().raw("OPTIONS", "/files", &[OLD], b"").await;

        answer.expect(204);
    })
    .await;
}

#[tokio::test]
async fn ver_04_the_limit_is_told_as_a_number() {
    here_with(
        |config| config.protocols.tus.max_size = 12_345,
        async |place| {
            let answer = place.client().raw("OPTIONS", "/files", &[], b"").await;

            assert_eq!(answer.number("Tus-Max-Size"), 12_345);
        },
    )
    .await;
    here(async |place| {
        let answer = place.client().raw("OPTIONS", "/files", &[], b"").await;

        assert!(answer.number("Tus-Max-Size") > 1 << 40);
    })
    .await;
}

#[tokio::test]
async fn ver_05_options_on_an_upload_says_the_same() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        let fields = |answer: super::raw_http::Answer| -> Vec<(String, String)> {
            let of_the_request = ["date", "x-request-id"];
            let mut fields = answer.expect(204).fields;
            fields.retain(|(name, _)| !of_the_request.contains(&name.as_str()));
            fields.sort();
            fields
        };

        let at_creation = fields(client.raw("OPTIONS", "/files", &[], b"").await);

        for path in [upload.as_str(), "/files/unknown"] {
            assert_eq!(fields(client.raw("OPTIONS", path, &[], b"").await), at_creation);
        }
    })
    .await;
}

#[tokio::test]
async fn ver_06_a_creation_of_another_version_makes_nothing() {
    here(async |place| {
        let answer = place
            .client()
            .raw("POST", "/files", &[OLD, ("Upload-Length", "5")], b"")
            .await;

        let answer = answer.expect(412);
        assert_eq!(answer.header("Tus-Version"), "1.0.0");
        assert_eq!(answer.field("Location"), None);
        assert_eq!(place.unfinished().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn ver_07_a_patch_of_another_version_changes_nothing() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;

        let refused = client
            .raw("PATCH", &upload, &[OLD, BYTES, ("Upload-Offset", "0")], b"hello")
            .await;

        assert_eq!(refused.expect(412).header("Tus-Version"), "1.0.0");
        assert_eq!(client.offset(&upload).await, 0);
    })
    .await;
}

#[tokio::test]
async fn ver_08_a_head_of_another_version_is_refused() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;

        for fields in [vec![OLD], vec![]] {
            let refused = client.raw("HEAD", &upload, &fields, b"").await.expect(412);

            assert_eq!(refused.header("Tus-Version"), "1.0.0");
            assert_eq!(refused.field("Upload-Offset"), None);
        }
    })
    .await;
}

#[tokio::test]
async fn ver_09_a_delete_of_another_version_leaves_the_upload() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;

        client.raw("DELETE", &upload, &[OLD], b"").await.expect(412);

        assert_eq!(client.offset(&upload).await, 0);
    })
    .await;
}

#[tokio::test]
async fn ver_10_a_request_without_a_version_is_refused() {
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;

        client
            .raw("POST", "/files", &[("Upload-Length", "5")], b"")
            .await
            .expect(412);
        client
            .raw("PATCH", &upload, &[BYTES, ("Upload-Offset", "0")], b"hello")
            .await
            .expect(412);

        let twice = [("Tus-Resumable", "1.0.0"), ("Tus-Resumable", "1.0.0")];
        client.raw("HEAD", &upload, &twice, b"").await.expect(400);
        assert_eq!(client.offset(&upload).await, 0);
    })
    .await;
}

#[tokio::test]
async fn ver_11_every_answer_tells_the_version_wherever_it_comes_from() {
    here(async |place| {
        let client = place.client();
        // The client looks at every answer for it.
        for (method, path, status) in [
            ("GET", "/files", 405),
            ("PUT", "/files", 405),
            ("PUT", "/files/0199f0a1b2c37d4e8f90a1b2c3d4e5f6", 405),
            ("GET", "/files/0199f0a1b2c37d4e8f90a1b2c3d4e5f6", 405),
            ("POST", "/files/0199f0a1b2c37d4e8f90a1b2c3d4e5f6", 405),
            ("HEAD", "/files/unknown", 404),
            ("HEAD", "/files/far/too/deep", 404),
            ("PATCH", "/upload/far/too/deep", 404),
            ("POST", "/files/x/y", 404),
        ] {
            client.ask(method, path, &[], b"").await.expect(status);
        }
    })
    .await;
}

#[tokio::test]
async fn ver_12_a_post_can_mean_patch() {
    here(async |place| {
        let client = place.client();
        let (upload, file) = (client.create(10).await, content(10));

        let fields = [("X-HTTP-Method-Override", "PATCH"), BYTES, ("Upload-Offset", "0")];
        let answer = client.ask("POST", &upload, &fields, &file[..6]).await.expect(204);

        assert_eq!(answer.number("Upload-Offset"), 6);
        let looked = client
            .ask("POST", &upload, &[("X-HTTP-Method-Override", "HEAD")], b"")
            .await
            .expect(200);
        assert_eq!((looked.number("Upload-Offset"), looked.body.len()), (6, 0));
    })
    .await;
}

#[tokio::test]
async fn ver_13_a_field_can_mean_delete_with_any_method_but_options() {
    here(async |place| {
        let client = place.client();
        let meant = [("X-HTTP-Method-Override", "DELETE")];
        for method in ["POST", "PATCH", "HEAD", "GET"] {
            let upload = client.create(5).await;

            client.ask("OPTIONS", &upload, &meant, b"").await.expect(204);
            assert_eq!(client.offset(&upload).await, 0);
            client.ask(method, &upload, &meant, b"").await.expect(204);

            client.look(&upload).await.expect(404);
        }
        let made = client
            .ask(
                "PUT",
                "/files",
                &[("X-HTTP-Method-Override", "POST"), ("Upload-Length", "5")],
                b"",
            )
            .await;
        location(&made.expect(201));
    })
    .await;
}
