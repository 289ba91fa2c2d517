//! What other programs read or run: the unit, and the scripts.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::tools::{DEPLOY, PROGRAM, fine, has, read, text};

#[test]
fn a_folder_on_which_nothing_is_mounted_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let echo = |before: &[&str], folder: &Path| {
        let script = format!("{DEPLOY}/wait-for-mount");
        let words = [before, &[&script]].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .arg(folder)
            .args(["echo", "mounted at last"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("the script runs")
    };
    let mounted = echo(&["timeout", "60"], Path::new("/proc"))
        .wait_with_output()
        .expect("its output");
    assert_eq!(text(&mounted.stdout), "mounted at last\n");
    assert_eq!(text(&mounted.stderr), "");

    for absent in [folder.path().to_owned(), folder.path().join("not there")] {
        let mut waiting = echo(&[], &absent);
        let mut line = String::new();
        let said = waiting.stderr.take().expect("its words");
        BufReader::new(said).read_line(&mut line).expect("a line");
        assert!(
            line.starts_with("waiting until something is mounted at "),
            "{line}"
        );
        assert!(waiting.try_wait().expect("its state").is_none(), "it waits");
        waiting.kill().expect("killed");
        waiting.wait().expect("its end");
    }
}

#[test]
fn the_unit_is_one_and_is_closed_to_what_it_does_not_need() {
    if !has("systemd-analyze") {
        return;
    }
    let root = tempfile::tempdir().expect("a folder");
    let unit = root.path().join("muleteer.service");
    // The program has to be where the unit says.
    let content = read(Path::new(&format!("{DEPLOY}/muleteer.service")));
    let content = content.replace("/usr/local/bin/muleteer", PROGRAM);
    std::fs::write(&unit, content).expect("written");
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze")
            .args(arguments)
            .arg(&unit)
            .output();
        fine(&output.expect("it runs"))
    };

    let complaints = analyze(&["verify", "--man=no"]);
    assert_eq!(
        complaints
            .lines()
            .filter(|line| line.contains("muleteer"))
            .count(),
        0,
        "{complaints}"
    );
    // Tenths; a unit without any of it has 9.6. It fails above.
    analyze(&["security", "--offline=true", "--no-pager", "--threshold=20"]);
}

#[test]
fn the_shell_scripts_have_no_known_mistakes() {
    let scripts = [
        "install-linux.sh",
        "install-mac.sh",
        "make-env",
        "bucket-cors",
        "wait-for-mount",
    ];
    for name in scripts {
        let parsed = Command::new("sh")
            .arg("-n")
            .arg(format!("{DEPLOY}/{name}"))
            .output();
        fine(&parsed.expect("it runs"));
    }
    if has("shellcheck") {
        let mut command = Command::new("shellcheck");
        command
            .current_dir(DEPLOY)
            .arg("-x")
            .args(scripts)
            .arg("common.sh")
            .arg("../scripts/proxy");
        fine(&command.output().expect("it runs"));
    }
}
