//! Every look-up stays an index look-up, however many uploads there are.
//!
//! The statements are the ones that the product sends: they are overheard on its own connections, and then the
//! database is asked how it would run them. On SQLite that does not depend on what is in the tables, as nothing
//! gathers statistics there. On Postgres it does, so the tables are filled first; and the plans are those for
//! unknown values, which is what a server process ends up with.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, Once};

use diesel::connection::{
    Instrumentation, InstrumentationEvent, SimpleConnection, set_default_instrumentation,
};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{PgConnection, SqliteConnection};
use muleteer::db::{Database, EventQuery, NewEvent, Room, Settled, UploadQuery};
use muleteer::domain::{EventId, EventKind, EventState, LogEntry, LogKind, State, SupportCode, UploadId};

use super::{asking, kept, noon, open, owner, part, postgres_url, record, sqlite_in, upload_at};

/// Uploads in the filled tables; each has two parts, one in a hundred is unfinished.
const FILLED: u32 = 50_000;

/// What was said on the connections to each database.
static OVERHEARD: Mutex<Option<HashMap<String, Vec<String>>>> = Mutex::new(None);

/// Writes down what its connection says.
#[derive(Default)]
struct Listener {
    url: String,
}

impl Instrumentation for Listener {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => url.clone_into(&mut self.url),
            InstrumentationEvent::StartQuery { query, .. } => {
                let text = query.to_string();
                let sql = text.split(" -- binds:").next().unwrap_or_default().to_owned();
                let mut heard = overheard();
                heard
                    .get_or_insert_default()
                    .entry(self.url.clone())
                    .or_default()
                    .push(sql);
            }
            _ => {}
        }
    }
}

fn overheard() -> MutexGuard<'static, Option<HashMap<String, Vec<String>>>> {
    OVERHEARD.lock().unwrap()
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| set_default_instrumentation(|| Some(Box::new(Listener::default()))).unwrap());
}

/// What was said since the last time on connections whose URL contains `mark`, without opening and writing.
fn statements(mark: &str) -> Vec<String> {
    let mut heard = overheard();
    let of_this = heard.iter_mut().flatten().filter(|(url, _)| url.contains(mark));
    let said = of_this.flat_map(|(_, said)| std::mem::take(said));
    said.filter(|sql| {
        [
            "SELECT",
            "UPDATE",
            "INSERT INTO `upload_events`",
            "INSERT INTO \"upload_events\"",
        ]
        .iter()
        .any(|verb| sql.starts_with(verb))
    })
    .filter(|sql| {
        sql.contains("upload")
            || sql.contains("parts")
            || sql.contains("webhook_events")
            || sql.contains("rechecks")
    })
    .collect()
}

/// Runs every look-up and every change; `mark` tells this database's connections. Each comes back with the index
/// that SQLite must use for it.
async fn all_statements(db: &Database, mark: &str) -> Vec<(&'static str, Vec<String>)> {
    let upload = kept(db, upload_at(noon())).await;
    let (id, anna) = (&upload.id, owner("anna"));
    let multipart = upload.multipart_id.clone().unwrap();
    let _ = statements(mark);
    let mut found = Vec::new();
    let mut done = |index| found.push((index, statements(mark)));

    db.find_upload(id, Some(&anna)).await.unwrap();
    done("sqlite_autoindex_uploads_1");
    db.find_resumable(&anna, &upload.fingerprint, noon())
        .await
        .unwrap();
    done("uploads_resume");
    db.find_by_multipart(Some(&anna), upload.key.as_str(), &multipart)
        .await
        .unwrap();
    done("uploads_multipart_id");
    db.find_by_key(Some(&anna), upload.key.as_str()).await.unwrap();
    db.is_key_of_others(&anna, upload.key.as_str()).await.unwrap();
    done("uploads_object_key (");
    db.bind_multipart(id, None, "x").await.unwrap();
    let room = Room::default();
    db.begin_again(&upload, "x", noon(), noon(), room).await.unwrap();
    db.measure_upload(id, 1, 1).await.unwrap();
    done("sqlite_autoindex_uploads_1");
    db.stuck_completions(noon(), 100, 0).await.unwrap();
    done("uploads_state (");
    db.change_state(id, &[State::Open, State::Completing], State::Open, None, noon())
        .await
        .unwrap();
    db.touch(id, noon(), noon()).await.unwrap();
    done("sqlite_autoindex_uploads_1");
    db.expired_uploads(noon(), 100, 0).await.unwrap();
    done("uploads_expiry");
    db.note_recheck(id, noon()).await.unwrap();
    assert_eq!(db.due_rechecks(noon(), 100, 0).await.unwrap().len(), 1);
    done("rechecks_due");
    for index in ["uploads_expiry", "webhook_events_due", "webhook_events_state ("] {
        db.backlog(noon()).await.unwrap();
        done(index);
    }
    record(db, &upload, vec![part(1, 1, None)]).await.unwrap();
    done("sqlite_autoindex_uploads_1");
    db.recorded_parts(id).await.unwrap();
    done("USING PRIMARY KEY");
    event_statements(db, id, &mut done).await;
    admin_statements(db, id, &mut done).await;
    search_statements(db, &mut done).await;
    found
}

/// What the admin's pages look up besides the searches.
async fn admin_statements(db: &Database, id: &UploadId, done: &mut impl FnMut(&'static str)) {
    let entry = LogEntry::new(noon(), LogKind::Signed);
    db.log(vec![(id.clone(), entry)]).await.unwrap();
    assert_eq!(db.log_of(id).await.unwrap().len(), 4);
    done("upload_events_upload (");
    db.events_of(id).await.unwrap();
    done("webhook_events_upload (");
    db.open_bytes(10).await.unwrap();
    done("uploads_open_bytes");
    db.protocols().await.unwrap();
    done("uploads_protocol (");
}

/// The same for events, one of this upload.
async fn event_statements(db: &Database, id: &UploadId, done: &mut impl FnMut(&'static str)) {
    let event = NewEvent {
        id: EventId::generate(noon()),
        kind: EventKind::Complete,
        url: "https://a.example/".into(),
        host: "a.example".into(),
        payload: "{}".into(),
    };
    let event_id = event.id.clone();
    db.complete_upload(id, &[State::Open], None, Some(event), noon())
        .await
        .unwrap();
    done("sqlite_autoindex_uploads_1");
    for busy in [Vec::new(), vec!["b.example".to_owned()]] {
        let _ = db.due_events(noon(), busy, 10).await.unwrap();
        done("webhook_events_due");
    }
    let event = db.find_event(&event_id).await.unwrap().unwrap();
    db.claim_event(&event, noon()).await.unwrap();
    db.settle_event(&event_id, noon(), Settled::Delivered { status: 200 }, noon())
        .await
        .unwrap();
    db.replay_event(&event_id, noon()).await.unwrap();
    done("sqlite_autoindex_webhook_events_1");
    for (index, state) in [
        ("sqlite_autoindex_webhook_events_1", None),
        ("webhook_events_state (", Some(EventState::Parked)),
    ] {
        let before = Some(event_id.clone());
        let query = EventQuery {
            state,
            before,
            limit: 10,
        };
        db.list_events(query).await.unwrap();
        done(index);
    }
}

/// Every search from the newest on, further on, and on the way back.
async fn search_statements(db: &Database, done: &mut impl FnMut(&'static str)) {
    for (index, query) in searches() {
        let cursor = || Some(UploadId::generate(noon()));
        for (before, after) in [(None, None), (cursor(), None), (None, cursor())] {
            db.list_uploads(UploadQuery {
                before,
                after,
                ..query.clone()
            })
            .await
            .unwrap();
            done(index);
        }
    }
}

/// The admin's searches.
fn searches() -> Vec<(&'static str, UploadQuery)> {
    let (anna, open) = (Some(owner("anna")), Some(State::Open));
    let door = |q: &mut UploadQuery| {
        (q.owner, q.state) = (anna.clone(), open);
        q.protocol = Some("fine-uploader".to_owned());
    };
    let both = |q: &mut UploadQuery| (q.owner, q.state) = (anna.clone(), open);
    let mut searches = vec![
        ("sqlite_autoindex_uploads_1", asking(|_| {})),
        ("uploads_owner (", asking(|q| q.owner.clone_from(&anna))),
        ("uploads_state (", asking(|q| q.state = open)),
        ("uploads_owner_state (", asking(both)),
        ("uploads_owner_state (", asking(door)),
        ("uploads_protocol (", asking(|q| q.protocol = Some("tus".into()))),
        (
            "uploads_protocol_state (",
            asking(|q| (q.protocol, q.state) = (Some("tus".into()), open)),
        ),
        (
            "sqlite_autoindex_uploads_1",
            asking(|q| (q.since, q.until) = (Some(noon()), Some(noon()))),
        ),
        (
            "sqlite_autoindex_uploads_1",
            asking(|q| q.id = Some(UploadId::generate(noon()))),
        ),
    ];
    let text = || Some("IMG".to_owned());
    let by_name = [
        ("uploads_filename (", asking(|q| q.filename = text())),
        ("uploads_filename (", asking(|q| q.filename_prefix = text())),
        ("uploads_object_key (", asking(|q| q.key = text())),
        ("uploads_multipart_id (", asking(|q| q.multipart_id = text())),
        ("uploads_size (", asking(|q| q.size = Some(7))),
        ("uploads_size (", asking(|q| q.sizes = Some(7..=9))),
        (
            "uploads_client_ip (",
            asking(|q| q.client_ip = "192.0.2.7".parse().ok()),
        ),
        (
            "uploads_support (",
            asking(|q| q.support_code = SupportCode::parse("7K3M-0Q9X")),
        ),
    ];
    for (index, query) in by_name {
        // Owner and state beside a name must not lure the database away from the name's index.
        let mut combined = query.clone();
        both(&mut combined);
        combined.protocol = Some("tus".into());
        searches.extend([(index, query), (index, combined)]);
    }
    searches
}

#[derive(QueryableByName)]
struct SqliteStep {
    #[diesel(sql_type = Text)]
    detail: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_answers_every_look_up_from_the_index_that_was_made_for_it() {
    listen();
    let folder = tempfile::tempdir().unwrap();
    let url = sqlite_in(folder.path());
    let db = open(&url).await;
    let mut plain = SqliteConnection::establish(url.strip_prefix("sqlite://").unwrap()).unwrap();

    let looked_up = all_statements(&db, folder.path().to_str().unwrap()).await;

    for (index, said) in looked_up {
        assert!(!said.is_empty(), "nothing was overheard for {index}");
        let mut plans = String::new();
        for sql in said {
            let steps: Vec<SqliteStep> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}"))
                .load(&mut plain)
                .unwrap();
            for SqliteStep { detail } in steps {
                // Without any condition the newest are read off the end of the ids' index.
                let walks = [
                    "SCAN uploads USING INDEX sqlite_autoindex_uploads_1",
                    // What lies open is added up from an index of it alone.
                    "SCAN uploads USING COVERING INDEX uploads_open_bytes",
                    "SCAN uploads USING INDEX uploads_expiry",
                    "SCAN sweeps",
                ];
                assert!(
                    !detail.contains("SCAN") || walks.contains(&detail.as_str()),
                    "{detail}\n{sql}"
                );
                // Owners are put in the order of what they have open; nothing else is sorted.
                let sorts = detail.contains("TEMP B-TREE");
                assert!(
                    !sorts || sql.contains("ORDER BY CAST(SUM(size) AS BIGINT)"),
                    "{detail}\n{sql}"
                );
                plans.push_str(&detail);
                plans.push('\n');
            }
        }
        assert!(plans.contains(index), "{index} is not used:\n{plans}");
    }
}

#[derive(QueryableByName)]
struct PostgresStep {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    line: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_reads_no_table_from_end_to_end() {
    listen();
    let Some(url) = postgres_url().await else {
        return eprintln!("without Postgres: MULETEER_TEST_POSTGRES=skip");
    };
    let db = open(&url).await;
    let mut plain = PgConnection::establish(&url).unwrap();
    fill(&mut plain);
    plain
        .batch_execute("SET plan_cache_mode = force_generic_plan")
        .unwrap();

    let looked_up = all_statements(&db, &url).await;

    for (index, said) in looked_up {
        assert!(!said.is_empty(), "nothing was overheard for {index}");
        let mut plans = String::new();
        for sql in said {
            for PostgresStep { line } in explain(&mut plain, &sql) {
                assert!(!line.contains("Seq Scan"), "{line}\n{sql}");
                plans.push_str(&line);
                plans.push('\n');
            }
        }
        // The others have several good ways, and Postgres weighs them; these have one.
        if [
            "uploads_resume",
            "uploads_expiry",
            "rechecks_due",
            "webhook_events_due",
        ]
        .contains(&index)
        {
            assert!(plans.contains(index), "{index} is not used:\n{plans}");
        }
    }
}

/// How Postgres runs `sql` for whatever values.
fn explain(conn: &mut PgConnection, sql: &str) -> Vec<PostgresStep> {
    let parameters = (1..100).take_while(|n| sql.contains(&format!("${n}"))).count();
    let values = vec!["NULL"; parameters].join(", ");
    let values = if parameters > 0 {
        format!("({values})")
    } else {
        values
    };
    conn.batch_execute(&format!("PREPARE overheard AS {sql}"))
        .unwrap();
    let steps = diesel::sql_query(format!("EXPLAIN EXECUTE overheard{values}"))
        .load(conn)
        .unwrap();
    conn.batch_execute("DEALLOCATE overheard").unwrap();
    steps
}

/// Many uploads of some owners with parts, and statistics on them.
fn fill(conn: &mut PgConnection) {
    conn.batch_execute(&format!(
        "INSERT INTO uploads SELECT lpad(to_hex(n), 32, '0'), 'owner-' || n % 500,
             CASE WHEN n % 100 = 0 THEN 'open' ELSE 'complete' END, 'direct', 'native', 'IMG_' || n % 9000,
             100, 'video/mp4', NULL, md5(n::text), '{{}}', 'bucket', 'key/' || n, 'multipart-' || n, 10, NULL,
             now() - n * interval '1 second', now(), now() + n * interval '1 second'
         FROM generate_series(1, {FILLED}) AS n;
         INSERT INTO parts SELECT id, number, 10, NULL, now() FROM uploads, generate_series(1, 2) AS number;
         INSERT INTO webhook_events SELECT 'msg_' || id, id, 'upload.complete', 'https://a.example/', 'a.example', '{{}}',
             CASE WHEN state = 'open' THEN 'pending' ELSE 'delivered' END, 1, created_at, NULL, NULL,
             created_at, created_at, NULL
         FROM uploads;
         INSERT INTO rechecks SELECT id, created_at + interval '100 years' FROM uploads;
         UPDATE uploads SET client_ip = '10.0.' || size % 250 || '.' || length(id) WHERE state = 'open';
         INSERT INTO upload_events (upload_id, at, kind, detail)
             SELECT id, created_at, 'created', '{{}}' FROM uploads, generate_series(1, 3);
         ANALYZE upload_events; ANALYZE uploads; ANALYZE parts; ANALYZE webhook_events; ANALYZE rechecks;"
    ))
    .unwrap();
}
