//! A stand-in for mule-uploader's first generation, written from its description: the same requests in the same
//! order and the same odd encodings, the same reactions to every answer, and its defects.
//!
//! Two things are its own: it waits milliseconds where the script waits a second, and it gives up where the script
//! would go round for ever, so that a test ends.

mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::browser::{Browser, Lost};
use crate::escape::escape;
use requests::outgoing;

/// Rounds after which "without limit" has been shown.
const FOR_EVER: usize = 12;

/// What the script waits before it tries again; a second in truth.
const PAUSE: Duration = Duration::from_millis(20);

/// What the page's author wrote down.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Prefix of every call of the backend.
    pub ajax_base: String,
    /// The key that the page proposes.
    pub key: String,
    /// The bucket's address.
    pub host: String,
    pub access_key: String,
    pub content_type: String,
    pub acl: String,
    pub chunk_size: u64,
    pub num_workers: usize,
    pub extra_params: Vec<(String, String)>,
    pub force: bool,
}

/// The file that the person chose.
#[derive(Debug, Clone)]
pub struct ChosenFile {
    pub name: String,
    /// Milliseconds since 1970.
    pub last_modified: u64,
    pub bytes: Vec<u8>,
}

/// How it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// `on_complete`, with the object's key.
    Complete(String),
    /// `on_complete` too, but only because something is readable at the key after a failure.
    Believed,
    /// An exception that nobody catches, or one of the script's endless loops.
    Stopped(String),
    /// The page was closed.
    Closed,
}

/// What to do after a step.
enum Next {
    GoOn,
    SendMore,
    Restart,
}

/// `[signature, date]`.
type Signature = (String, String);

#[derive(Default)]
struct State {
    key: String,
    upload_id: String,
    done: BTreeSet<u64>,
    chunk_signatures: BTreeMap<u64, Signature>,
    list_signature: Option<Signature>,
    end_signature: Option<Signature>,
}

struct Script<'a> {
    browser: &'a Browser,
    settings: &'a Settings,
    file: &'a ChosenFile,
    state: Mutex<State>,
}

/// Uploads a file as the script does.
pub async fn upload(browser: &Browser, settings: &Settings, file: &ChosenFile) -> Ending {
    let state = Mutex::new(State {
        key: settings.key.clone(),
        ..State::default()
    });
    let script = Script {
        browser,
        settings,
        file,
        state,
    };
    match script.run().await {
        Ok(()) => Ending::Complete(script.key()),
        Err(ending) => ending,
    }
}

impl Script<'_> {
    async fn run(&self) -> Result<(), Ending> {
        let mut force = self.settings.force;
        for _ in 0..FOR_EVER {
            match self.round(force).await? {
                Next::GoOn => return Ok(()),
                _ => force = true,
            }
        }
        Err(stopped("begins anew without end"))
    }

    /// From `get_init_signature` to the completion.
    async fn round(&self, force: bool) -> Result<Next, Ending> {
        if let Next::Restart = self.begin(force).await? {
            return Ok(Next::Restart);
        }
        self.ask_for_all().await?;
        for _ in 0..FOR_EVER {
            let missing: Vec<u64> = {
                let state = self.state.lock().expect("no thread has panicked");
                (1..=self.count())
                    .filter(|number| !state.done.contains(number))
                    .collect()
            };
            let workers = stream::iter(missing).map(|number| self.send_part(number));
            workers
                .buffer_unordered(self.settings.num_workers)
                .try_collect::<Vec<()>>()
                .await?;
            match self.finish().await? {
                Next::SendMore => {}
                next => return Ok(next),
            }
        }
        Err(stopped("sends a part without end"))
    }

    async fn begin(&self, force: bool) -> Result<Next, Ending> {
        *self.state.lock().expect("no thread has panicked") = State {
            key: self.key(),
            ..State::default()
        };
        let forced = if force { "&force=true" } else { "" };
        let first = format!(
            "key={}&mime_type={}&{}{forced}",
            self.key(),
            self.mime(),
            self.identity()
        );
        // What is asked again after a broken connection has lost its `force`.
        let again = first.trim_end_matches("&force=true").to_owned();
        let reply = self.ask("get_init_signature", None, &first, &again).await?;
        if reply["chunks"].is_array() {
            let mut state = self.state.lock().expect("no thread has panicked");
            reply["key"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut state.key);
            reply["upload_id"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut state.upload_id);
            let numbers = reply["chunks"].as_array().into_iter().flatten();
            state.done = numbers.filter_map(Value::as_u64).collect();
            if state.done.len() as u64 == self.count() {
                return Ok(Next::Restart);
            }
        }
        if self.upload_id().is_empty() {
            self.initiate(&member(&reply)).await?;
            return Ok(Next::GoOn);
        }
        let signature = self.single("get_list_signature").await?;
        let (status, _) = self.list_page(&signature, None).await?;
        Ok(if status == 200 { Next::GoOn } else { Next::Restart })
    }

    async fn initiate(&self, signature: &Signature) -> Result<(), Ending> {
        let mut headers = self.signed(signature);
        headers.insert("x-amz-acl", self.settings.acl.parse().expect("an ACL"));
        headers.insert("content-disposition", self.disposition()?);
        let url = format!("{}/{}?uploads", self.settings.host, self.key());
        let (status, text) = self
            .store(outgoing("initiate", None, "POST", url, headers, Vec::new()))
            .await?;
        let id = tags(&text, "UploadId").into_iter().next();
        let id = id
            .filter(|_| status == 200)
            .ok_or_else(|| stopped(&format!("initiate: {status}")))?;
        self.state.lock().expect("no thread has panicked").upload_id = id;
        Ok(())
    }

    async fn ask_for_all(&self) -> Result<(), Ending> {
        let (key, id, count) = (self.key(), self.upload_id(), self.count());
        let query = format!(
            "key={key}&mime_type={}&num_chunks={count}&upload_id={id}&{}",
            self.mime(),
            self.identity()
        );
        let reply = self.ask("get_all_signatures", None, &query, &query).await?;
        let pair = |value: &Value| Some((value[0].as_str()?.to_owned(), value[1].as_str()?.to_owned()));
        let mut state = self.state.lock().expect("no thread has panicked");
        state.list_signature = pair(&reply["list_signature"]);
        state.end_signature = pair(&reply["end_signature"]);
        for (number, value) in reply["chunk_signatures"].as_object().into_iter().flatten() {
            if let (Ok(number), Some(pair)) = (number.parse(), pair(value)) {
                state.chunk_signatures.insert(number, pair);
            }
        }
        Ok(())
    }

    /// One worker with one chunk, until the store has taken it.
    async fn send_part(&self, number: u64) -> Result<(), Ending> {
        for _ in 0..FOR_EVER {
            let signature = self.part_signature(number).await?;
            let mut headers = self.signed(&signature);
            headers.insert(
                "content-type",
                self.settings.content_type.parse().expect("a type"),
            );
            headers.insert("content-disposition", self.disposition()?);
            let (key, id) = (self.key(), self.upload_id());
            let url = format!("{}/{key}?partNumber={number}&uploadId={id}", self.settings.host);
            let body = self.chunk(number).to_vec();
            let sent = self
                .browser
                .ask_store(outgoing("part", Some(number), "PUT", url, headers, body))
                .await;
            match sent {
                Ok((200, _)) => {
                    self.state
                        .lock()
                        .expect("no thread has panicked")
                        .done
                        .insert(number);
                    return self
                        .tell(
                            "chunk_loaded",
                            Some(number),
                            &format!("key={key}&chunk={number}&upload_id={id}"),
                        )
                        .await;
                }
                Err(Lost::Closed) => return Err(Ending::Closed),
                _ => {}
            }
            if self.exists().await? {
                return Err(Ending::Believed);
            }
            tokio::time::sleep(PAUSE).await;
            self.ask_for_all().await?;
        }
        Err(stopped("sends a part without end"))
    }

    /// What `get_all_signatures` gave, however old it is; asked for where it gave none.
    async fn part_signature(&self, number: u64) -> Result<Signature, Ending> {
        let cached = {
            let state = self.state.lock().expect("no thread has panicked");
            state.chunk_signatures.get(&number).cloned()
        };
        if let Some(signature) = cached {
            return Ok(signature);
        }
        let query = format!(
            "chunk={number}&upload_id={}&key={}",
            escape(&self.upload_id()),
            self.key()
        );
        let reply = self
            .ask("get_chunk_signature", Some(number), &query, &query)
            .await?;
        Ok(member(&reply))
    }

    async fn finish(&self) -> Result<Next, Ending> {
        let (cached_end, cached_list) = {
            let state = self.state.lock().expect("no thread has panicked");
            (state.end_signature.clone(), state.list_signature.clone())
        };
        let end = match cached_end {
            Some(signature) => signature,
            None => self.single("get_end_signature").await?,
        };
        let list = match cached_list {
            Some(signature) => signature,
            None => self.single("get_list_signature").await?,
        };
        let held = self.list(&list).await?;
        let wrong = |number: &u64| {
            held.get(number)
                .is_none_or(|(_, size)| *size != self.expected(*number))
        };
        let missing: Vec<u64> = (1..=self.count()).filter(wrong).collect();
        if !missing.is_empty() {
            let mut state = self.state.lock().expect("no thread has panicked");
            state.done.retain(|number| !missing.contains(number));
            return Ok(Next::SendMore);
        }
        self.complete(&end, &held).await
    }

    async fn complete(
        &self,
        signature: &Signature,
        held: &BTreeMap<u64, (String, u64)>,
    ) -> Result<Next, Ending> {
        let part = |(number, (etag, _)): (&u64, &(String, u64))| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        };
        let list: String = held.iter().map(part).collect();
        let xml = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let mut headers = self.signed(signature);
        headers.insert(
            "content-type",
            self.settings.content_type.parse().expect("a type"),
        );
        headers.insert("content-disposition", self.disposition()?);
        let (key, id) = (self.key(), self.upload_id());
        let url = format!("{}/{key}?uploadId={id}", self.settings.host);
        let out = outgoing("complete", None, "POST", url, headers, xml.into_bytes());
        match self.browser.ask_store(out).await {
            Ok((200, _)) => {
                self.tell("upload_finished", None, &format!("key={key}&upload_id={id}"))
                    .await?;
                Ok(Next::GoOn)
            }
            Ok((400, text)) if text.contains("EntityTooSmall") => Ok(Next::SendMore),
            Ok((404, _)) => Ok(Next::Restart),
            Err(Lost::Closed) => Err(Ending::Closed),
            _ if self.exists().await? => Err(Ending::Believed),
            _ => Ok(Next::Restart),
        }
    }
}

/// JavaScript writes what is not there as a word.
fn member(reply: &Value) -> Signature {
    let text = |name: &str| reply[name].as_str().unwrap_or("undefined").to_owned();
    (text("signature"), text("date"))
}

fn tags(text: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let rest = text.split(&open).skip(1);
    rest.filter_map(|rest| Some(rest.split_once(&close)?.0.replace("&quot;", "\"")))
        .collect()
}

fn stopped(why: &str) -> Ending {
    Ending::Stopped(why.to_owned())
}
