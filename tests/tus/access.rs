//! Who may: every request is its owner's, or finds nothing.

use super::server::API_KEY;
use super::{here, here_with};

#[tokio::test]
async fn auth_01_another_owners_upload_does_not_exist_for_any_request() {
    here(async |place| {
        let nobody = place.client();
        let anna = nobody.with("X-API-Key", &place.key("anna", "upload").await);
        let bert = nobody.with("X-API-Key", &place.key("bert", "upload").await);
        let upload = anna.create(5).await;

        for stranger in [&bert, &nobody] {
            stranger.look(&upload).await.expect(404);
            stranger.patch(&upload, 0, b"hello").await.expect(404);
            stranger.delete(&upload).await.expect(404);
        }

        anna.send(&upload, 0, b"hello").await;
        let admin = nobody.with("X-API-Key", &place.key("chef", "admin").await);
        admin.look(&upload).await.expect(200);
        admin.post(&[("Upload-Length", "5")]).await.expect(403);
        admin.delete(&upload).await.expect(204);
    })
    .await;
}

#[tokio::test]
async fn auth_02_a_key_may_come_as_a_bearer_too() {
    here_with(
        |config| config.auth.anonymous = muleteer::config::Anonymous::Off,
        async |place| {
            let nobody = place.client();
            nobody.post(&[("Upload-Length", "5")]).await.expect(401);
            let key = place.key("anna", "upload").await;
            let bearing = nobody.with("Authorization", &format!("Bearer {key}"));
            let upload = bearing.create(5).await;
            nobody.with("X-API-Key", &key).look(&upload).await.expect(200);
            bearing.send(&upload, 0, b"hello").await;
            nobody
                .with("Authorization", &format!("Bearer {API_KEY}"))
                .create(5)
                .await;
            for wrong in ["Bearer mule_wrong", "Bearer ", "Basic YTpi", "Bearer a.b.c"] {
                let stranger = nobody.with("Authorization", wrong);
                stranger.post(&[("Upload-Length", "5")]).await.expect(401);
                stranger.look(&upload).await.expect(401);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn auth_03_a_page_of_another_site_is_not_anybody() {
    let cross = ("Sec-Fetch-Site", "cross-site");
    let site = ("Origin", "https://app.example.org");
    here(async |place| {
        let client = place.client();
        let upload = client.create(5).await;
        let made = [cross, site, ("Upload-Length", "5")];
        client.post(&made).await.expect(403);
        client
            .patch_with(&upload, 0, &[cross, site], b"hello")
            .await
            .expect(403);
        client
            .ask("DELETE", &upload, &[cross, site], b"")
            .await
            .expect(403);
        assert_eq!(client.offset(&upload).await, 0);
        let own_page = [("Sec-Fetch-Site", "same-origin"), ("Upload-Length", "5")];
        client.post(&own_page).await.expect(201);
        // What no browser sends by itself is enough.
        client.with("X-API-Key", API_KEY).post(&made).await.expect(201);
    })
    .await;
    here_with(
        |config| config.cors.allowed_origins = vec![site.1.into()],
        async |place| {
            let client = place.client();
            client
                .post(&[cross, site, ("Upload-Length", "5")])
                .await
                .expect(201);
            let other = ("Origin", "https://evil.example");
            client
                .post(&[cross, other, ("Upload-Length", "5")])
                .await
                .expect(403);
        },
    )
    .await;
}
