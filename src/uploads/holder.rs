//! This process's name in leases, and whether another's name is that of a process that has died.
//!
//! Separate from the leases, because it is about processes: a server that was killed and started again should not have to
//! wait for its own leases to run out. Where the system tells (Linux), the name says which process it is; elsewhere, and for
//! processes of other machines, a lease simply runs out.

use std::fs;

use uuid::Uuid;

/// What makes process numbers comparable: the same boot of the same kernel, and the same namespace of numbers.
fn world() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}:{}", boot.trim(), namespace.display()))
}

/// When a process started, in ticks since the machine did: a number that is given again later starts at another time.
/// See <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>, field 22.
fn started(process: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The program's name stands in parentheses, and may hold anything.
    let fields = stat.rsplit_once(')')?.1;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

/// A name for this process that no other has.
pub(super) fn own_name() -> String {
    let process = std::process::id().to_string();
    let unique = Uuid::new_v4().simple();
    match (world(), started(&process)) {
        (Some(world), Some(started)) => format!("{world} {process} {started} {unique}"),
        _ => unique.to_string(),
    }
}

/// Whether the holder of this name has certainly died.
pub(super) fn has_died(name: &str) -> bool {
    let mut pieces = name.split(' ');
    let (Some(its_world), Some(process), Some(its_start)) = (pieces.next(), pieces.next(), pieces.next())
    else {
        return false;
    };
    world().is_some_and(|world| world == its_world)
        && process.bytes().all(|byte| byte.is_ascii_digit())
        && started(process).as_deref() != Some(its_start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_alive_and_others_only_dead_where_that_is_certain() {
        assert!(!has_died(&own_name()));
        for name in ["", "somebody", "another-world 1 1 x", &Uuid::new_v4().to_string()] {
            assert!(!has_died(name), "{name}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_has_ended_is_dead_also_where_its_number_was_given_again() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = child.id().to_string();
        let name = format!("{} {process} {} x", world().unwrap(), started(&process).unwrap());
        assert!(!has_died(&name));
        let earlier = format!("{} {process} 1 x", world().unwrap());
        assert!(has_died(&earlier));

        child.kill().unwrap();
        child.wait().unwrap();

        assert!(has_died(&name));
    }
}
