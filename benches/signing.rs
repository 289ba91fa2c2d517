//! What a signed part URL costs: ours, `aws-sigv4`'s own, and a whole upload of ten thousand parts.
//!
//! Two measurements in one run: divan's table (wall time, best read by its fastest column), and then CPU time,
//! taken from the scheduler, which other programs on the machine do not disturb. The second one is held against
//! the bar of `benches/README.md`, and the run fails where it is missed.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningParams, SigningSettings,
    UriPathNormalizationMode,
};
use aws_smithy_runtime_api::client::identity::Identity;
use chrono::{DateTime, Utc};
use divan::{Bencher, counter::ItemsCount};
use muleteer::signing::{
    BucketLocation, Credentials, MultipartUpload, Operation, PartSigner, SigningKeys, v2, v4,
};

const PARTS: u16 = 10_000;
const PART_SIZE: u64 = 6 << 20;
const TTL: Duration = Duration::from_hours(1);
const KEY: &str = "uploads/0198c2f4-6c1e-7d3a-9a53-0b7c1f0f9a11/holiday film.mp4";
/// As long as those that AWS issues.
const UPLOAD_ID: &str = "VXBsb2FkSUQtZm9yLWEtbGFyZ2UtZmlsZS1hcy1hd3MtaXNzdWVzLXRoZW0taW4tcHJhY3RpY2UuVXBsb2FkSUQt\
                         Zm9yLWEtbGFyZ2UtZmlsZS1hcy1hd3M-";

fn main() -> ExitCode {
    divan::main();
    let only_a_check = std::env::args().any(|argument| argument == "--test" || argument == "--list");
    if only_a_check {
        ExitCode::SUCCESS
    } else {
        compare_cpu_time()
    }
}

struct Fixture {
    keys: SigningKeys,
    location: BucketLocation,
    credentials: Credentials,
    now: DateTime<Utc>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            keys: SigningKeys::new(),
            location: BucketLocation::aws("media-uploads", "eu-west-1").expect("a valid location"),
            credentials: Credentials::long_term(
                "AKIAIOSFODNN7EXAMPLE",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            ),
            now: DateTime::from_timestamp(1_777_975_200, 0).expect("a valid time"),
        }
    }

    fn signer(&self) -> PartSigner {
        let upload = MultipartUpload {
            key: KEY,
            upload_id: UPLOAD_ID,
        };
        PartSigner::new(
            &self.keys,
            &self.location,
            &self.credentials,
            upload,
            self.now,
            TTL,
        )
        .expect("a signer")
    }

    fn part(number: u16) -> Operation<'static> {
        Operation::UploadPart {
            upload_id: UPLOAD_ID,
            part_number: number,
            content_length: PART_SIZE,
        }
    }
}

/// `aws-sigv4` at its best: whatever can be shared between two parts is built once.
struct AwsSigV4 {
    identity: Identity,
    settings: SigningSettings,
    head: String,
    region: String,
    now: DateTime<Utc>,
}

impl AwsSigV4 {
    fn new(fixture: &Fixture) -> Self {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(TTL);
        let identity = aws_credential_types::Credentials::new(
            &fixture.credentials.access_key_id,
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            None,
            None,
            "bench",
        );
        Self {
            identity: identity.into(),
            settings,
            head: format!("{}?partNumber=", fixture.location.url(KEY)),
            region: fixture.location.region().to_owned(),
            now: fixture.now,
        }
    }

    fn params(&self) -> SigningParams<'_> {
        aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name("s3")
            .time(self.now.into())
            .settings(self.settings.clone())
            .build()
            .expect("complete parameters")
            .into()
    }

    fn url(&self, params: &SigningParams<'_>, number: u16) -> String {
        let mut url = format!("{}{number}&uploadId={UPLOAD_ID}", self.head);
        let length = PART_SIZE.to_string();
        let headers = std::iter::once(("content-length", length.as_str()));
        let request =
            SignableRequest::new("PUT", &url, headers, SignableBody::UnsignedPayload).expect("a URL");
        let signed = aws_sigv4::http_request::sign(request, params).expect("a signature");
        for (name, value) in signed.into_parts().0.params() {
            url.extend(["&", name, "=", &value.replace('/', "%2F").replace(';', "%3B")]);
        }
        url
    }
}

#[divan::bench]
fn part_signature(bencher: Bencher<'_, '_>) {
    let signer = Fixture::new().signer();
    bencher.bench_local(|| signer.sign(black_box(4711), black_box(PART_SIZE)));
}

#[divan::bench]
fn part_url(bencher: Bencher<'_, '_>) {
    let signer = Fixture::new().signer();
    bencher.bench_local(|| signer.url(black_box(4711), black_box(PART_SIZE)));
}

#[divan::bench]
fn part_url_by_aws_sigv4(bencher: Bencher<'_, '_>) {
    let aws = AwsSigV4::new(&Fixture::new());
    let params = aws.params();
    bencher.bench_local(|| aws.url(&params, black_box(4711)));
}

#[divan::bench]
fn presign_one_part(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    bencher.bench_local(|| {
        let Fixture {
            location,
            credentials,
            now,
            ..
        } = &fixture;
        v4::presign(
            Fixture::part(black_box(4711)),
            KEY,
            location,
            credentials,
            *now,
            TTL,
        )
    });
}

#[divan::bench]
fn sigv2_header_of_one_part(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    bencher.bench_local(|| {
        let Fixture {
            location,
            credentials,
            now,
            ..
        } = &fixture;
        v2::sign(
            Fixture::part(black_box(4711)),
            KEY,
            location,
            credentials,
            *now,
            "video/mp4",
        )
    });
}

#[divan::bench]
fn signer_with_its_key_cached(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    bencher.bench_local(|| fixture.signer());
}

#[divan::bench]
fn signer_with_a_new_key(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(Fixture::new)
        .bench_local_refs(|fixture| fixture.signer());
}

#[divan::bench]
fn ten_thousand_urls_of_one_upload(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::new();
    bencher.counter(ItemsCount::new(PARTS)).bench_local(|| {
        let signer = fixture.signer();
        (1..=PARTS).for_each(|number| drop(black_box(signer.url(number, PART_SIZE))));
    });
}

/// CPU time of this thread; wall time where the system does not tell.
fn cpu_time(start: Instant) -> Duration {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Turns about, so that both meet the same machine; the best of several rounds each.
fn compare_cpu_time() -> ExitCode {
    const ROUNDS: usize = 7;
    let fixture = Fixture::new();
    let aws = AwsSigV4::new(&fixture);
    let params = aws.params();
    let signer = fixture.signer();
    assert_eq!(
        signer.url(4711, PART_SIZE),
        aws.url(&params, 4711),
        "both must sign the same URL"
    );

    let start = Instant::now();
    let measure = |uploads: u32, work: &dyn Fn()| {
        let before = cpu_time(start);
        (0..uploads).for_each(|_| work());
        cpu_time(start).saturating_sub(before).as_secs_f64() * 1e9 / f64::from(uploads) / f64::from(PARTS)
    };
    let our_work = || {
        let signer = fixture.signer();
        (1..=PARTS).for_each(|number| drop(black_box(signer.url(number, PART_SIZE))));
    };
    let their_work = || (1..=PARTS).for_each(|number| drop(black_box(aws.url(&params, number))));
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        ours = ours.min(measure(100, &our_work));
        theirs = theirs.min(measure(10, &their_work));
    }

    let milliseconds = ours * f64::from(PARTS) / 1e6;
    println!("\nCPU time, best of {ROUNDS} rounds");
    println!("  aws-sigv4   {theirs:>7.0} ns a URL");
    println!(
        "  PartSigner  {ours:>7.0} ns a URL, {:.1} times less",
        theirs / ours
    );
    println!("  PartSigner  {milliseconds:>7.2} ms for {PARTS} URLs of one upload, signer included");
    if ours * 10.0 <= theirs && milliseconds <= 8.0 {
        println!("  bar (a tenth of aws-sigv4, 8 ms for {PARTS}): met");
        ExitCode::SUCCESS
    } else {
        println!("  bar (a tenth of aws-sigv4, 8 ms for {PARTS}): MISSED");
        ExitCode::FAILURE
    }
}
