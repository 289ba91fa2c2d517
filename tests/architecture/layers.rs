//! The table of layers, as `docs/ARCHITECTURE.md` draws them: what each module may use, and what it never mentions.
//!
//! Separate from the rules (`architecture.rs`), so that whoever draws a layer anew finds nothing else here.

/// One row of the layer table.
pub struct Layer {
    /// Top-level modules of `src/` that the row is about.
    pub modules: &'static [&'static str],
    /// Our other top-level modules that these may name; [`EVERYTHING`] for the modules that put all together.
    pub may_use: &'static [&'static str],
    /// Beginnings of outside paths that these must not name.
    pub never: &'static [&'static str],
}

pub const EVERYTHING: &[&str] = &["*"];
const WEB_AND_DATABASE: &[&str] = &["actix", "diesel", "utoipa", "askama"];

pub const LAYERS: &[Layer] = &[
    // Pure rules: testable without a runtime, a clock or a disk.
    Layer {
        modules: &["domain", "signing"],
        may_use: &["error"],
        never: &[
            "actix",
            "diesel",
            "tokio",
            "std::fs",
            "std::net::TcpListener",
            "std::net::TcpStream",
            "std::net::UdpSocket",
            "std::net::ToSocketAddrs",
            "reqwest",
            "hyper",
            "s3s",
        ],
    },
    Layer {
        modules: &["error"],
        may_use: &["domain"],
        never: WEB_AND_DATABASE,
    },
    Layer {
        modules: &["clock"],
        may_use: &[],
        never: WEB_AND_DATABASE,
    },
    // What is counted: told by everybody else, and asks nobody.
    Layer {
        modules: &["metrics"],
        may_use: &["domain"],
        never: &["actix", "diesel", "reqwest", "utoipa", "askama", "tokio"],
    },
    Layer {
        modules: &["telemetry"],
        may_use: &["domain", "config"],
        never: &["actix", "diesel", "utoipa", "askama"],
    },
    Layer {
        modules: &["config"],
        may_use: &["domain", "error"],
        never: WEB_AND_DATABASE,
    },
    Layer {
        modules: &["db"],
        may_use: &["domain", "error", "signing", "config", "metrics", "telemetry"],
        never: &["actix", "reqwest"],
    },
    Layer {
        modules: &["storage"],
        may_use: &[
            "domain",
            "error",
            "signing",
            "config",
            "clock",
            "metrics",
            "telemetry",
        ],
        never: &["actix", "diesel"],
    },
    Layer {
        modules: &["uploads"],
        may_use: &[
            "domain",
            "db",
            "storage",
            "signing",
            "clock",
            "error",
            "config",
            "metrics",
            "telemetry",
        ],
        never: &["actix", "diesel", "reqwest", "utoipa", "askama"],
    },
    // Brings events to their receivers, and asks in the verbs' name; what is said and asked was decided by the verbs.
    Layer {
        modules: &["hooks"],
        may_use: &["uploads", "domain", "db", "clock", "error", "config", "metrics"],
        never: &["actix", "diesel", "utoipa", "askama"],
    },
    // Who is asking. Where a credential stands in a request is the business of `web`; whom the application knows, and by
    // which keys its tokens are known, is asked from here.
    Layer {
        modules: &["identity"],
        may_use: &["domain", "db", "signing", "clock", "error", "config"],
        never: WEB_AND_DATABASE,
    },
    Layer {
        modules: &["web"],
        may_use: &[
            "uploads",
            "identity",
            "domain",
            "error",
            "config",
            "clock",
            "metrics",
            "telemetry",
        ],
        never: &["diesel", "reqwest"],
    },
    // A protocol renders what was signed, so it may name the (plain) types of `signing`.
    Layer {
        modules: &["protocol", "pages"],
        may_use: &["uploads", "identity", "domain", "web", "error", "config"],
        never: &["diesel", "reqwest"],
    },
    // Could be a crate of its own: it knows S3 and a directory, and nothing of uploads.
    Layer {
        modules: &["dev_s3"],
        may_use: &[],
        never: &["actix", "diesel", "reqwest"],
    },
    // Tries things out at the store and at a server; it changes nothing of an upload.
    Layer {
        modules: &["doctor"],
        may_use: &["domain", "storage", "signing", "config", "clock", "error"],
        never: &["actix", "diesel", "utoipa", "askama"],
    },
    Layer {
        modules: &["app", "cli", "main", "lib", "fuzzing"],
        may_use: EVERYTHING,
        never: &[],
    },
];
