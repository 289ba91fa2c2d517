//! An answer of an S3 server, with the few things that tests look for in its XML.
//!
//! Separate from the client because it knows nothing of signing.

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads an answer to its end.
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self {
            status,
            headers,
            body: response.bytes().await.expect("a whole answer").to_vec(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The content of the first element of that name.
    pub fn tag(&self, name: &str) -> Option<String> {
        self.tags(name).into_iter().next()
    }

    /// The content of every element of that name.
    pub fn tags(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let text = self.text();
        text.split(&open)
            .skip(1)
            .filter_map(|rest| rest.split_once(&close))
            .map(|(inside, _)| inside.replace("&quot;", "\"").replace("&amp;", "&"))
            .collect()
    }

    /// Status and error code, as in `404 NoSuchKey`; the status alone where there is no code.
    pub fn outcome(&self) -> String {
        let code = self.tag("Code").map(|code| format!(" {code}"));
        format!("{}{}", self.status, code.unwrap_or_default())
    }
}
