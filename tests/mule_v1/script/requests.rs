//! The script's requests as they leave the browser.
//!
//! Separate from the order of events, because this is where every odd encoding is.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::{ChosenFile, Ending, FOR_EVER, PAUSE, Script, Signature, member, stopped, tags};
use crate::browser::{Lost, Outgoing};
use crate::escape::{encode_uri_component, escape};

impl Script<'_> {
    /// All pages of the store's list: ETag and size by number.
    pub(super) async fn list(&self, signature: &Signature) -> Result<BTreeMap<u64, (String, u64)>, Ending> {
        let mut held = BTreeMap::new();
        let mut marker = None;
        loop {
            let (status, text) = self.list_page(signature, marker.as_deref()).await?;
            if status != 200 {
                return Err(stopped(&format!("hangs in finishing: the list is {status}")));
            }
            for part in tags(&text, "Part") {
                let of = |name| tags(&part, name).into_iter().next().unwrap_or_default();
                let number = of("PartNumber").parse().expect("a number");
                held.insert(number, (of("ETag"), of("Size").parse().expect("a size")));
            }
            if tags(&text, "IsTruncated")
                .first()
                .is_none_or(|word| word != "true")
            {
                return Ok(held);
            }
            marker = tags(&text, "NextPartNumberMarker").into_iter().next();
        }
    }

    pub(super) async fn list_page(
        &self,
        signature: &Signature,
        marker: Option<&str>,
    ) -> Result<(u16, String), Ending> {
        let marker = marker
            .map(|marker| format!("&part-number-marker={marker}"))
            .unwrap_or_default();
        let url = format!(
            "{}/{}?uploadId={}{marker}",
            self.settings.host,
            self.key(),
            self.upload_id()
        );
        self.store(outgoing(
            "list",
            None,
            "GET",
            url,
            self.signed(signature),
            Vec::new(),
        ))
        .await
    }

    /// Whether everybody can read something at the key.
    pub(super) async fn exists(&self) -> Result<bool, Ending> {
        let url = format!("{}/{}", self.settings.host, self.key());
        match self
            .browser
            .ask_store(outgoing(
                "exists",
                None,
                "HEAD",
                url,
                HeaderMap::new(),
                Vec::new(),
            ))
            .await
        {
            Err(Lost::Closed) => Err(Ending::Closed),
            answer => Ok(matches!(answer, Ok((200, _)))),
        }
    }

    pub(super) async fn single(&self, action: &'static str) -> Result<Signature, Ending> {
        let query = format!("upload_id={}&key={}", escape(&self.upload_id()), self.key());
        Ok(member(&self.ask(action, None, &query, &query).await?))
    }

    /// Asks the backend: JSON is read whatever the status, and only a broken connection makes it ask again.
    pub(super) async fn ask(
        &self,
        action: &'static str,
        part: Option<u64>,
        first: &str,
        again: &str,
    ) -> Result<Value, Ending> {
        let mut query = first;
        for _ in 0..FOR_EVER {
            match self.call(action, part, query).await {
                Ok((status, text)) => {
                    return serde_json::from_str(&text)
                        .map_err(|_| stopped(&format!("{action}: {status} {}", text.trim())));
                }
                Err(Lost::Closed) => return Err(Ending::Closed),
                Err(Lost::Network) => tokio::time::sleep(PAUSE).await,
            }
            query = again;
        }
        Err(stopped(&format!("{action} is asked without end")))
    }

    /// Tells the backend, and does not care what it says.
    pub(super) async fn tell(
        &self,
        action: &'static str,
        part: Option<u64>,
        query: &str,
    ) -> Result<(), Ending> {
        match self
            .call(action, part, &format!("{query}&{}", self.identity()))
            .await
        {
            Err(Lost::Closed) => Err(Ending::Closed),
            _ => Ok(()),
        }
    }

    pub(super) async fn call(
        &self,
        action: &'static str,
        part: Option<u64>,
        query: &str,
    ) -> Result<(u16, String), Lost> {
        let mut url = format!("{}/{action}/?{query}", self.settings.ajax_base);
        for (name, value) in &self.settings.extra_params {
            url.extend([
                "&",
                &encode_uri_component(name),
                "=",
                &encode_uri_component(value),
            ]);
        }
        self.browser
            .ask_backend(outgoing(action, part, "GET", url, HeaderMap::new(), Vec::new()))
            .await
    }

    pub(super) async fn store(&self, out: Outgoing) -> Result<(u16, String), Ending> {
        let what = out.what;
        match self.browser.ask_store(out).await {
            Err(Lost::Closed) => Err(Ending::Closed),
            Err(Lost::Network) => Err(stopped(&format!("{what}: no answer"))),
            Ok(answer) => Ok(answer),
        }
    }

    pub(super) fn signed(&self, (signature, date): &Signature) -> HeaderMap {
        let authorization = format!("AWS {}:{signature}", self.settings.access_key);
        HeaderMap::from_iter([
            (
                "x-amz-date".parse().expect("a name"),
                date.parse().expect("a date"),
            ),
            (
                "authorization".parse().expect("a name"),
                authorization.parse().expect("a header"),
            ),
        ])
    }

    /// The name as it is; a browser throws where it does not fit into Latin-1.
    pub(super) fn disposition(&self) -> Result<HeaderValue, Ending> {
        let text = format!("attachment; filename={}", self.file.name);
        let bytes: Result<Vec<u8>, _> = text.chars().map(|c| u8::try_from(u32::from(c))).collect();
        let bytes = bytes.map_err(|_| stopped("the browser refuses the header"))?;
        HeaderValue::from_bytes(&bytes).map_err(|_| stopped("the browser refuses the header"))
    }

    pub(super) fn identity(&self) -> String {
        let ChosenFile {
            name,
            last_modified,
            bytes,
        } = self.file;
        format!(
            "filename={}&filesize={}&last_modified={last_modified}",
            escape(name),
            bytes.len()
        )
    }

    pub(super) fn mime(&self) -> String {
        escape(&self.settings.content_type)
    }

    pub(super) fn count(&self) -> u64 {
        (self.file.bytes.len() as u64).div_ceil(self.settings.chunk_size)
    }

    /// The size that the script expects; of the last part the remainder, even where that is nothing.
    pub(super) fn expected(&self, number: u64) -> u64 {
        if number == self.count() {
            self.file.bytes.len() as u64 % self.settings.chunk_size
        } else {
            self.settings.chunk_size
        }
    }

    pub(super) fn chunk(&self, number: u64) -> &[u8] {
        let size = usize::try_from(self.settings.chunk_size).expect("a size");
        self.file
            .bytes
            .chunks(size)
            .nth(usize::try_from(number - 1).expect("a number"))
            .expect("a chunk")
    }

    pub(super) fn key(&self) -> String {
        self.state.lock().expect("no thread has panicked").key.clone()
    }

    pub(super) fn upload_id(&self) -> String {
        self.state
            .lock()
            .expect("no thread has panicked")
            .upload_id
            .clone()
    }
}

pub(super) fn outgoing(
    what: &'static str,
    part: Option<u64>,
    method: &'static str,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Outgoing {
    Outgoing {
        what,
        part,
        method,
        url,
        headers,
        body,
    }
}
