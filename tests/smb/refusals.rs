//! Servers that say no.

use muleteer::domain::ObjectKey;
use muleteer::error::Error;
use muleteer::storage::{Body, SmbStore, Storage as _};

use crate::kit::{bytes_of, number, upload};
use crate::samba::{self, Samba};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_wrong_share_are_told_by_name_and_nothing_else_is() {
    let Some(settings) = samba::fresh_folder() else {
        return;
    };
    let mut wrong_password = settings.clone();
    wrong_password.password = "wrong".to_owned().into();
    let mut wrong_share = settings.clone();
    wrong_share.share = "elsewhere".into();
    for (settings, name) in [
        (wrong_password, "STATUS_LOGON_FAILURE"),
        (wrong_share, "STATUS_BAD_NETWORK_NAME"),
    ] {
        let store = SmbStore::new(settings.clone()).unwrap();

        let refused = store.check().await.unwrap_err();

        assert!(
            matches!(&refused, Error::StoreRefused { code } if code == name),
            "{refused:?}"
        );
        let told = refused.to_string();
        for secret in [&settings.host, &settings.user, &settings.share] {
            assert!(!told.contains(secret.as_str()), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_may_only_be_read_is_refused_at_the_check() {
    let Some(samba) = Samba::start("read only = yes") else {
        return;
    };
    let store = SmbStore::new(samba.settings("")).unwrap();

    let refused = store.check().await;

    assert!(
        matches!(&refused, Err(Error::StoreRefused { code }) if code == "STATUS_ACCESS_DENIED"),
        "{refused:?}"
    );
    samba.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_fit_is_refused_before_it_is_sent() {
    let Some(samba) = Samba::start("max disk size = 1") else {
        return;
    };
    let store = SmbStore::new(samba.settings("")).unwrap();
    let upload = upload(2 << 40, 1 << 30, "x");

    let refused = store.begin(&upload).await;

    assert!(
        matches!(refused, Err(Error::NoSpace { needed }) if needed == 2 << 40),
        "{refused:?}"
    );
    assert!(store.strays().await.unwrap().is_empty());
    samba.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_would_open_a_stream_is_refused() {
    let Some(settings) = samba::fresh_folder() else {
        return;
    };
    let store = SmbStore::new(settings).unwrap();

    for name in ["a:b", "a.", "a ", "what?", ".muleteer/x"] {
        let refused = store.check_key(&ObjectKey::path(name).unwrap());
        assert!(refused.is_err(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_where_a_folder_should_be_is_an_error_and_harms_nothing() {
    let Some(settings) = samba::fresh_folder() else {
        return;
    };
    let store = SmbStore::new(settings).unwrap();
    let first = upload(3, 3, "x");
    let mut second = upload(3, 3, "x");
    second.key = ObjectKey::path(&format!("{}/below", first.key)).unwrap();
    for upload in [&first, &second] {
        store.begin(upload).await.unwrap();
        store
            .put(upload, number(1), Body::of(bytes_of(1, 3)))
            .await
            .unwrap();
    }
    store.finish(&first, &[]).await.unwrap();

    let refused = store.finish(&second, &[]).await;

    assert!(refused.is_err());
    assert_eq!(store.parts(&second).await.unwrap().len(), 1);
    assert_eq!(
        store.find(&ObjectKey::path("files").unwrap()).await.unwrap(),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_said_to_be_so_within_a_bounded_time() {
    let Some(mut settings) = samba::fresh_folder() else {
        return;
    };
    settings.port = 1;
    let store = SmbStore::new(settings).unwrap();
    let began = std::time::Instant::now();

    let first = store.check().await;
    let second = store.check().await;

    assert!(matches!(first, Err(Error::Unavailable { .. })), "{first:?}");
    assert!(matches!(second, Err(Error::Unavailable { .. })), "{second:?}");
    assert!(began.elapsed().as_secs() < 15);
}
