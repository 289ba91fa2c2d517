//! Rebuilds the crate when a migration changes: they are embedded by a macro, which cargo cannot look into.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
