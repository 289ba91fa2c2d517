/**
 * The shapes that a protocol and the uploader agree on. Types only, in one place, because neither side owns them.
 *
 * @typedef {import("./environment.js").Environment} Environment
 * @typedef {import("./retry.js").Policy} Policy
 * @typedef {import("./retry.js").Retry} Retry
 * @typedef {import("./slices.js").Slices} Slices
 *
 * @typedef {"direct" | "relay"} Way  how parts travel: straight to the store, or through our server
 *
 * @typedef {object} Source  the file and what is said about it
 * @property {Blob} file
 * @property {string} name
 * @property {number} [lastModified]  milliseconds since 1970
 * @property {string} [contentType]
 * @property {string} [fingerprint]
 * @property {Record<string, string>} [metadata]
 * @property {number} [partSize]  bytes; the server decides without it
 * @property {boolean} resume  whether an unfinished upload of the same file is taken up again
 *
 * @typedef {object} Run  one stretch of work between start or resume and pause, end or failure
 * @property {Environment} env
 * @property {Policy} policy
 * @property {AbortSignal} signal
 * @property {(retry: Retry) => void} onRetry
 * @property {(way: Way) => void} [onRoute]  told with each part, whether or not it has changed
 *
 * @typedef {object} Result  the finished object
 * @property {string} id  of the upload
 * @property {string | null} location  its address
 * @property {string | null} key
 * @property {string | null} etag
 * @property {number} size  bytes
 *
 * @typedef {object} Session  one upload that the server knows
 * @property {string} id
 * @property {string} [supportCode]  by which a person names it to whoever helps them
 * @property {Slices} slices
 * @property {Result | null} result  set once the object is whole
 * @property {unknown} [private]  the protocol's own
 *
 * @typedef {object} Protocol  a way to upload; every function throws UploadError
 * @property {(source: Source, run: Run) => Promise<Session>} create  begins, or finds what was begun
 * @property {(session: Session, number: number, body: Blob, run: Run & {onSent: (bytes: number) => void})
 *   => Promise<void>} send  sends one part, one try; the caller repeats it when the error says so
 * @property {(session: Session, run: Run) => Promise<void>} status  brings the session's slices up to date
 * @property {(session: Session, run: Run) => Promise<void>} finish  sets the session's result; may be repeated
 * @property {(session: Session, run: Run) => Promise<void>} discard  gives up; may be repeated
 */

export {};
