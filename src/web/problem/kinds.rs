//! All kinds of problems: what each is called, and what to do about it.
//!
//! Separate from how they are told, because this is a list to be read: `/problems/<slug>` shows it to people.

use super::Kind;

/// tus's status for bytes that do not have the digest that was claimed; outside of the registered ones:
/// <https://tus.io/protocols/resumable-upload#checksum>.
pub const CHECKSUM_MISMATCH: u16 = 460;

/// All kinds.
pub const KINDS: &[Kind] = &[
    Kind {
        slug: "invalid-request",
        status: 400,
        title: "The request has fields that cannot be right",
        advice: "The list \"errors\" names each field and its limit. Correct them and send the request again.",
    },
    Kind {
        slug: "too-large",
        status: 413,
        title: "The file is too large",
        advice: "\"limit\" is the most bytes that one file may have here. Send a smaller file, or ask the operator \
                 to raise limits.max_size.",
    },
    Kind {
        slug: "body-too-large",
        status: 413,
        title: "The request is too large",
        advice: "\"limit\" is the most bytes that one request to this server may have. The bytes of a file go to the \
                 store; long lists of parts can be told in several requests.",
    },
    Kind {
        slug: "type-refused",
        status: 415,
        title: "Files of this type are not accepted",
        advice: "The operator accepts certain media types only (limits.types).",
    },
    Kind {
        slug: "content-refused",
        status: 415,
        title: "The file is not what it is said to be",
        advice: "Its first bytes are those of \"found\", which is not accepted here (limits.types, limits.sniff). The upload has \
                 failed, and nothing of it is kept. Is the file's name or type right?",
    },
    Kind {
        slug: "too-many-parts",
        status: 413,
        title: "The file is cut into too many parts",
        advice: "\"limit\" is the most parts that one file may have here. Cut the file into larger parts.",
    },
    Kind {
        slug: "quota-reached",
        status: 429,
        title: "You have as much open as you may have at once",
        advice: "\"limit\" is the most of what \"what\" names, and \"held\" is how much is open. An upload that completes, is \
                 aborted or expires makes room: complete or abort one, or try again after the seconds in Retry-After. \
                 Uploads that were begun before can go on.",
    },
    Kind {
        slug: "too-fast",
        status: 429,
        title: "This is done too often",
        advice: "Send the same request again after the seconds in Retry-After. The operator says how often is too often \
                 (limits.rates).",
    },
    Kind {
        slug: "not-found",
        status: 404,
        title: "There is no such thing, or it is not yours",
        advice: "Check the id, and that the request carries the credential that began the upload.",
    },
    Kind {
        slug: "method-not-allowed",
        status: 405,
        title: "This address does not take that method",
        advice: "The API is described at /docs.",
    },
    Kind {
        slug: "unauthenticated",
        status: 401,
        title: "We do not know who is asking",
        advice: "Send an API key in X-API-Key, or the token of the upload in Authorization: Bearer. \
                 `muleteer keys create` makes a key.",
    },
    Kind {
        slug: "forbidden",
        status: 403,
        title: "You may not do this",
        advice: "The credential is good, but not for this. \"detail\" says what it lacks.",
    },
    Kind {
        slug: "refused",
        status: 403,
        title: "The application does not want this upload",
        advice: "\"detail\" has its own words. The status may be another one that it chose.",
    },
    Kind {
        slug: "rejected",
        status: 422,
        title: "The file was not accepted",
        advice: "All of it came, and what looks at files here did not want it: \"detail\" says why. The upload has failed; \
                 the same file again would fare the same.",
    },
    Kind {
        slug: "wrong-state",
        status: 409,
        title: "The upload's state does not allow this",
        advice: "\"state\" says where the upload stands. One that was aborted or has expired must begin anew; a \
                 complete one cannot be changed.",
    },
    Kind {
        slug: "incomplete",
        status: 409,
        title: "The upload is not whole",
        advice: "\"defects\" names the parts that are missing, of another size, or of other bytes than were sent. Send them \
                 again, then complete.",
    },
    Kind {
        slug: "mixed-parts",
        status: 409,
        title: "The stored parts are not of one file and one chunk size",
        advice: "Somebody went on with another chunk size, or with another file. What was stored is dropped, and the \
                 same upload takes the file again from its first part.",
    },
    Kind {
        slug: "key-taken",
        status: 409,
        title: "The object key is taken",
        advice: "Another upload has it, or there is an object under it already, and nothing is overwritten. Propose \
                 another key.",
    },
    Kind {
        slug: "vanished",
        status: 410,
        title: "The store has dropped the multipart upload",
        advice: "It was aborted in the store, or a lifecycle rule removed it. Begin the upload again; nothing of it \
                 is left.",
    },
    Kind {
        slug: "wrong-size",
        status: 400,
        title: "The bytes have another length than they must have",
        advice: "\"expected\" is the length. Nothing was stored; send exactly those bytes.",
    },
    Kind {
        slug: "part-conflict",
        status: 409,
        title: "The part is stored already, with other bytes",
        advice: "A part that has been acknowledged is never overwritten. Has the file changed since? Then begin a new \
                 upload.",
    },
    Kind {
        slug: "checksum-mismatch",
        status: 409,
        title: "The bytes have another digest than was claimed",
        advice: "They were changed on the way, or the digest is of something else. A part was not stored and can be \
                 sent again; a whole file must be uploaded anew.",
    },
    Kind {
        slug: "unsupported-version",
        status: 412,
        title: "This version of the protocol is not spoken here",
        advice: "Tus-Version lists the versions that are. Every request but OPTIONS says its own in Tus-Resumable.",
    },
    Kind {
        slug: "unsupported-content-type",
        status: 415,
        title: "The body is of another type than this request takes",
        advice: "\"detail\" names the Content-Type that the bytes of a file come with. Nothing was stored.",
    },
    Kind {
        slug: "mismatching-upload-offset",
        status: 409,
        title: "The upload stands elsewhere",
        advice: "\"expected-offset\" is where it stands: send the bytes from there.",
    },
    Kind {
        slug: "inconsistent-upload-length",
        status: 400,
        title: "The file's length is told differently than before",
        advice: "A length is told once: by Upload-Length, or by the last request's offset and length together. Send \
                 the one that was told first, or begin a new upload.",
    },
    Kind {
        slug: "completed-upload",
        status: 400,
        title: "The upload is complete already",
        advice: "It takes no more bytes. Begin a new upload for another file.",
    },
    Kind {
        slug: "interrupted",
        status: 400,
        title: "The request's body did not arrive whole",
        advice: "Send it again. Nothing that was acknowledged is lost.",
    },
    Kind {
        slug: "body-stalled",
        status: 408,
        title: "The request's body stopped coming",
        advice: "Send the request again, its body at once. Nothing of it was done.",
    },
    Kind {
        slug: "superseded",
        status: 409,
        title: "A newer request has taken over",
        advice: "A newer request sends to the same place, and that one counts. Ask where the upload stands before \
                 you send again.",
    },
    Kind {
        slug: "stopping",
        status: 503,
        title: "The server is being stopped",
        advice: "What came is kept. Ask where the upload stands, and go on from there.",
    },
    Kind {
        slug: "no-space",
        status: 507,
        title: "There is no room for the file",
        advice: "\"needed\" is how many bytes would be. The operator has to make room in the storage.",
    },
    Kind {
        slug: "still-completing",
        status: 503,
        title: "The upload is being completed",
        advice: "All bytes are there, and the storage joins them or a scanner looks at them. Ask for completion again \
                 after the seconds in Retry-After; every request joins the same work.",
    },
    Kind {
        slug: "store-refused",
        status: 502,
        title: "The store refused our request",
        advice: "\"code\" is the store's own error code. Check bucket, region, credentials and their policy.",
    },
    Kind {
        slug: "credentials-expired",
        status: 503,
        title: "The server's credentials for the store have run out",
        advice: "Nothing that was acknowledged is lost. Send the request again after the seconds in Retry-After: the server \
                 looks for new ones all the while. If it lasts, its log says what their giver answers.",
    },
    Kind {
        slug: "head-stalled",
        status: 408,
        title: "The request's head came too slowly",
        advice: "Send the request again, in one go. server.connections.head_timeout_s is how long its head may take.",
    },
    Kind {
        slug: "address-too-long",
        status: 414,
        title: "The request's address is too long",
        advice: "Shorten what stands in the address, or ask the operator to raise server.connections.max_target_bytes.",
    },
    Kind {
        slug: "head-too-large",
        status: 431,
        title: "The request's head is too large",
        advice: "Send fewer or smaller fields; often it is cookies that have grown. The operator can raise \
                 server.connections.max_head_bytes and max_head_fields.",
    },
    Kind {
        slug: "too-many-connections",
        status: 429,
        title: "Too many connections",
        advice: "Close some, or use one for several requests, and try again after the seconds in Retry-After. The \
                 operator sets their number in server.connections.",
    },
    Kind {
        slug: "busy",
        status: 503,
        title: "Too much at once",
        advice: "Send the request again after the seconds in Retry-After.",
    },
    Kind {
        slug: "too-many-attempts",
        status: 429,
        title: "Too many attempts",
        advice: "Wait for the seconds in Retry-After, then try once more.",
    },
    Kind {
        slug: "unavailable",
        status: 503,
        title: "The database or the store does not answer",
        advice: "Nothing that was acknowledged is lost. Send the request again after the seconds in Retry-After.",
    },
    Kind {
        slug: "internal",
        status: 500,
        title: "Something went wrong on our side",
        advice: "Tell the operator the \"request_id\": the log has the cause under it.",
    },
];
