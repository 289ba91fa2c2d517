/**
 * The kit's public face: what is not named here may change without notice.
 */

export { Upload } from "./uploader.js";
export { Pool, MOST_WORKERS } from "./pool.js";
export { Memory } from "./memory.js";
export { Meter } from "./meter.js";
export { UploadError } from "./errors.js";
export { fingerprint } from "./fingerprint.js";
export { DEFAULT_POLICY } from "./retry.js";
export { Slices, MISSING, UNDER_WAY, DONE } from "./slices.js";
export { native } from "./protocols/native.js";
export { NativeApi } from "./protocols/native/api.js";
export { ChunkedUploader } from "./chunked/uploader.js";
export { ChunkedUploaderError } from "./chunked/errors.js";

/**
 * The chunk server's types, under the names of its published SDK.
 *
 * @typedef {import("./chunked/types.js").ApiErrorResponse} ApiErrorResponse
 * @typedef {import("./chunked/types.js").CancelUploadResponse} CancelUploadResponse
 * @typedef {import("./chunked/types.js").ChunkedUploaderConfig} ChunkedUploaderConfig
 * @typedef {import("./chunked/types.js").CompleteUploadResponse} CompleteUploadResponse
 * @typedef {import("./chunked/types.js").FileSource} FileSource
 * @typedef {import("./chunked/types.js").HealthCheckResponse} HealthCheckResponse
 * @typedef {import("./chunked/types.js").InitUploadRequest} InitUploadRequest
 * @typedef {import("./chunked/types.js").InitUploadResponse} InitUploadResponse
 * @typedef {import("./chunked/types.js").PartInfo} PartInfo
 * @typedef {import("./chunked/types.js").PartStatus} PartStatus
 * @typedef {import("./chunked/types.js").PartUploadResult} PartUploadResult
 * @typedef {import("./chunked/types.js").ResumeOptions} ResumeOptions
 * @typedef {import("./chunked/types.js").StorageBackend} StorageBackend
 * @typedef {import("./chunked/types.js").UploadOptions} UploadOptions
 * @typedef {import("./chunked/types.js").UploadPartResponse} UploadPartResponse
 * @typedef {import("./chunked/types.js").UploadProgressEvent} UploadProgressEvent
 * @typedef {import("./chunked/types.js").UploadResult} UploadResult
 * @typedef {import("./chunked/types.js").UploadStatusResponse} UploadStatusResponse
 */
