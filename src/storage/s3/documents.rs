//! What a success tells: S3's XML documents, turned into our words.
//!
//! Separate from `answers`, which knows a success from an error. Here stores differ in what they leave out: an ETag may be
//! empty, and the marker of the next page missing.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::answers::Answer;
use super::checks::told_checksum;
use crate::domain::{Checksum, PartNumber, StoredPart};
use crate::error::Error;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Initiated {
    upload_id: String,
}

/// One page of a part list: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html>.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartList {
    #[serde(default)]
    is_truncated: bool,
    next_part_number_marker: Option<u16>,
    #[serde(default)]
    part: Vec<ListedPart>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    part_number: u64,
    size: u64,
    #[serde(rename = "ETag", default)]
    etag: String,
    last_modified: Option<DateTime<Utc>>,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc64nvme: Option<String>,
    #[serde(rename = "ChecksumCRC32C")]
    crc32c: Option<String>,
}

/// One page of objects: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ObjectList {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    contents: Vec<ListedObject>,
}

/// An object in a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub size: u64,
    /// Its tag.
    #[serde(rename = "ETag", default)]
    pub etag: String,
    /// When it was written.
    pub last_modified: DateTime<Utc>,
}

/// One page of uploads: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UploadList {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    upload: Vec<ListedUpload>,
}

/// A multipart upload in a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedUpload {
    /// Its object's key.
    pub key: String,
    /// The store's id of it.
    pub upload_id: String,
    /// When it was begun.
    pub initiated: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Joined {
    #[serde(rename = "ETag", default)]
    etag: String,
    #[serde(rename = "ChecksumCRC64NVME")]
    crc64nvme: Option<String>,
    #[serde(rename = "ChecksumCRC32C")]
    crc32c: Option<String>,
    checksum_type: Option<String>,
}

/// An object that was made of parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Completed {
    /// Its tag; `None` where the store leaves it out.
    pub etag: Option<String>,
    /// The checksum of all its bytes, where the store tells one.
    pub full_object: Option<Checksum>,
}

impl Answer {
    /// The id of a multipart upload that was just begun.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn multipart_id(self) -> Result<String, Error> {
        let answer = self.success()?;
        let initiated: Initiated = answer.read()?;
        Ok(initiated.upload_id)
    }

    /// The parts of one page, and the marker of the next page if there is one.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn parts(self) -> Result<(Vec<StoredPart>, Option<u16>), Error> {
        let answer = self.success()?;
        let list: PartList = answer.read()?;
        let mut parts = Vec::with_capacity(list.part.len());
        for part in list.part {
            let number = PartNumber::new(part.part_number, "PartNumber").map_err(Error::internal)?;
            parts.push(StoredPart {
                number,
                size: part.size,
                etag: part.etag,
                checksum: told_checksum(part.crc64nvme.as_deref(), part.crc32c.as_deref()),
            });
        }
        let last = parts.iter().map(|part| part.number.get()).max();
        let next = list.next_part_number_marker.or(last);
        Ok((parts, next.filter(|_| list.is_truncated)))
    }

    /// The objects of one page, and whether there is another.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn objects(self) -> Result<(Vec<ListedObject>, bool), Error> {
        let list: ObjectList = self.success()?.read()?;
        Ok((list.contents, list.is_truncated))
    }

    /// The multipart uploads of one page, and whether there is another.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn uploads(self) -> Result<(Vec<ListedUpload>, bool), Error> {
        let list: UploadList = self.success()?.read()?;
        Ok((list.upload, list.is_truncated))
    }

    /// When the youngest part of a page was written, and the marker of the next page if there is one.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn last_part_at(self) -> Result<(Option<DateTime<Utc>>, Option<u16>), Error> {
        let list: PartList = self.success()?.read()?;
        let youngest = list.part.iter().filter_map(|part| part.last_modified).max();
        let last = list.part.iter().map(|part| part.part_number).max();
        let last = last.and_then(|number| u16::try_from(number).ok());
        let next = list.next_part_number_marker.or(last);
        Ok((youngest, next.filter(|_| list.is_truncated)))
    }

    /// What became of a completion.
    ///
    /// # Errors
    /// As [`Answer::success`].
    pub fn completed(self) -> Result<Completed, Error> {
        let joined: Joined = self.success()?.read()?;
        let is_composite = joined.checksum_type.as_deref() == Some("COMPOSITE");
        let full_object = told_checksum(joined.crc64nvme.as_deref(), joined.crc32c.as_deref());
        Ok(Completed {
            etag: Some(joined.etag).filter(|etag| !etag.is_empty()),
            full_object: full_object.filter(|_| !is_composite),
        })
    }

    /// The tag of a part that was copied.
    ///
    /// # Errors
    /// As [`Answer::success`]; here too, a 200 may carry an error.
    pub fn copied_etag(self) -> Result<String, Error> {
        let copied: Joined = self.success()?.read()?;
        Ok(copied.etag)
    }

    fn read<T: for<'de> Deserialize<'de>>(&self) -> Result<T, Error> {
        quick_xml::de::from_str(&self.body)
            .map_err(|error| Error::unavailable("the store", format!("an answer cannot be read: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_parts_names_the_next_one_even_where_the_store_forgets_the_marker() {
        let part =
            |n| format!("<Part><PartNumber>{n}</PartNumber><ETag>&quot;a&quot;</ETag><Size>5</Size></Part>");
        let body = format!(
            "<ListPartsResult xmlns=\"x\"><IsTruncated>true</IsTruncated>{}{}</ListPartsResult>",
            part(1),
            part(7)
        );

        let (parts, next) = Answer::bare(200, body).parts().unwrap();

        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1].etag, "\"a\"");
        assert_eq!(next, Some(7));
    }

    #[test]
    fn an_empty_list_and_an_empty_tag_are_read() {
        let (parts, next) = Answer::bare(
            200,
            "<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>",
        )
        .parts()
        .unwrap();
        assert!(parts.is_empty() && next.is_none());

        let body = "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>";
        assert_eq!(Answer::bare(200, body).completed().unwrap().etag, None);
    }
}
