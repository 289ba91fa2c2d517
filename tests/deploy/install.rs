//! The installers, run for real into a folder, and what they lay there, started.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::tools::{PROGRAM, Service, fine, mode, owner_of, read, script, secret, text};

/// A folder to install into, and its parts on Linux.
struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn linux(&self, arguments: &[&str]) -> Output {
        let root = self.folder.path().to_str().expect("text");
        script(
            "install-linux.sh",
            &[&["--root", root], arguments].concat(),
            self.folder.path(),
        )
    }

    /// Starts what is installed, with the unit's settings, on free ports and in a data folder of the test's.
    fn serve(&self) -> (Service, String) {
        let mut command = Command::new(self.path("usr/local/bin/muleteer"));
        command.env_clear().current_dir(self.path("etc/muleteer"));
        command.args([
            "serve",
            "--config",
            "Rocket.toml",
            "--port",
            "0",
            "--s3-port",
            "0",
            "--data",
        ]);
        command.arg(self.path("data"));
        Service::start(command)
    }
}

#[tokio::test]
async fn on_linux_what_is_installed_serves_with_secrets_of_its_own() {
    let root = Root::new();
    let said = fine(&root.linux(&["--binary", PROGRAM]));

    let env = root.path("etc/muleteer/.env");
    let key = secret(&env, "MULETEER_AUTH__API_KEY");
    assert_eq!(key.len(), 64);
    assert!(
        !said.contains(&key),
        "what is on a screen is in its history, too: {said}"
    );
    assert_ne!(key, secret(&env, "MULETEER_AUTH__SECRET"));
    for (path, expected) in [
        ("etc/muleteer", 0o750),
        ("etc/muleteer/.env", 0o640),
        ("etc/muleteer/Rocket.toml", 0o640),
        ("var/lib/muleteer", 0o700),
        ("usr/local/bin/muleteer", 0o755),
        ("etc/systemd/system/muleteer.service", 0o644),
    ] {
        assert_eq!(mode(&root.path(path)), expected, "{path}");
    }
    let (service, base) = root.serve();
    assert_eq!(owner_of(&base, &key).await, "default");
    service.stop();
    let another = Root::new();
    fine(&another.linux(&["--binary", PROGRAM]));
    assert_ne!(
        key,
        secret(&another.path("etc/muleteer/.env"), "MULETEER_AUTH__API_KEY")
    );
}

#[test]
fn on_linux_again_is_an_upgrade_that_leaves_settings_and_secrets_alone() {
    let root = Root::new();
    fine(&root.linux(&["--binary", PROGRAM, "--storage", "/srv/our films", "--mounted"]));
    let own = "[default]\nlog.format = \"json\"\n";
    let settings = root.path("etc/muleteer/Rocket.toml");
    std::fs::write(&settings, own).expect("written");
    let secrets = read(&root.path("etc/muleteer/.env"));
    let unit = root.path("etc/systemd/system/muleteer.service");
    let (new_unit, drop_in) = (
        read(&unit),
        root.path("etc/systemd/system/muleteer.service.d/storage.conf"),
    );
    let wanted = read(&drop_in);
    std::fs::write(&unit, "old").expect("written");
    let newer = root.path("newer");
    std::fs::write(&newer, "#!/bin/sh\necho newer\n").expect("written");

    let said = fine(&root.linux(&["--binary", newer.to_str().expect("text")]));

    assert!(said.contains("left as it is"), "{said}");
    assert_eq!(read(&settings), own);
    assert_eq!(read(&root.path("etc/muleteer/.env")), secrets);
    assert_eq!(read(&unit), new_unit);
    assert_eq!(read(&drop_in), wanted);
    let program = Command::new(root.path("usr/local/bin/muleteer")).output();
    assert_eq!(program.expect("it is executable").stdout, b"newer\n");
}

#[tokio::test]
async fn on_linux_a_folder_for_files_is_used_waited_for_and_opened_to_the_service() {
    let root = Root::new();
    fine(&root.linux(&["--binary", PROGRAM, "--storage", "/srv/our films", "--mounted"]));

    let drop_in = read(&root.path("etc/systemd/system/muleteer.service.d/storage.conf"));
    for line in [
        "RequiresMountsFor=/srv/our\\x20films",
        "ReadWritePaths=/srv/our\\x20films",
        "ExecStartPre=+\"/usr/local/lib/muleteer/wait-for-mount\" \"/srv/our films\"",
        "TimeoutStartSec=infinity",
    ] {
        assert!(
            drop_in.lines().any(|own| own == line),
            "{line} is not in {drop_in}"
        );
    }
    assert!(!root.path("srv").exists(), "what is to be mounted is not made");
    let settings = read(&root.path("etc/muleteer/Rocket.toml"));
    assert!(settings.contains("backend = \"local\"") && settings.contains("path = \"/srv/our films\""));

    let further_up = ["--storage", "/mnt/disk/films", "--mount", "/mnt/disk"];
    let said = fine(&root.linux(&[&["--binary", PROGRAM], &further_up[..]].concat()));
    assert!(said.contains("does not name /mnt/disk/films"), "{said}");
    let drop_in = read(&root.path("etc/systemd/system/muleteer.service.d/storage.conf"));
    assert!(drop_in.contains("wait-for-mount\" \"/mnt/disk\""), "{drop_in}");
    assert!(drop_in.contains("ReadWritePaths=/mnt/disk\n"), "{drop_in}");
}

#[test]
fn on_linux_removing_keeps_what_cannot_be_made_again_unless_that_is_asked_for() {
    let root = Root::new();
    fine(&root.linux(&["--binary", PROGRAM, "--storage", "/srv/films"]));
    std::fs::write(root.path("var/lib/muleteer/muleteer.sqlite"), "records").expect("written");

    fine(&root.linux(&["--uninstall"]));
    for gone in [
        "usr/local/bin/muleteer",
        "usr/local/lib/muleteer",
        "etc/systemd/system/muleteer.service",
        "etc/systemd/system/muleteer.service.d",
    ] {
        assert!(!root.path(gone).exists(), "{gone}");
    }
    for kept in [
        "etc/muleteer/.env",
        "etc/muleteer/Rocket.toml",
        "var/lib/muleteer/muleteer.sqlite",
        "srv/films",
    ] {
        assert!(root.path(kept).exists(), "{kept}");
    }
    fine(&root.linux(&["--uninstall"]));

    fine(&root.linux(&["--uninstall", "--purge"]));
    assert!(!root.path("etc/muleteer").exists() && !root.path("var/lib/muleteer").exists());
    assert!(
        root.path("srv/films").exists(),
        "the files are nobody's to remove"
    );
}

#[test]
fn mistakes_are_named_and_nothing_is_laid_down() {
    for (installer, arguments, complaint) in [
        (
            "install-linux.sh",
            vec!["--storage", "films"],
            "must be a whole path",
        ),
        (
            "install-linux.sh",
            vec!["--storage", "/srv/a\"b"],
            "--storage may have none of",
        ),
        (
            "install-linux.sh",
            vec!["--storage", "/home/me/films"],
            "closed to it",
        ),
        (
            "install-linux.sh",
            vec!["--mounted"],
            "--mounted and --mount need --storage",
        ),
        ("install-linux.sh", vec!["--purge"], "--purge needs --uninstall"),
        (
            "install-linux.sh",
            vec!["--binary", "/nowhere/muleteer"],
            "there is no file",
        ),
        ("install-linux.sh", vec!["--bianry", PROGRAM], "--binary FILE"),
        (
            "install-mac.sh",
            vec!["--storage", "films"],
            "must be a whole path",
        ),
        (
            "install-mac.sh",
            vec!["--mounted"],
            "--mounted and --mount need --storage",
        ),
        ("install-mac.sh", vec!["--home"], "--home DIR"),
    ] {
        let root = Root::new();
        let folder = root.folder.path().to_str().expect("text");
        let output = script(
            installer,
            &[&["--root", folder], &arguments[..]].concat(),
            root.folder.path(),
        );
        let said = text(&output.stderr);
        assert!(
            !output.status.success() && said.contains(complaint),
            "{arguments:?}: {said}"
        );
        let laid = std::fs::read_dir(folder).expect("the folder").count();
        assert_eq!(laid, 0, "{arguments:?}");
    }
}

/// The agent as launchd would read it.
fn agent(file: &Path) -> Value {
    let code = "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    let output = Command::new("python3").args(["-c", code]).arg(file).output();
    let output = output.expect("python3 is needed for this test");
    serde_json::from_str(&fine(&output)).expect("JSON")
}

#[tokio::test]
async fn on_a_mac_the_agent_starts_what_is_installed_and_waits_for_a_mount() {
    // `/` is the root, so that the paths in the agent are real ones; everything is below the person's home.
    let films = format!("/dev/shm/muleteer-test-{}", std::process::id());
    let below = [films.as_str(), "--mount", "/dev/shm"];
    for (storage, words) in [
        (None, 2),
        (Some(&["/dev/shm", "--mounted"][..]), 4),
        (Some(&below[..]), 4),
    ] {
        let home = tempfile::tempdir().expect("a folder");
        let mut arguments = vec!["--root", "/", "--binary", PROGRAM];
        if let Some(storage) = storage {
            arguments.push("--storage");
            arguments.extend(storage);
        }
        fine(&script("install-mac.sh", &arguments, home.path()));
        let own = home.path().join("Library/Application Support/Muleteer");
        let place = home.path().join("Library/LaunchAgents/org.muleteer.server.plist");
        let agent = agent(&place);
        assert_eq!(agent["WorkingDirectory"], own.to_str().expect("text"));
        assert_eq!(agent["KeepAlive"]["SuccessfulExit"], false);
        assert!(agent["ExitTimeOut"].as_u64().expect("seconds") > 30);
        assert_eq!((mode(&own), mode(&own.join(".env"))), (0o700, 0o600));
        let program = agent["ProgramArguments"].as_array().expect("words");
        let program: Vec<&str> = program.iter().filter_map(Value::as_str).collect();
        assert_eq!(program.len(), words, "{program:?}");

        let mut command = Command::new(program[0]);
        command
            .args(&program[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&own);
        command.envs([("MULETEER_SERVER__PORT", "0"), ("MULETEER_DEV_S3__PORT", "0")]);
        if storage.is_some() {
            command.env("LOCAL_STORAGE_PATH", own.join("files"));
        }
        let (service, base) = Service::start(command);
        let key = secret(&own.join(".env"), "MULETEER_AUTH__API_KEY");
        assert_eq!(owner_of(&base, &key).await, "default");
        service.stop();

        let before = read(&own.join(".env"));
        let as_it_was = read(&place);
        std::fs::write(&place, "an older agent").expect("written");
        fine(&script(
            "install-mac.sh",
            &["--root", "/", "--binary", PROGRAM],
            home.path(),
        ));
        assert_eq!(read(&own.join(".env")), before);
        assert_eq!(
            read(&place),
            as_it_was,
            "an upgrade replaces it, and keeps what it waits for"
        );
        fine(&script(
            "install-mac.sh",
            &["--root", "/", "--uninstall", "--purge"],
            home.path(),
        ));
        assert!(!own.exists());
    }
}
