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
