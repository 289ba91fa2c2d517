//! A browser without a script: it keeps cookies, follows no redirect by itself, and sends the forms of its pages.

use std::collections::BTreeMap;
use std::sync::Mutex;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::PART;
use super::server::{API_KEY, TestServer};

/// One browser at one server.
pub struct Browser {
    base: String,
    http: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
    /// Header fields that every request carries besides.
    pub fields: Vec<(&'static str, String)>,
}

/// What came back.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub html: String,
}

impl Browser {
    pub fn at(server: &TestServer) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            base: server.base.clone(),
            http,
            cookies: Mutex::default(),
            fields: Vec::new(),
        }
    }

    /// The same browser, whose every request carries this field besides.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }

    /// A browser in which an admin is logged in.
    pub async fn logged_in(server: &TestServer) -> Self {
        let browser = Self::at(server);
        let page = browser.log_in(API_KEY).await;
        assert_eq!(page.status, 303, "{}", page.html);
        browser
    }

    /// Sends the log-in form with a key.
    pub async fn log_in(&self, key: &str) -> Page {
        let form = self.get("/admin/login").await;
        let token = form.token();
        self.send(
            "/admin/login",
            &[("token", &token), ("next", "/admin"), ("key", key)],
        )
        .await
    }

    pub async fn get(&self, path: &str) -> Page {
        self.ask(Method::GET, path, None).await
    }

    /// Sends a form as it is told.
    pub async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.ask(Method::POST, path, Some(fields)).await
    }

    /// Sends a form of the page at `of`, with its token.
    pub async fn act(&self, of: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.get(of).await.token();
        let mut all = vec![("token", token.as_str())];
        all.extend(fields);
        self.send(path, &all).await
    }

    async fn ask(&self, method: Method, path: &str, form: Option<&[(&str, &str)]>) -> Page {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        let cookies: Vec<String> = self
            .cookies
            .lock()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in &self.fields {
            request = request.header(*name, value);
        }
        if let Some(form) = form {
            let body = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(form)
                .finish();
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body);
        }
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if value.is_empty() {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Page {
            status: answer.status(),
            headers: answer.headers().clone(),
            html: answer.text().await.unwrap(),
        }
    }

    /// A request of the native API with the test's key, from the same machine.
    pub async fn api(&self, method: &str, path: &str, body: Value) -> Value {
        let mut request = self
            .http
            .request(method.parse().unwrap(), format!("{}/api/v1{path}", self.base))
            .header("x-api-key", API_KEY);
        for (name, value) in &self.fields {
            request = request.header(*name, value);
        }
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Begins an upload of so many parts, sends some of them to the store, and records some of those.
    pub async fn begin(&self, name: &str, parts: u64, sent: &[u64], recorded: &[u64]) -> Value {
        let upload = self
            .api(
                "POST",
                "/uploads",
                json!({ "filename": name, "size": parts * PART }),
            )
            .await;
        let id = upload["id"].as_str().unwrap_or_else(|| panic!("{upload}"));
        if !sent.is_empty() {
            let signed = self
                .api(
                    "POST",
                    &format!("/uploads/{id}/signatures"),
                    json!({ "parts": sent }),
                )
                .await;
            for part in signed["signatures"].as_array().unwrap() {
                let put =
                    self.http
                        .put(part["url"].as_str().unwrap())
                        .body(vec![7; usize::try_from(PART).unwrap()]);
                assert_eq!(put.send().await.unwrap().status(), 200);
            }
        }
        for number in recorded {
            self.api(
                "PUT",
                &format!("/uploads/{id}/parts/{number}"),
                json!({ "size": PART }),
            )
            .await;
        }
        upload
    }
}

impl Page {
    /// The first form's token.
    pub fn token(&self) -> String {
        let at = self
            .html
            .find("name=\"token\" value=\"")
            .unwrap_or_else(|| panic!("no form: {}", self.html));
        let rest = &self.html[at + 20..];
        rest[..rest.find('"').unwrap()].to_owned()
    }

    pub fn location(&self) -> &str {
        self.headers
            .get("location")
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The cookie as it was set, with its attributes.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let all = self.headers.get_all("set-cookie").iter();
        all.map(|value| value.to_str().unwrap())
            .find(|text| text.starts_with(&format!("{name}=")))
    }

    /// The page says this, as people see it.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.html.contains(text), "{text:?} is not in {}", self.html);
        self
    }

    #[track_caller]
    pub fn says_not(&self, text: &str) -> &Self {
        assert!(!self.html.contains(text), "{text:?} is in {}", self.html);
        self
    }

    /// The ids in the list.
    pub fn ids(&self) -> Vec<String> {
        let links = self.html.split("href=\"/admin/uploads/").skip(1);
        links.map(|rest| rest[..32].to_owned()).collect()
    }
}

pub fn id(upload: &Value) -> String {
    upload["id"].as_str().unwrap().to_owned()
}
