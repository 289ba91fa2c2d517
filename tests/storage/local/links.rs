//! What stands in a folder and is no file: symbolic links, pipes, folders.

use muleteer::domain::ObjectKey;
use muleteer::error::Error;
use muleteer::storage::Storage;
use std::fs;
use std::os::unix::fs::symlink;

use super::{Folder, assert_refused};
use crate::files::{MIB, begin, body, bytes_of, finish, number, put_all, upload_of};

#[tokio::test]
async fn a_link_out_of_the_root_is_refused_wherever_a_key_leads_through_it() {
    let place = Folder::make();
    let (store, outside, file) = (place.store(), place.outside(), bytes_of(1000, 1));
    fs::write(outside.join("secret"), "secret").unwrap();
    let upload = begin(&store, upload_of(1000, MIB)).await;
    put_all(&store, &upload, &file).await;
    symlink(&outside, place.root().join("files")).unwrap();

    let parts = store.parts(&upload).await.unwrap();
    assert_refused(&store.finish(&upload, &parts).await);

    let secret = ObjectKey::path("files/secret").unwrap();
    assert_refused(&store.find(&secret).await);
    assert_refused(&store.read(&secret, None).await.map(drop));
    assert_refused(&store.remove(&secret).await);
    assert_refused(&store.begin(&upload_of(1, MIB)).await);
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);

    fs::remove_file(place.root().join("files")).unwrap();
    finish(&store, &upload, &file).await;
}

#[tokio::test]
async fn a_relative_link_out_of_the_root_is_refused_too() {
    let place = Folder::make();
    let (store, outside) = (place.store(), place.outside());
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink("../outside", place.root().join("files")).unwrap();

    assert_refused(&store.begin(&upload_of(1, MIB)).await);
    assert_refused(&store.find(&ObjectKey::path("files/secret").unwrap()).await);
}

#[tokio::test]
async fn a_link_that_bears_an_objects_own_name_is_neither_followed_nor_replaced() {
    let place = Folder::make();
    let (store, outside, file) = (place.store(), place.outside(), bytes_of(1000, 2));
    fs::write(outside.join("secret"), "secret").unwrap();
    let upload = begin(&store, upload_of(1000, MIB)).await;
    put_all(&store, &upload, &file).await;
    let target = place.root().join(upload.key.as_str());
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    symlink(outside.join("secret"), &target).unwrap();

    let parts = store.parts(&upload).await.unwrap();
    assert_refused(&store.finish(&upload, &parts).await);
    assert_refused(&store.find(&upload.key).await);
    assert_refused(&store.read(&upload.key, None).await.map(drop));

    // Removing it removes the link.
    store.remove(&upload.key).await.unwrap();
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    finish(&store, &upload, &file).await;
}

#[tokio::test]
async fn a_link_in_the_place_of_unfinished_data_is_not_followed_out() {
    let place = Folder::make();
    let (store, outside, file) = (place.store(), place.outside(), bytes_of(1000, 3));
    fs::write(outside.join("data"), "secret").unwrap();
    let folder = begin(&store, upload_of(1000, MIB)).await;
    fs::remove_dir_all(place.work(&folder, "")).unwrap();
    symlink(&outside, place.root().join(".muleteer").join(folder.id.as_str())).unwrap();
    let data = begin(&store, upload_of(1000, MIB)).await;
    fs::remove_file(place.work(&data, "data")).unwrap();
    symlink(outside.join("data"), place.work(&data, "data")).unwrap();

    for upload in [&folder, &data] {
        assert_refused(&store.put(upload, number(1), body(&file)).await);
        assert_refused(&store.append(upload, 0, body(&file)).await);
        assert_refused(&store.finish(upload, &[]).await);
    }

    let _ = store.abort(&folder).await;
    store.abort(&data).await.unwrap();
    assert_eq!(fs::read_to_string(outside.join("data")).unwrap(), "secret");
}

#[tokio::test]
async fn links_within_the_root_lead_where_they_lead() {
    let place = Folder::make();
    let (store, file) = (place.store(), bytes_of(1000, 4));
    fs::create_dir(place.root().join("elsewhere")).unwrap();
    symlink("elsewhere", place.root().join("files")).unwrap();
    let upload = begin(&store, upload_of(1000, MIB)).await;
    put_all(&store, &upload, &file).await;

    finish(&store, &upload, &file).await;

    assert_eq!(fs::read_dir(place.root().join("elsewhere")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_pipe_or_a_folder_is_no_file() {
    let place = Folder::make();
    let store = place.store();
    fs::create_dir_all(place.root().join("files/folder")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(place.root().join("files/pipe"))
        .status();
    assert!(made.unwrap().success());

    for key in ["files/folder", "files/pipe", "files/folder/none"] {
        let key = ObjectKey::path(key).unwrap();
        assert_eq!(store.find(&key).await.unwrap(), None);
        assert!(matches!(
            store.read(&key, None).await.map(drop),
            Err(Error::NotFound(_))
        ));
    }
}
