//! A database on a network file system: mounted for real, in name spaces of its own that end with the program.

use std::process::{Command, Output};

use super::commands::{findings, json};
use super::process::Place;

/// Mounts at `$1` what is an sshfs to the kernel, whose other end is gone, and runs the rest of the arguments beside it.
const MOUNT: &str = "exec 3<>/dev/fuse && mount -i -t fuse.sshfs -o fd=3,rootmode=40000,user_id=0,group_id=0 \
                     files@far.example: \"$1\" && exec 3>&- && shift && exec \"$@\"";

fn beside_a_mount(place: &Place, program: &[&str], variables: &[(&str, &str)]) -> std::io::Result<Output> {
    let mounted = place.path().join("far");
    std::fs::create_dir_all(&mounted).expect("a folder");
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"])
        .arg(mounted)
        .args(program)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(variables.iter().copied())
        .current_dir(place.path())
        .output()
}

#[test]
fn a_database_on_a_network_file_system_is_named_with_the_setting_that_puts_it_there() {
    if std::env::var("MULETEER_TEST_MOUNTS").is_ok_and(|value| value == "skip") {
        return eprintln!("without a mount: MULETEER_TEST_MOUNTS=skip");
    }
    let place = Place::new();
    let may_mount = beside_a_mount(&place, &["true"], &[]);
    assert!(
        may_mount.as_ref().is_ok_and(|output| output.status.success()),
        "nobody may mount anything here; where that is known, set MULETEER_TEST_MOUNTS=skip: {may_mount:?}"
    );
    let far = place.path().canonicalize().expect("a path").join("far");
    let far = far.to_str().expect("UTF-8");
    let file = format!("sqlite://{far}/uploads.sqlite");

    for (variable, value, setting) in [
        (
            "MULETEER_DATA_DIR",
            far,
            "set data_dir to a folder on a local disk",
        ),
        (
            "DATABASE_URL",
            file.as_str(),
            "set database.url to a file on a local disk",
        ),
    ] {
        let doctor = [env!("CARGO_BIN_EXE_muleteer"), "doctor", "--json"];
        let output = beside_a_mount(&place, &doctor, &[(variable, value)]).expect("it starts");

        let found = findings(&json(&output));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        // Nobody answers for the files there, which is another finding.
        assert_eq!(
            names,
            ["sqlite-network-file-system", "database-unusable"],
            "{output:?}"
        );
        assert!(found[0].1.starts_with(setting), "{found:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("fuse.sshfs"),
            "{output:?}"
        );
    }
}
