//! After the faults: what is on record and what is stored, held against the files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::base::{Base, Record};
use super::doors::Door;
use super::job::End;
use super::proxy::Proxy;
use super::s3_client::{S3Client, Signer};
use super::{Around, BUCKET, STORE_ID, STORE_SECRET, Sent};

/// Longest life, in milliseconds, of a lease whose holder was killed.
const LONGEST_LEASE_MS: u64 = 2000;

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    pub complaints: Vec<String>,
    /// What the one sweep said.
    pub swept: String,
    /// How many uploads are on record, and how many of them complete.
    pub records: usize,
    pub complete: usize,
}

/// Lets both instances settle, stops them, sweeps once, and looks at everything.
pub async fn judge(
    around: &Around,
    base: &Base,
    store: &str,
    folder: Option<&Path>,
    sent: &[Sent],
) -> Verdict {
    let mut verdict = Verdict::default();
    let leases = calm_down(base).await;
    if leases > 0 {
        verdict
            .complaints
            .push(format!("{leases} leases hold although nobody sends"));
    }
    let crew = around.crew.clone();
    let stopped = tokio::task::spawn_blocking(move || crew.stop());
    stopped.await.expect("they stop in good order");
    base.abandon();
    let crew = around.crew.clone();
    let swept = tokio::task::spawn_blocking(move || crew.sweep()).await;
    swept.expect("it sweeps").trim().clone_into(&mut verdict.swept);

    let longest = around.crew.blows.longest_lease_ms.load(Ordering::Relaxed);
    if longest > LONGEST_LEASE_MS {
        verdict.complaints.push(format!(
            "a lease held for {longest} ms after its holder was killed"
        ));
    }
    let needless = around.ledger.needless.load(Ordering::Relaxed);
    if needless > 0 {
        verdict.complaints.push(format!(
            "{needless} bytes were sent again although they had been acknowledged"
        ));
    }
    let records = base.records();
    let bucket = Bucket::new(store);
    files(&mut verdict, &records, &bucket, folder, sent).await;
    orphans(&mut verdict, &records, &bucket, folder).await;
    verdict
}

/// Waits until no lease holds: those of dead processes run out. How many still do after all.
async fn calm_down(base: &Base) -> u64 {
    for _ in 0..100 {
        if base.leases() == 0 {
            return 0;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    base.leases()
}

/// Each file against its records and its objects.
async fn files(
    verdict: &mut Verdict,
    records: &[Record],
    bucket: &Bucket,
    folder: Option<&Path>,
    sent: &[Sent],
) {
    let mut by_name: HashMap<&str, Vec<&Record>> = HashMap::new();
    for record in records {
        by_name.entry(&record.filename).or_default().push(record);
    }
    verdict.records = records.len();
    for Sent { door, job, outcome } in sent {
        let own = by_name.remove(job.name.as_str()).unwrap_or_default();
        let complete: Vec<_> = own.iter().filter(|record| record.state == "complete").collect();
        let mut complain = |what: String| {
            let states: Vec<&str> = own.iter().map(|record| record.state.as_str()).collect();
            verdict.complaints.push(format!(
                "{} of {} bytes by {door:?}: {what} (records: {states:?})",
                job.name,
                job.len()
            ));
        };
        match outcome {
            Ok(End::Complete) if complete.is_empty() => complain("was told to be complete".into()),
            Ok(_) => {}
            Err(why) => complain(why.clone()),
        }
        for record in &complete {
            let found = match folder.filter(|_| record.backend == "local") {
                Some(folder) => std::fs::read(folder.join(&record.object_key)).ok(),
                None => bucket.object(&record.object_key).await,
            };
            match found {
                None => complain(format!("{} is complete, and has no object", record.id)),
                Some(bytes) if bytes != *job.bytes => {
                    complain(format!("{} has {} other bytes", record.id, bytes.len()));
                }
                Some(_) => {}
            }
        }
        for record in own
            .iter()
            .filter(|record| matches!(record.state.as_str(), "open" | "completing"))
        {
            complain(format!("{} is still {}", record.id, record.state));
        }
        if own.iter().any(|record| record.state == "failed") {
            complain("an upload has failed".into());
        }
        verdict.complete += complete.len();
    }
    for name in by_name.keys() {
        verdict.complaints.push(format!("nobody sent {name:?}"));
    }
}

/// What is left that belongs to nothing.
async fn orphans(verdict: &mut Verdict, records: &[Record], bucket: &Bucket, folder: Option<&Path>) {
    let complete = records.iter().filter(|record| record.state == "complete");
    let kept: BTreeSet<String> = complete.map(|record| record.object_key.clone()).collect();
    let mut left = bucket.uploads().await;
    left.extend(
        bucket
            .objects()
            .await
            .into_iter()
            .filter(|key| !kept.contains(key)),
    );
    if let Some(folder) = folder {
        let files = files_below(folder);
        let own = files
            .iter()
            .map(|path| path.strip_prefix(folder).expect("below it"));
        left.extend(
            own.map(|path| path.display().to_string())
                .filter(|path| !kept.contains(path)),
        );
    }
    for orphan in left {
        let of = records
            .iter()
            .find(|record| orphan.contains(record.object_key.as_str()));
        let of = of.map(|record| format!("{} of {}, {}", record.protocol, record.filename, record.state));
        verdict
            .complaints
            .push(format!("a sweep leaves {orphan} ({})", of.unwrap_or_default()));
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
    {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// A look into the store, past program and proxy.
struct Bucket(S3Client);

impl Bucket {
    fn new(store: &str) -> Self {
        let signer = Signer {
            access_key_id: STORE_ID.into(),
            secret: STORE_SECRET.into(),
            token: None,
            region: "us-east-1".into(),
        };
        Self(S3Client::new(store, BUCKET, signer))
    }

    async fn object(&self, key: &str) -> Option<Vec<u8>> {
        let answer = self.0.get(key).await;
        (answer.status == 200).then_some(answer.body)
    }

    /// The keys of all objects.
    async fn objects(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let mut ask = self.0.ask("GET", "").query("list-type", "2");
            if let Some(last) = keys.last() {
                ask = ask.query("start-after", last);
            }
            let page = ask.send().await.tags("Key");
            if page.is_empty() {
                return keys;
            }
            keys.extend(page);
        }
    }

    /// The keys of all multipart uploads under way; a page of them is enough to complain.
    async fn uploads(&self) -> Vec<String> {
        self.0
            .ask("GET", "")
            .query("uploads", "")
            .send()
            .await
            .tags("Key")
    }
}

/// Says what happened, in figures.
pub fn report(name: &str, around: &Around, proxy: &Proxy, sent: &[Sent], took: Duration, verdict: &Verdict) {
    let mut doors: BTreeMap<Door, [usize; 2]> = BTreeMap::new();
    for one in sent {
        let counts = doors.entry(one.door).or_default();
        match one.outcome {
            Ok(End::Complete) => counts[0] += 1,
            Ok(End::Left) => counts[1] += 1,
            Err(_) => {}
        }
    }
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (blows, faults, ledger) = (&around.crew.blows, &proxy.counts, &around.ledger);
    let whole: usize = sent.iter().map(|one| one.job.len()).sum();
    println!("{name}: {} uploads in {took:.1?}: {doors:?}", sent.len());
    println!(
        "{name}: {} kills, {} pauses, {} stops; longest lease after a kill {} ms",
        of(&blows.kills),
        of(&blows.pauses),
        of(&blows.stops),
        of(&blows.longest_lease_ms)
    );
    println!(
        "{name}: {} requests to the store: {} slow, {} refused, {} cut, {} answers lost",
        of(&faults.requests),
        of(&faults.slow),
        of(&faults.busy),
        of(&faults.cut),
        of(&faults.lost)
    );
    println!(
        "{name}: {whole} bytes of files, {} sent; {} acknowledgements, {} retries, {} acknowledged bytes sent again",
        of(&ledger.sent),
        ledger.acknowledgements(),
        of(&ledger.retries),
        of(&ledger.needless)
    );
    println!(
        "{name}: {} records, {} complete; sweep: {}; {} complaints",
        verdict.records,
        verdict.complete,
        verdict.swept,
        verdict.complaints.len()
    );
}
