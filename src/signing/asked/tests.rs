//! The worked examples of both clients' protocols, and what must not be signed.

use chrono::TimeZone;

use super::*;
use crate::signing::AddressingStyle;

const META: &str = "x-amz-meta-*";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Rules by which the examples are signed, at an endpoint of this style.
fn with_rules<T>(style: AddressingStyle, act: impl FnOnce(&AskRules<'_>) -> T) -> T {
    let location = BucketLocation::new("https://s3.amazonaws.com", "media", style, "us-east-1").unwrap();
    act(&AskRules {
        location: &location,
        now: Utc.with_ymd_and_hms(2026, 5, 5, 10, 0, 0).unwrap(),
        acl: "private",
        headers: &[META.to_owned()],
        existence: false,
        access_key_id: "EXAMPLEKEYID00000000",
    })
}

fn credentials() -> Credentials {
    Credentials::long_term("EXAMPLEKEYID00000000", "example/Secret+Key0000000000000000000000")
}

fn signed(signable: Result<Signable<'_>, Refusal>) -> Result<String, Refusal> {
    with_rules(AddressingStyle::Path, |rules| {
        let asked = signable?.read(rules)?;
        Ok(asked
            .sign(&SigningKeys::new(), rules.location, &credentials())
            .unwrap())
    })
}

const PART_V4: &str = "PUT\n/media/u/7f3a/clip.mp4\npartNumber=1&uploadId=exUpload.0001-abc\n\
    content-md5:1B2M2Y8AsgTpgAmY7PhCfg==\nhost:s3.amazonaws.com\nx-amz-date:20260505T100000Z\n\n\
    content-md5;host;x-amz-date\nUNSIGNED-PAYLOAD";

const PART_V2: &str = "PUT\n\n\n\nx-amz-date:Tue, 05 May 2026 10:00:00 GMT\n\
    /media/u/7f3a/clip.mp4?partNumber=1&uploadId=exUpload.0001-abc";

const BEGIN_V2: &str = "POST\n\nvideo/mp4\n\nx-amz-acl:private\nx-amz-date:Tue, 05 May 2026 10:00:00 GMT\n\
    x-amz-meta-qqfilename:clip.mp4\n/media/u/7f3a/clip.mp4?uploads";

const BEGIN_V4: &str = "POST\n/u/7f3a/clip.mp4\nuploads=\nhost:media.s3.amazonaws.com\nx-amz-acl:private\n\
    x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\
    x-amz-date:20260505T100000Z\nx-amz-meta-qqfilename:clip.mp4\n\n\
    host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-meta-qqfilename\n\
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const HEAD_OF_V4: &str = "AWS4-HMAC-SHA256\n20260505T100000Z\n20260505/us-east-1/s3/aws4_request\n";

/// A canonical request as Fine Uploader sends it whole.
fn whole(canonical: &str) -> String {
    format!("{HEAD_OF_V4}{canonical}")
}

#[test]
fn evaporates_worked_examples_are_signed_as_printed() {
    let to_sign = format!("{HEAD_OF_V4}4c99f7e66f8fa87ae1c9ef813e7cf59c74d8e0c002fa3675520b18d1301e272f");
    assert_eq!(
        signed(Signable::hashed(&to_sign, PART_V4)).unwrap(),
        "a4596a09a549732dc4b7db51e836ac58df3c061c4f0bf7ae34f54fa5274b165e"
    );
    assert_eq!(
        signed(Signable::whole(PART_V2)).unwrap(),
        "RHV7xS65g7N282ZGGOxvK+VUsT8="
    );
}

#[test]
fn fine_uploaders_worked_examples_are_signed_as_printed() {
    assert_eq!(
        signed(Signable::whole(BEGIN_V2)).unwrap(),
        "Bnm27ju0ipok+XvGMRP+qbUUIJw="
    );
    assert_eq!(
        signed(Signable::whole(&whole(BEGIN_V4))).unwrap(),
        "50f3d578cf3c16ebb8e4c76d16a65d947d14bea60800da35c2514d520afc71cd"
    );
}

#[test]
fn a_policy_of_given_bytes_is_signed_as_printed() {
    let v4 = r#"{"expiration":"2026-05-05T10:05:00.000Z","conditions":[{"acl":"private"},{"bucket":"media"},{"Content-Type":"image/png"},{"success_action_status":"200"},{"x-amz-algorithm":"AWS4-HMAC-SHA256"},{"key":"u/7f3a/pic.png"},{"x-amz-credential":"EXAMPLEKEYID00000000/20260505/us-east-1/s3/aws4_request"},{"x-amz-date":"20260505T100000Z"},{"x-amz-meta-qqfilename":"pic.png"}]}"#;
    let v2 = r#"{"expiration":"2026-05-05T10:05:00.000Z","conditions":[{"acl":"private"},{"bucket":"media"},{"Content-Type":"image/png"},{"success_action_status":"200"},{"key":"u/7f3a/pic.png"},{"x-amz-meta-qqfilename":"pic.png"}]}"#;
    for (document, signature) in [
        (
            v4,
            "d237a37d37cd8bafe684305d438df92d0eb12c7057fe5bdc2f0370e5ffc7f026",
        ),
        (v2, "SbupWz+XRLsBLcCDnBjFb7rkVHk="),
    ] {
        let parsed = serde_json::from_str(document).unwrap();
        let read = with_rules(AddressingStyle::Path, |rules| {
            AskedPolicy::read(&parsed, 1000, rules)
        })
        .unwrap();

        let same_bytes = read.clone().with_document(document);
        let signed = same_bytes
            .sign(&SigningKeys::new(), "us-east-1", &credentials())
            .unwrap();
        assert_eq!(signed.signature, signature);

        let ours: serde_json::Value = serde_json::from_str(read.document()).unwrap();
        let conditions = ours["conditions"].as_array().unwrap();
        assert_eq!(
            conditions.last().unwrap(),
            &serde_json::json!(["content-length-range", 0, 1000])
        );
        let theirs = parsed["conditions"].as_array().unwrap();
        assert_eq!(
            &conditions[..theirs.len()],
            theirs.as_slice(),
            "what the form carries stays"
        );
    }
}

#[test]
fn what_is_signed_has_the_real_host_and_the_clients_own_list_of_headers() {
    let location = BucketLocation::new(
        "http://127.0.0.1:9000",
        "media",
        AddressingStyle::Path,
        "us-east-1",
    )
    .unwrap();
    let canonical = PART_V4.replace("s3.amazonaws.com", "127.0.0.1");
    let read = with_rules(AddressingStyle::Path, |rules| {
        Signable::whole(&whole(&canonical)).unwrap().read(&AskRules {
            location: &location,
            ..*rules
        })
    });

    let Form::V4 { canonical: ours } = read.unwrap().form else {
        panic!("no SigV4")
    };
    assert_eq!(ours, canonical.replace("host:127.0.0.1", "host:127.0.0.1:9000"));
}

#[test]
fn the_six_operations_are_told_apart() {
    let of = |method, query: &str| {
        let canonical = PART_V4
            .replace("PUT", method)
            .replace("partNumber=1&uploadId=exUpload.0001-abc", query)
            .replace("UNSIGNED-PAYLOAD", EMPTY);
        let text = whole(&canonical);
        let read = |existence| {
            with_rules(AddressingStyle::Path, |rules| {
                Signable::whole(&text)
                    .unwrap()
                    .read(&AskRules { existence, ..*rules })
            })
        };
        (
            read(false).map(|asked| asked.operation),
            read(true).map(|asked| asked.operation),
        )
    };
    let upload_id = "u1".to_owned();
    assert_eq!(of("POST", "uploads=").0.unwrap(), AskedOperation::Begin);
    let list = AskedOperation::List {
        upload_id: upload_id.clone(),
    };
    assert_eq!(of("GET", "part-number-marker=0&uploadId=u1").0.unwrap(), list);
    assert_eq!(
        of("DELETE", "uploadId=u1").0.unwrap(),
        AskedOperation::Abort { upload_id }
    );
    let (refused, allowed) = of("HEAD", "");
    assert!(
        refused.is_err() && allowed == Ok(AskedOperation::Exists),
        "only where the settings allow it"
    );
    for (method, query) in [
        ("GET", ""),
        ("DELETE", ""),
        ("PUT", ""),
        ("POST", ""),
        ("GET", "acl="),
        ("PUT", "acl="),
        ("GET", "uploads="),
        ("POST", "uploads=x"),
        ("POST", "delete="),
        ("DELETE", "uploadId=u1&versionId=v"),
        ("GET", "uploadId=u1&uploadId=u2"),
        ("GET", "response-content-type=a&uploadId=u1"),
        ("GET", "part-number-marker=99999&uploadId=u1"),
        ("POST", "policy=&uploads="),
        ("POST", "uploadId="),
        ("POST", "uploadId=a%26acl"),
        ("get", "uploadId=u1"),
    ] {
        assert!(of(method, query).1.is_err(), "{method} {query}");
    }
}

#[test]
fn one_thing_changed_in_a_canonical_request_and_it_is_refused() {
    let change = |from: &str, to: &str| {
        assert!(PART_V4.contains(from), "{from}");
        signed(Signable::whole(&whole(&PART_V4.replacen(from, to, 1))))
    };
    assert!(change("PUT", "PUT").is_ok());
    for (from, to) in [
        ("/media/", "/other/"),
        ("/media/u/7f3a/clip.mp4", "/media/"),
        ("clip.mp4", "a?acl"),
        ("clip.mp4", "a%zz"),
        ("partNumber=1", "partNumber=10001"),
        ("partNumber=1", "partNumber=0"),
        ("partNumber=1", "partNumber=01"),
        ("partNumber=1", "partNumber=+1"),
        ("host:s3.amazonaws.com", "host:evil.example"),
        ("x-amz-date:20260505T100000Z", "x-amz-date:20260505T100001Z"),
        ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("1B2M2Y8AsgTpgAmY7PhCfg==", "x"),
        ("content-md5;host;x-amz-date", "host;x-amz-date"),
        (
            "content-md5;host;x-amz-date",
            "content-md5;host;x-amz-acl;x-amz-date",
        ),
        ("\nx-amz-date:", "\nx-amz-copy-source:/media/secret\nx-amz-date:"),
        ("\nhost:", "\nHost:"),
        ("\nUNSIGNED", "\n\nUNSIGNED"),
        ("clip.mp4\n", "clip.mp4\r\n"),
    ] {
        assert!(change(from, to).is_err(), "{from:?} as {to:?}");
    }
    // The same with the name in the list as well, which is how a client would do it.
    for header in [
        "x-amz-copy-source:/media/secret",
        "x-amz-acl:public-read",
        "x-amz-grant-read:uri",
        "x-amz-security-token:t",
        "x-amz-meta-late:1",
        "range:bytes=0-1",
    ] {
        let (name, _) = header.split_once(':').unwrap();
        let mut headers = vec![
            "content-md5:1B2M2Y8AsgTpgAmY7PhCfg==",
            "host:s3.amazonaws.com",
            header,
        ];
        headers.push("x-amz-date:20260505T100000Z");
        headers.sort_unstable();
        let mut names = ["content-md5", "host", "x-amz-date", name];
        names.sort_unstable();
        let canonical = format!(
            "PUT\n/media/u/7f3a/clip.mp4\npartNumber=1&uploadId=u1\n{}\n\n{}\nUNSIGNED-PAYLOAD",
            headers.join("\n"),
            names.join(";")
        );
        assert!(signed(Signable::whole(&whole(&canonical))).is_err(), "{header}");
    }
}

#[test]
fn date_scope_and_hash_must_agree() {
    let good = whole(PART_V4);
    for (from, to) in [
        ("20260505T100000Z", "20260505T102000Z"),
        ("20260505T100000Z", "20260505T094000Z"),
        ("20260505T100000Z", "20260505T100000"),
        ("20260505/us-east-1", "20260504/us-east-1"),
        ("us-east-1", "eu-west-1"),
        ("/s3/", "/iam/"),
        ("aws4_request\n", "aws4_request/x\n"),
    ] {
        assert!(
            signed(Signable::whole(&good.replace(from, to))).is_err(),
            "{from} as {to}"
        );
    }
    for seconds in [-900, 900] {
        let asked = with_rules(AddressingStyle::Path, |rules| {
            let now = rules.now + chrono::TimeDelta::seconds(seconds);
            let at = |now| Signable::whole(&good).unwrap().read(&AskRules { now, ..*rules });
            (
                at(now).is_ok(),
                at(now + chrono::TimeDelta::seconds(seconds.signum())).is_ok(),
            )
        });
        assert_eq!(asked, (true, false), "fifteen minutes and no second more");
    }
    let to_sign = format!("{HEAD_OF_V4}{}", "0".repeat(64));
    assert!(Signable::hashed(&to_sign, PART_V4).is_err());
    assert!(Signable::hashed(PART_V2, PART_V4).is_err());
    assert!(Signable::hashed(&format!("{to_sign}\nx"), PART_V4).is_err());
}

#[test]
fn one_thing_changed_in_a_string_of_version_2_and_it_is_refused() {
    let change = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        signed(Signable::whole(&text.replacen(from, to, 1)))
    };
    for (from, to) in [
        ("PUT", "GET"),
        ("PUT", "PUT\n"),
        ("PUT\n\n\n\n", "PUT\n\n\nTue, 05 May 2026 10:00:00 GMT\n"),
        ("/media/", "/other/"),
        ("/media/", "//media/"),
        ("10:00:00 GMT", "10:20:00 GMT"),
        ("Tue,", "Mon,"),
        ("x-amz-date", "X-Amz-Date"),
        ("x-amz-date", "x-amz-copy-source:/media/x\nx-amz-date"),
        ("\n/media", "\nx-amz-security-token:t\n/media"),
        ("\n/media", "\r\n/media"),
        ("clip.mp4?", "clip.mp4?acl&"),
        ("clip.mp4?", "clip.mp4%3Facl&"),
        ("uploadId=exUpload.0001-abc", "uploadId=x&versionId=1"),
        ("uploadId=exUpload.0001-abc", "uploadId=x%26acl"),
        ("uploadId=exUpload.0001-abc", "uploadId"),
        ("partNumber=1", "partNumber=10001"),
        ("?partNumber=1&uploadId=exUpload.0001-abc", ""),
        ("?partNumber=1&uploadId=exUpload.0001-abc", "?acl"),
        ("clip.mp4?", "a b?"),
    ] {
        assert!(change(PART_V2, from, to).is_err(), "{from:?} as {to:?}");
    }
    for (from, to) in [
        ("x-amz-acl:private", "x-amz-acl:public-read"),
        ("x-amz-acl:private", "x-amz-acl:private\nx-amz-acl:public-read"),
        ("x-amz-meta-qqfilename", "x-amz-website-redirect-location"),
        ("clip.mp4\n", &format!("{}\n", "x".repeat(3000))),
    ] {
        assert!(change(BEGIN_V2, from, to).is_err(), "{from:?} as {to:?}");
    }
}

#[test]
fn policies_that_leave_something_open_are_refused() {
    let good = serde_json::json!({ "expiration": "2026-05-05T10:05:00.000Z", "conditions": [
        { "acl": "private" }, { "bucket": "media" }, { "success_action_status": "200" }, { "key": "u/1" },
    ] });
    let read = |document: &serde_json::Value| {
        with_rules(AddressingStyle::Path, |rules| {
            AskedPolicy::read(document, 1000, rules)
        })
    };
    assert!(read(&good).unwrap().is_v2());
    let with = |condition: serde_json::Value| {
        let mut document = good.clone();
        document["conditions"].as_array_mut().unwrap().push(condition);
        read(&document)
    };
    for condition in [
        serde_json::json!(["starts-with", "$key", "u/"]),
        serde_json::json!(["eq", "$key", "u/2"]),
        serde_json::json!({ "key": "u/2" }),
        serde_json::json!({ "ACL": "public-read" }),
        serde_json::json!({ "success_action_redirect": "https://evil.example" }),
        serde_json::json!({ "x-amz-website-redirect-location": "https://evil.example" }),
        serde_json::json!({ "x-amz-security-token": "t" }),
        serde_json::json!({ "x-amz-algorithm": "AWS4-HMAC-SHA256" }),
        serde_json::json!({ "x-amz-meta-a": "1", "x-amz-meta-b": "2" }),
        serde_json::json!({ "x-amz-meta-a": ["x"] }),
        serde_json::json!(["content-length-range", 2000, 3000]),
        serde_json::json!("x"),
    ] {
        assert!(with(condition.clone()).is_err(), "{condition}");
    }
    for (index, condition) in [
        (0, serde_json::json!({ "acl": "public-read" })),
        (1, serde_json::json!({ "bucket": "other" })),
        (2, serde_json::json!({ "success_action_status": "201" })),
        (3, serde_json::json!({ "x-amz-meta-a": "no key" })),
    ] {
        let mut document = good.clone();
        document["conditions"][index] = condition.clone();
        assert!(read(&document).is_err(), "{condition}");
    }
    for expiration in [
        "2026-05-05T10:15:01Z",
        "2026-05-05T10:00:00Z",
        "2036-05-05T10:00:00Z",
        "soon",
    ] {
        let mut document = good.clone();
        document["expiration"] = expiration.into();
        assert!(read(&document).is_err(), "{expiration}");
    }
    let narrower = with(serde_json::json!(["content-length-range", "1", "10"])).unwrap();
    assert_eq!(narrower.max_size, 10);
    let wider = with(serde_json::json!([
        "content-length-range",
        "1",
        "9007199254740992"
    ]))
    .unwrap();
    assert_eq!(wider.max_size, 1000);
}

#[test]
fn a_temporary_key_signs_nothing_that_a_page_has_no_token_for() {
    let temporary = Credentials {
        session_token: Some("token".into()),
        ..credentials()
    };
    let refused = with_rules(AddressingStyle::Path, |rules| {
        let asked = Signable::whole(PART_V2).unwrap().read(rules).unwrap();
        asked.sign(&SigningKeys::new(), rules.location, &temporary)
    });
    assert!(matches!(refused, Err(SigningError::SessionToken)));
}
