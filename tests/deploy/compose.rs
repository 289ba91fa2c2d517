//! The container image's file and `compose.yaml`: what they say is done here without containers, with the same scripts,
//! variables and program. Where Docker is, it reads the file as well.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use muleteer::config::Secret;

use super::s3_client::{S3Client, Signer};
use super::server::{Kind, TestServer, postgres};
use super::tools::{PROGRAM, Service, has, owner_of, script};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");
const COMPOSE: &str = include_str!("../../deploy/compose.yaml");

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The variables of the file that `make-env` makes.
fn variables(file: &Path) -> BTreeMap<String, String> {
    let content = std::fs::read_to_string(file).expect("the file");
    let lines = content.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What `compose.yaml` sets for the program, with `${NAME:?…}` and `${NAME:-…}` filled in.
fn settings(env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let lines = COMPOSE
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("MULETEER_"));
    let settings = lines.map(|line| {
        let (name, value) = line.split_once(": ").expect("a value");
        let mut filled = String::new();
        let mut rest = value;
        while let Some((before, inside)) = rest.split_once("${") {
            let (inside, after) = inside.split_once('}').expect("an end");
            let (variable, otherwise) = inside.split_once(":-").unwrap_or((inside, ""));
            let variable = variable.split(":?").next().expect("a name");
            filled += before;
            filled += env.get(variable).map_or(otherwise, String::as_str);
            rest = after;
        }
        (name.to_owned(), filled + rest)
    });
    settings.collect()
}

#[test]
fn every_secret_must_be_made_and_none_stands_in_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(".env");
    let path = file.to_str().expect("text");
    let first = script("make-env", &[path], folder.path());
    assert!(first.status.success(), "{}", said(&first));
    let made = variables(&file);
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let mut values: Vec<&String> = made.values().collect();
    values.sort();
    values.dedup();
    assert_eq!(values.len(), made.len(), "one secret for each purpose");
    for (name, value) in &made {
        assert!(value.len() >= 26, "{name}");
        assert!(
            COMPOSE.contains(&format!("${{{name}:?")),
            "{name} is not insisted on"
        );
        assert!(!said(&first).contains(value.as_str()), "{name} is told");
    }
    for line in COMPOSE.lines().filter(|line| !line.trim().starts_with('#')) {
        let is_secret = ["PASSWORD:", "SECRET:", "_KEY:", "_KEY_ID:"]
            .iter()
            .any(|word| line.contains(word));
        assert!(!is_secret || line.contains(":?"), "{line}");
    }

    let again = script("make-env", &[path], folder.path());
    assert!(
        again.status.success() && said(&again).contains("left as it is"),
        "{}",
        said(&again)
    );
    assert_eq!(variables(&file), made);
}

/// The secrets of a new installation, and a store in Garage's place: another S3 server with the same bucket, key and region.
struct Installation {
    folder: tempfile::TempDir,
    env: BTreeMap<String, String>,
    store: TestServer,
}

impl Installation {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(".env");
        let made = script("make-env", &[file.to_str().expect("text")], folder.path());
        assert!(made.status.success(), "{}", said(&made));
        let env = variables(&file);
        let store = TestServer::start(Kind::Sqlite, |config| {
            config.s3.region = "garage".into();
            config.dev_s3.bucket = "uploads".into();
            config.dev_s3.access_key_id.clone_from(&env["S3_ACCESS_KEY_ID"]);
            config.dev_s3.secret_access_key = Secret::new(env["S3_SECRET_ACCESS_KEY"].clone());
        });
        Self {
            folder,
            env,
            store: store.expect("SQLite is never skipped"),
        }
    }

    /// Runs what the service `bucket` runs, with its variables.
    fn allow(&self, origins: &str, secret: &str) -> Output {
        let mut command = Command::new(format!("{PROJECT}/deploy/bucket-cors"));
        command.env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").expect("a path"));
        command.envs([
            ("S3_ENDPOINT", self.store.store.as_str()),
            ("S3_REGION", "garage"),
            ("S3_BUCKET", "uploads"),
            ("AWS_ACCESS_KEY_ID", self.env["S3_ACCESS_KEY_ID"].as_str()),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("ALLOWED_ORIGINS", origins),
        ]);
        command.output().expect("it runs")
    }

    /// The program as the service `muleteer` has it, but for where database and store are.
    fn program(&self, database: &str, arguments: &[&str]) -> Command {
        let mut settings = settings(&self.env);
        assert!(settings.len() >= 10, "{settings:?}");
        let wanted = format!(
            "postgres://muleteer:{}@postgres/muleteer",
            self.env["POSTGRES_PASSWORD"]
        );
        let replaced = settings.insert("MULETEER_DATABASE__URL".into(), database.to_owned());
        assert_eq!(replaced, Some(wanted));
        let replaced = settings.insert("MULETEER_S3__ENDPOINT".into(), self.store.store.clone());
        assert_eq!(replaced.as_deref(), Some("http://garage:3900"));
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .envs(&settings)
            .current_dir(self.folder.path());
        command
            .args(arguments)
            .args(["--config", &format!("{PROJECT}/deploy/container.toml"), "--data"]);
        command.arg(self.folder.path());
        command
    }
}

#[tokio::test]
async fn the_bucket_lets_the_sites_in_that_are_named() {
    let place = Installation::new();
    let secret = &place.env["S3_SECRET_ACCESS_KEY"];

    let done = place.allow("https://a.example https://b.example", secret);

    assert!(done.status.success(), "{}", said(&done));
    let signer = Signer {
        access_key_id: place.env["S3_ACCESS_KEY_ID"].clone(),
        secret: secret.clone(),
        token: None,
        region: "garage".into(),
    };
    let store = S3Client::new(&place.store.store, "uploads", signer);
    let rules = store.ask("GET", "").query("cors", "").send().await;
    assert_eq!(
        rules.tags("AllowedOrigin"),
        ["https://a.example", "https://b.example"],
        "{rules:?}"
    );
    assert_eq!(rules.tags("ExposeHeader"), ["ETag", "Location"]);
    let refused = place.allow("*", "a wrong secret, of enough characters");
    assert!(!refused.status.success(), "{}", said(&refused));
}

#[tokio::test]
async fn what_compose_starts_works_together_and_says_whether_it_is_well() {
    let Some(database) = postgres::fresh_database() else {
        eprintln!("without Postgres: MULETEER_TEST_POSTGRES=skip");
        return;
    };
    let place = Installation::new();
    let (service, base) = Service::start(place.program(&database, &["serve", "--port", "0"]));
    let port = base.rsplit(':').next().expect("a port");
    let local = format!("http://127.0.0.1:{port}");
    let health = |path: &str| {
        let mut asking = place.program(&database, &["health", "--url", &format!("{local}{path}")]);
        asking.output().expect("it runs")
    };

    let ready = health("/health/ready");
    assert!(
        ready.status.success() && said(&ready).contains("\"ready\""),
        "{}",
        said(&ready)
    );
    assert_eq!(owner_of(&local, &place.env["API_KEY"]).await, "default");
    let mut own = place.program(&database, &["health"]);
    let own = own.env("MULETEER_SERVER__PORT", port).output().expect("it runs");
    assert!(own.status.success(), "{}", said(&own));
    let missing = health("/health/nothing");
    assert_eq!(missing.status.code(), Some(1), "{}", said(&missing));
    service.stop();
    assert_eq!(health("/health/live").status.code(), Some(1));
}

#[test]
fn the_image_is_built_from_all_that_a_build_needs() {
    let allowed = include_str!("../../.dockerignore");
    let context = tempfile::tempdir().expect("a folder");
    for path in allowed.lines().filter_map(|line| line.strip_prefix('!')) {
        let to = context.path().join(path);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        let copied = Command::new("cp")
            .args(["-R", &format!("{PROJECT}/{path}")])
            .arg(to)
            .status();
        assert!(copied.expect("cp").success(), "{path}");
    }
    for path in compiled_in() {
        assert!(context.path().join(&path).exists(), "{path} is compiled in");
    }
    // Every target that is named there has to have its source.
    let mut read = Command::new(env!("CARGO"));
    read.current_dir(context.path());
    read.args([
        "metadata",
        "--format-version=1",
        "--no-deps",
        "--offline",
        "--locked",
    ]);
    let read = read.output().expect("cargo runs");
    assert!(read.status.success(), "{}", said(&read));
    for (copied, from) in include_str!("../../deploy/Dockerfile")
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .map(|line| (line, line.split(' ').next().expect("a source")))
        .filter(|(line, _)| !line.starts_with("--from"))
    {
        assert!(context.path().join(from).exists(), "{copied}");
    }
    let lock = include_str!("../../Cargo.toml")
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    let version = lock.expect("a version").trim_matches('"');
    assert!(include_str!("../../deploy/Dockerfile").contains(&format!("FROM rust:{version}-")));
}

/// The files that the program's source has compiled in, from the project's folder on.
fn compiled_in() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(format!("{PROJECT}/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).expect("text");
            for piece in source.split("include_").skip(1) {
                let text = piece
                    .strip_prefix("str!(\"")
                    .or_else(|| piece.strip_prefix("bytes!(\""));
                let Some((named, _)) = text.and_then(|text| text.split_once('"')) else {
                    continue;
                };
                let place = folder.join(named).canonicalize();
                let place = place.unwrap_or_else(|error| panic!("{}: {named}: {error}", path.display()));
                let below = place.strip_prefix(std::path::Path::new(PROJECT).canonicalize().expect("there"));
                found.push(below.expect("in the project").display().to_string());
            }
        }
    }
    assert!(
        found.iter().any(|path| path == "Rocket.toml.example"),
        "{found:?}"
    );
    found
}

#[test]
fn docker_reads_the_file_where_there_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(".env");
    let made = script("make-env", &[file.to_str().expect("text")], folder.path());
    assert!(made.status.success(), "{}", said(&made));
    let mut command = match Command::new("docker").args(["compose", "version"]).output() {
        Ok(output) if output.status.success() => {
            let mut docker = Command::new("docker");
            docker.arg("compose");
            docker
        }
        _ if has("docker-compose") => Command::new("docker-compose"),
        _ => return,
    };
    let compose = format!("{PROJECT}/deploy/compose.yaml");
    let arguments = [
        "--env-file",
        file.to_str().expect("text"),
        "-f",
        &compose,
        "config",
        "-q",
    ];
    let output = command.args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", said(&output));
}
