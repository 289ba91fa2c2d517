//! What every command that speaks to a running server needs: where it is, and a key of it.

/// The address where `--server` is not given.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// `MULETEER_API_KEY`, unless it is empty.
pub fn key_of_environment() -> Option<String> {
    variable("MULETEER_API_KEY")
}

/// `MULETEER_URL`, else [`DEFAULT_SERVER`].
pub fn server_of_environment() -> String {
    variable("MULETEER_URL").unwrap_or_else(|| DEFAULT_SERVER.to_owned())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
