//! The tables as both databases have them.
//!
//! Separate, because queries are written once against these definitions; only the migrations know which
//! database they are for. Column types stay in the subset that both share: times are UTC `Timestamp`s of whole
//! microseconds, structured values are JSON in `Text`.

diesel::table! {
    uploads (id) {
        id -> Text,
        owner -> Text,
        state -> Text,
        transfer -> Text,
        protocol -> Text,
        filename -> Text,
        size -> BigInt,
        content_type -> Text,
        last_modified -> Nullable<Timestamp>,
        fingerprint -> Text,
        metadata -> Text,
        bucket -> Text,
        object_key -> Text,
        multipart_id -> Nullable<Text>,
        part_size -> BigInt,
        etag -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        expires_at -> Timestamp,
        storage -> Text,
        sha256 -> Nullable<Text>,
        webhook_url -> Nullable<Text>,
        received -> Nullable<BigInt>,
        settled -> Nullable<Bool>,
        fence -> Nullable<BigInt>,
        length -> Nullable<Text>,
        role -> Nullable<Text>,
        sources -> Nullable<Text>,
        fields -> Nullable<Text>,
        cut -> Text,
        client_ip -> Nullable<Text>,
        bounds -> Nullable<Text>,
    }
}

diesel::table! {
    parts (upload_id, number) {
        upload_id -> Text,
        number -> Integer,
        size -> BigInt,
        etag -> Nullable<Text>,
        recorded_at -> Timestamp,
        sha256 -> Nullable<Text>,
        checksums -> Nullable<Text>,
    }
}

diesel::table! {
    integrity (upload_id) {
        upload_id -> Text,
        algorithm -> Nullable<Text>,
        whole -> Nullable<Text>,
        checked_by -> Nullable<Text>,
        receipt -> Nullable<Text>,
        passed -> Nullable<BigInt>,
        passed_sums -> Nullable<Text>,
    }
}

diesel::table! {
    rechecks (upload_id) {
        upload_id -> Text,
        due_at -> Timestamp,
    }
}

diesel::table! {
    reservations (upload_id) {
        upload_id -> Text,
        bytes -> BigInt,
    }
}

diesel::joinable!(reservations -> uploads (upload_id));
diesel::allow_tables_to_appear_in_same_query!(reservations, uploads);

diesel::table! {
    webhook_events (id) {
        id -> Text,
        upload_id -> Text,
        kind -> Text,
        url -> Text,
        host -> Text,
        payload -> Text,
        state -> Text,
        attempts -> Integer,
        next_attempt_at -> Timestamp,
        last_status -> Nullable<Integer>,
        last_error -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        delivered_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    leases (name) {
        name -> Text,
        holder -> Text,
        expires_at -> Timestamp,
        wanted -> Integer,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        owner -> Text,
        scopes -> Text,
        hash -> Text,
        hint -> Text,
        created_at -> Timestamp,
        revoked_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    secrets (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    upload_events (id) {
        id -> BigInt,
        upload_id -> Text,
        at -> Timestamp,
        kind -> Text,
        detail -> Text,
        actor -> Nullable<Text>,
    }
}

diesel::table! {
    scans (upload_id) {
        upload_id -> Text,
        state -> Text,
        etag -> Nullable<Text>,
        due_at -> Timestamp,
        attempts -> Integer,
        reason -> Nullable<Text>,
        last_error -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    sweeps (id) {
        id -> BigInt,
        began_at -> Timestamp,
        ended_at -> Timestamp,
        rounds -> BigInt,
        expired -> BigInt,
        completed -> BigInt,
        strays -> BigInt,
        failed -> BigInt,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    admin_sessions (hash) {
        hash -> Text,
        key_hash -> Text,
        created_at -> Timestamp,
        expires_at -> Timestamp,
    }
}
