//! The operations of S3 that this server knows, each handed to the module that does it; every other one answers
//! `NotImplemented`.
//!
//! Separate so that the list of operations can be read in one piece.

use std::sync::Arc;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketLifecycleInput,
    DeleteBucketLifecycleOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, GetBucketCorsInput, GetBucketCorsOutput, GetBucketLifecycleConfigurationInput,
    GetBucketLifecycleConfigurationOutput, GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput,
    GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsV2Input,
    ListObjectsV2Output, ListPartsInput, ListPartsOutput, PutBucketCorsInput, PutBucketCorsOutput,
    PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput, PutObjectInput,
    PutObjectOutput, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result};

use super::store::Store;
use super::{bucket_calls, copy_calls, lifecycle, object_calls, upload_calls};

/// The server's operations over one store.
#[derive(Debug)]
pub struct Service {
    /// What they work on.
    pub store: Arc<Store>,
    /// The region that `GetBucketLocation` names.
    pub region: String,
}

/// Writes the trait's function for each operation, from the function that does it: the first ones answer from
/// memory, the others wait for a body or for the disk.
macro_rules! operations {
    (
        from memory { $($quick:ident: $quick_in:ident -> $quick_out:ident = $look:path;)+ }
        with work { $($slow:ident: $slow_in:ident -> $slow_out:ident = $work:path;)+ }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Service {
            $(
                async fn $quick(&self, request: S3Request<$quick_in>) -> S3Result<S3Response<$quick_out>> {
                    $look(self, request)
                }
            )+
            $(
                async fn $slow(&self, request: S3Request<$slow_in>) -> S3Result<S3Response<$slow_out>> {
                    $work(self, request).await
                }
            )+
        }
    };
}

operations! {
    from memory {
        list_buckets: ListBucketsInput -> ListBucketsOutput = bucket_calls::list;
        head_bucket: HeadBucketInput -> HeadBucketOutput = bucket_calls::head;
        get_bucket_location: GetBucketLocationInput -> GetBucketLocationOutput = bucket_calls::location;
        get_bucket_cors: GetBucketCorsInput -> GetBucketCorsOutput = bucket_calls::get_cors;
        get_bucket_lifecycle_configuration:
            GetBucketLifecycleConfigurationInput -> GetBucketLifecycleConfigurationOutput = lifecycle::get;
        get_object: GetObjectInput -> GetObjectOutput = object_calls::get;
        head_object: HeadObjectInput -> HeadObjectOutput = object_calls::head;
        list_objects_v2: ListObjectsV2Input -> ListObjectsV2Output = object_calls::list;
        list_parts: ListPartsInput -> ListPartsOutput = upload_calls::list_parts;
        list_multipart_uploads: ListMultipartUploadsInput -> ListMultipartUploadsOutput = upload_calls::list;
    }
    with work {
        create_bucket: CreateBucketInput -> CreateBucketOutput = bucket_calls::create;
        put_bucket_cors: PutBucketCorsInput -> PutBucketCorsOutput = bucket_calls::put_cors;
        delete_bucket_cors: DeleteBucketCorsInput -> DeleteBucketCorsOutput = bucket_calls::delete_cors;
        put_bucket_lifecycle_configuration:
            PutBucketLifecycleConfigurationInput -> PutBucketLifecycleConfigurationOutput = lifecycle::put;
        delete_bucket_lifecycle: DeleteBucketLifecycleInput -> DeleteBucketLifecycleOutput = lifecycle::delete;
        put_object: PutObjectInput -> PutObjectOutput = object_calls::put;
        delete_object: DeleteObjectInput -> DeleteObjectOutput = object_calls::delete;
        delete_objects: DeleteObjectsInput -> DeleteObjectsOutput = object_calls::delete_many;
        create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput = upload_calls::create;
        upload_part: UploadPartInput -> UploadPartOutput = upload_calls::part;
        upload_part_copy: UploadPartCopyInput -> UploadPartCopyOutput = copy_calls::part;
        complete_multipart_upload:
            CompleteMultipartUploadInput -> CompleteMultipartUploadOutput = upload_calls::complete;
        abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput = upload_calls::abort;
    }
}
