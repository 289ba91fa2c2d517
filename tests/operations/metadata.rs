//! Everybody who gives temporary credentials, on one loopback socket: an instance's metadata service (version 2), a
//! container's, an STS and an SSO portal; and a store that takes what they give until it is taken back.
//!
//! Separate from the tests, and by hand, so that nothing here shares a line with the library that asks.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use muleteer::dev_s3::{self, DevS3, DevS3Config, TemporaryKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::s3_client::{S3Client, Signer};

/// What askers must show: at the container's service, at the STS, and at the SSO portal.
pub const CONTAINER_TOKEN: &str = "the-token-of-the-pod";
pub const WEB_IDENTITY: &str = "the-web-identity";
pub const SSO_TOKEN: &str = "the-access-token-of-the-person";

pub const REGION: &str = "us-east-1";
const BUCKET: &str = "rotating";
const OWNER: (&str, &str) = ("owner", "the secret of the owner");
pub const SESSION: &str = "an-instance-session";

/// Credentials as they were given.
#[derive(Debug, Clone)]
pub struct Pair {
    pub id: String,
    secret: String,
    token: String,
    pub ends: DateTime<Utc>,
}

/// What the giver does with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Answers,
    /// Status 500, to everything.
    Fails,
    /// Nothing at all.
    Silent,
}

struct State {
    current: Pair,
    mood: Mood,
    asked: usize,
    issued: usize,
}

/// The giver and the store.
pub struct Giver {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    pub store: DevS3,
    state: Arc<Mutex<State>>,
    _folder: tempfile::TempDir,
}

impl Giver {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = dev_s3::start(DevS3Config {
            root: folder.path().join("s3"),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            access_key_id: OWNER.0.to_owned(),
            secret_access_key: OWNER.1.to_owned().into(),
            session_token: None,
            parts_only: None,
            region: REGION.to_owned(),
            bucket: BUCKET.to_owned(),
            min_part_size: 8,
            allow_remote: false,
            max_upload_age: Duration::from_hours(240),
        })
        .await
        .expect("the store starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("its address"));
        let none = Pair {
            id: String::new(),
            secret: String::new(),
            token: String::new(),
            ends: Utc::now(),
        };
        let state = Arc::new(Mutex::new(State {
            current: none,
            mood: Mood::Answers,
            asked: 0,
            issued: 0,
        }));
        let giver = Self {
            address,
            store,
            state: Arc::clone(&state),
            _folder: folder,
        };
        giver.issue(TimeDelta::hours(1));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
        giver
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a new pair from now on, which the store takes.
    pub fn issue(&self, life: TimeDelta) -> Pair {
        let mut state = self.state();
        state.issued += 1;
        let number = state.issued;
        let pair = Pair {
            id: format!("ASIA{number:08}"),
            secret: format!("secret/{number}+{number}"),
            token: format!("token/{number}=="),
            ends: Utc::now() + life,
        };
        self.store.admit(TemporaryKey {
            access_key_id: pair.id.clone(),
            secret_access_key: pair.secret.clone().into(),
            session_token: pair.token.clone(),
            expires_at: pair.ends,
        });
        state.current = pair.clone();
        pair
    }

    /// Gives a new pair, and has the store refuse the one before at once.
    pub fn rotate(&self, life: TimeDelta) -> Pair {
        let old = self.state().current.id.clone();
        let new = self.issue(life);
        self.store.withdraw(&old);
        new
    }

    pub fn be(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// How many requests came.
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    /// Somebody whose key never changes.
    pub fn owner(&self) -> S3Client {
        let signer = Signer {
            access_key_id: OWNER.0.to_owned(),
            secret: OWNER.1.to_owned(),
            token: None,
            region: REGION.to_owned(),
        };
        S3Client::new(&self.store.endpoint(), BUCKET, signer)
    }

    /// The variables of a server on this store, whose key the instance's service gives.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.without_instance();
        variables.retain(|(name, _)| *name != "AWS_EC2_METADATA_DISABLED");
        variables.push(("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.address.clone()));
        variables
    }

    /// The same without anybody who gives a key.
    pub fn without_instance(&self) -> Vec<(&'static str, String)> {
        [
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_REGION", REGION),
            ("S3_BUCKET", BUCKET),
            ("S3_ENDPOINT", &self.store.endpoint()),
            ("MULETEER_S3__MIN_PART_SIZE", "8"),
            ("MULETEER_UPLOADS__PART_SIZE", "16"),
            ("MULETEER_AUTH__API_KEY", super::server::API_KEY),
            ("MULETEER_METRICS__TOKEN", super::TOKEN),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
    }
}

impl Pair {
    fn end(&self) -> String {
        self.ends.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// As an instance, a container and a process give it.
    pub fn json(&self) -> String {
        let token = format!("\"Token\":\"{0}\",\"SessionToken\":\"{0}\"", self.token);
        format!(
            "{{\"Version\":1,\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"{}\",\"SecretAccessKey\":\"{}\",\
             {token},\"Expiration\":\"{}\"}}",
            self.id,
            self.secret,
            self.end()
        )
    }

    fn xml(&self) -> String {
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
             <SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
             </AssumeRoleWithWebIdentityResponse>",
            self.id,
            self.secret,
            self.token,
            self.end()
        )
    }

    fn portal(&self) -> String {
        format!(
            "{{\"roleCredentials\":{{\"accessKeyId\":\"{}\",\"secretAccessKey\":\"{}\",\"sessionToken\":\"{}\",\"expiration\":{}}}}}",
            self.id,
            self.secret,
            self.token,
            self.ends.timestamp_millis()
        )
    }
}

struct Question {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Some(question) = read(&mut stream).await else {
        return;
    };
    let (mood, current) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked += 1;
        (state.mood, state.current.clone())
    };
    let (status, body) = match mood {
        Mood::Answers => answer(&question, &current),
        Mood::Fails => (500, "not today".to_owned()),
        Mood::Silent => std::future::pending().await,
    };
    let kind = if body.starts_with('<') {
        "text/xml"
    } else {
        "application/json"
    };
    let head = format!(
        "HTTP/1.1 {status} Given\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         x-aws-ec2-metadata-token-ttl-seconds: 21600\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

fn answer(question: &Question, current: &Pair) -> (u16, String) {
    let shows = |name: &str, value: &str| question.headers.get(name).is_some_and(|found| found == value);
    let refused = (
        401,
        "{\"code\":\"Unauthorized\",\"message\":\"who is it?\"}".to_owned(),
    );
    let role = "/latest/meta-data/iam/security-credentials/";
    let is_in_session = shows("x-aws-ec2-metadata-token", SESSION);
    match question.line.as_str() {
        "PUT /latest/api/token"
            if question
                .headers
                .contains_key("x-aws-ec2-metadata-token-ttl-seconds") =>
        {
            (200, SESSION.to_owned())
        }
        line if line == format!("GET {role}") && is_in_session => (200, "uploader".to_owned()),
        line if line == format!("GET {role}uploader") && is_in_session => (200, current.json()),
        "GET /container" if shows("authorization", CONTAINER_TOKEN) => (200, current.json()),
        "POST /"
            if question.body.contains("Action=AssumeRoleWithWebIdentity&")
                && question
                    .body
                    .contains(&format!("WebIdentityToken={WEB_IDENTITY}")) =>
        {
            (200, current.xml())
        }
        line if line.starts_with("GET /federation/credentials?")
            && shows("x-amz-sso_bearer_token", SSO_TOKEN) =>
        {
            (200, current.portal())
        }
        _ => refused,
    }
}

async fn read(stream: &mut TcpStream) -> Option<Question> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let headers: BTreeMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = bytes.split_off(end);
    let mut rest = vec![0; length.saturating_sub(body.len())];
    stream.read_exact(&mut rest).await.ok()?;
    body.extend(rest);
    let line = head.lines().next()?.rsplit_once(' ')?.0.to_owned();
    Some(Question {
        line,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
