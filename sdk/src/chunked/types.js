/**
 * The shapes of the chunk server's SDK: what its options take, what its callbacks get and what the server answers.
 * Types only, under the names of the published SDK, so that an application's own imports go on compiling.
 *
 * @typedef {object} ChunkedUploaderConfig
 * @property {string} baseUrl  where the server is, with or without a slash at the end
 * @property {string} apiKey  sent with everything but parts
 * @property {number} [timeout]  milliseconds for one management call; 30 000. Parts take as long as they take
 * @property {number} [concurrency]  parts at once; 3
 * @property {number} [retryAttempts]  tries of one part, the first included; 3
 * @property {number} [retryDelay]  milliseconds before the second try, twice as long before the third; 1000
 * @property {typeof globalThis.fetch} [fetch]  used for every request
 *
 * @typedef {Blob | ArrayBuffer | Uint8Array} FileSource  a File, Blob, ArrayBuffer or Buffer
 *
 * @typedef {object} InitUploadRequest
 * @property {string} filename  may carry a folder: `videos/2024/x.mp4`
 * @property {number} total_size  bytes
 * @property {string} [webhook_url]
 *
 * @typedef {object} PartInfo  one part of a new upload
 * @property {number} part  from 0
 * @property {string} token  allows exactly this part
 * @property {"pending" | "uploaded"} status
 *
 * @typedef {object} InitUploadResponse
 * @property {string} file_id
 * @property {number} total_parts  0 for an empty file
 * @property {number} chunk_size  bytes of every part but the last
 * @property {PartInfo[]} parts  ascending
 * @property {string} expires_at  RFC 3339
 *
 * @typedef {object} UploadPartResponse
 * @property {string} upload_id
 * @property {number} part_number  from 0
 * @property {"uploaded"} status
 * @property {string} checksum_sha256  64 hex digits, of this part
 * @property {number} uploaded_parts  how many the server holds after this one
 * @property {number} total_parts
 *
 * @typedef {object} PartStatus
 * @property {number} part  from 0
 * @property {"pending" | "uploaded"} status
 * @property {string | null} checksum_sha256  null while pending
 * @property {string | null} [uploaded_at]  RFC 3339; null while pending
 * @property {string} [token]  a fresh one for a pending part, from servers that hand tokens out again
 *
 * @typedef {object} UploadStatusResponse
 * @property {string} file_id
 * @property {string} filename  without its folder
 * @property {number} total_size  bytes
 * @property {number} [chunk_size]  bytes of every part but the last
 * @property {number} total_parts
 * @property {number} uploaded_parts
 * @property {number} progress_percent  share of the parts, 0 to 100
 * @property {"pending" | "complete" | "failed"} status
 * @property {PartStatus[]} parts
 * @property {string} [created_at]  RFC 3339
 * @property {string} [expires_at]  RFC 3339
 * @property {string | null} [final_path]  null until complete
 * @property {StorageBackend} [storage_backend]
 *
 * @typedef {"local" | "smb" | "s3"} StorageBackend
 *
 * @typedef {object} CompleteUploadResponse
 * @property {string} file_id
 * @property {string} filename
 * @property {number} total_size  bytes
 * @property {"complete"} status
 * @property {string} final_path  where the finished file is
 * @property {StorageBackend} storage_backend
 *
 * @typedef {object} CancelUploadResponse
 * @property {string} file_id
 * @property {string} [status]  `cancelled`
 * @property {string} message
 *
 * @typedef {{status: string, [member: string]: unknown}} HealthCheckResponse
 *
 * @typedef {object} UploadProgressEvent  told once for every part that arrived
 * @property {string} fileId
 * @property {number} currentPart  from 0
 * @property {number} totalParts
 * @property {number} uploadedParts  those of an earlier run included
 * @property {number} bytesUploaded  of the current part
 * @property {number} bytesTotal  of the current part
 * @property {number} overallProgress  0 to 100
 *
 * @typedef {object} PartUploadResult  the last word on one part
 * @property {number} partNumber  from 0
 * @property {boolean} success
 * @property {UploadPartResponse} [response]
 * @property {Error} [error]
 *
 * @typedef {object} UploadResult
 * @property {string} fileId  also of an upload that failed, for `resumeUpload`
 * @property {string} filename
 * @property {number} totalSize  bytes
 * @property {string} [finalPath]
 * @property {StorageBackend} [storageBackend]
 * @property {boolean} success
 * @property {Error} [error]
 *
 * @typedef {object} TransferOptions  what `uploadFile` and `resumeUpload` both take
 * @property {(event: UploadProgressEvent) => void} [onProgress]
 * @property {(result: PartUploadResult) => void} [onPartComplete]
 * @property {(partNumber: number, error: Error, attempt: number) => void} [onPartError]  after each failed try, from 1
 * @property {AbortSignal} [signal]
 * @property {number} [concurrency]  for this file only
 *
 * @typedef {object} OwnUploadOptions
 * @property {string} [webhookUrl]  told once when the file is complete
 * @property {(init: InitUploadResponse) => void} [onInit]  the server's first answer, before any part is sent: an
 *   application that keeps its `file_id` can resume after a crash
 *
 * @typedef {TransferOptions & OwnUploadOptions} UploadOptions
 *
 * @typedef {object} OwnResumeOptions
 * @property {Map<number, string>} [partTokens]  by part number; what is missing here is taken from the server's status
 *
 * @typedef {TransferOptions & OwnResumeOptions} ResumeOptions
 *
 * @typedef {object} ApiErrorResponse  how the server words an error
 * @property {string} error
 * @property {number} [status]
 * @property {string} [code]
 * @property {unknown} [details]
 */

export {};
