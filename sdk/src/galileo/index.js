/**
 * GalileoSend's public face: what is not named here may change without notice.
 */

export { GalileoUploader } from "./uploader.js";
export { UploadError } from "../errors.js";
export { Memory } from "../memory.js";

/**
 * @typedef {import("./uploader.js").GalileoEvents} GalileoEvents
 * @typedef {import("./uploader.js").GalileoOptions} GalileoOptions
 * @typedef {import("./uploader.js").GalileoProgress} GalileoProgress
 * @typedef {import("./uploader.js").GalileoState} GalileoState
 * @typedef {import("./signals.js").Arrived} Arrived
 */
