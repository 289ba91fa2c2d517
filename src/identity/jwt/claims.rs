//! What a token's claims say: <https://www.rfc-editor.org/rfc/rfc7519#section-4.1>.
//!
//! Separate from signatures: this is read only once one was good. A claim that cannot be understood is never passed over,
//! since it may have been a limit.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::config::JwtConfig;
use crate::domain::{Bounds, Owner, Principal, from_object};
use crate::error::Error;
use crate::identity::Scopes;

/// How claims are read.
pub(super) struct Rules {
    settings: JwtConfig,
}

const fn refused(reason: &'static str) -> Error {
    Error::Unauthenticated(reason)
}

impl Rules {
    pub(super) fn new(settings: &JwtConfig) -> Self {
        let mut settings = settings.clone();
        // Keys are the business of others.
        settings.secret = crate::config::Secret::default();
        Self { settings }
    }

    /// Whom the claims are of, and what they may.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] naming the claim, [`Error::Forbidden`] for want of a scope.
    pub(super) fn read(&self, claims: &Map<String, Value>, now: DateTime<Utc>) -> Result<Principal, Error> {
        let ends = self.check_times(claims, now)?;
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        let owner = self.owner(claims)?;
        let grant = self.scopes(claims)?.grant();
        let principal = Principal::new(owner, grant).within(&self.bounds(claims)?);
        Ok(principal.until(ends))
    }

    fn check_times(&self, claims: &Map<String, Value>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Error> {
        let leeway = i64::try_from(self.settings.leeway_s).unwrap_or(0);
        let ends = claims.get("exp").and_then(seconds);
        let ends = ends.ok_or(refused("this token does not say until when it is good (exp)"))?;
        if ends.saturating_add(leeway) <= now.timestamp() {
            return Err(refused("this token has expired"));
        }
        if let Some(begins) = claims.get("nbf") {
            let begins = seconds(begins).ok_or(refused("the token's nbf is no time"))?;
            if begins > now.timestamp().saturating_add(leeway) {
                return Err(refused("this token is not good yet"));
            }
        }
        let ends = DateTime::from_timestamp(ends.saturating_add(leeway), 0);
        Ok(ends.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Error> {
        let issuer = &self.settings.issuer;
        let told = claims.get("iss").and_then(Value::as_str);
        if issuer.is_empty() || told == Some(issuer) {
            Ok(())
        } else {
            Err(refused("this token is of another issuer"))
        }
    }

    /// Whoever is not named in an audience must refuse it, whether the settings name one or not.
    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Error> {
        let ours = &self.settings.audience;
        let is_ours = |name: &Value| {
            name.as_str()
                .is_some_and(|name| ours.iter().any(|our| our == name))
        };
        let is_for_us = match claims.get("aud") {
            None | Some(Value::Null) => ours.is_empty(),
            Some(Value::Array(names)) => names.iter().any(is_ours),
            Some(name) => is_ours(name),
        };
        if is_for_us {
            Ok(())
        } else {
            Err(refused("this token is for another audience"))
        }
    }

    fn owner(&self, claims: &Map<String, Value>) -> Result<Owner, Error> {
        let name = match find(claims, &self.settings.owner_claim) {
            Some(Value::String(name)) => name.clone(),
            // Identities in databases are numbers.
            Some(Value::Number(number)) if number.is_u64() => number.to_string(),
            None => return Err(refused("this token does not say who its bearer is")),
            Some(_) => {
                return Err(refused(
                    "what this token says of its bearer is neither a text nor a whole number",
                ));
            }
        };
        let prefix = &self.settings.owner_prefix;
        Owner::of_application(prefix, &name).map_err(|_| {
            refused(if prefix.is_empty() {
                "what this token says of its bearer must have 1 to 100 characters of A-Z a-z 0-9 . _ @ -"
            } else {
                "what this token says of its bearer must have 1 to 255 bytes and no control characters"
            })
        })
    }

    fn scopes(&self, claims: &Map<String, Value>) -> Result<Scopes, Error> {
        let told = find(claims, &self.settings.scope_claim);
        let has = |scope: &str| match told {
            Some(Value::String(list)) => list.split_whitespace().any(|one| one == scope),
            Some(Value::Array(list)) => list.iter().any(|one| one.as_str() == Some(scope)),
            _ => false,
        };
        let (upload, admin) = (&self.settings.upload_scope, &self.settings.admin_scope);
        let scopes = Scopes {
            upload: upload.is_empty() || has(upload),
            admin: !admin.is_empty() && has(admin),
        };
        if scopes.upload || scopes.admin {
            Ok(scopes)
        } else {
            Err(Error::Forbidden(
                "this token is good, but has none of the scopes that are needed here",
            ))
        }
    }

    fn bounds(&self, claims: &Map<String, Value>) -> Result<Bounds, Error> {
        let Some(told) = find(claims, &self.settings.bounds_claim) else {
            return Ok(Bounds::default());
        };
        let bounds: Result<Bounds, serde_json::Error> = from_object(told);
        let bounds = bounds.map_err(|error| error.to_string()).and_then(|bounds| {
            let checked = bounds.check();
            checked
                .map(|()| bounds)
                .map_err(|error| format!("{}: {}", error.field, error.detail))
        });
        bounds.map_err(|reason| {
            tracing::warn!(
                reason,
                "the limits in an application's token cannot be understood"
            );
            refused("the limits that this token sets cannot be understood; the server's log says why")
        })
    }
}

/// Seconds since 1970, of which some issuers write fractions.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the value is checked to be within"
)]
fn seconds(value: &Value) -> Option<i64> {
    let within = |time: &f64| time.is_finite() && (0.0..1e12).contains(time);
    value
        .as_i64()
        .or_else(|| value.as_f64().filter(within).map(|time| time as i64))
}

/// A claim by its name, or by a JSON Pointer: <https://www.rfc-editor.org/rfc/rfc6901>.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = match name.strip_prefix('/') {
        None => claims.get(name),
        Some(rest) => {
            let (first, deeper) = rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
            let outer = claims.get(&first.replace("~1", "/").replace("~0", "~"));
            match deeper {
                None => outer,
                Some(deeper) => outer?.pointer(&format!("/{deeper}")),
            }
        }
    };
    found.filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn read(adjust: impl FnOnce(&mut JwtConfig), claims: Value) -> Result<Principal, Error> {
        let mut settings = JwtConfig::default();
        adjust(&mut settings);
        let Value::Object(mut claims) = claims else {
            panic!()
        };
        claims
            .entry("exp")
            .or_insert_with(|| (now().timestamp() + 60).into());
        claims.entry("sub").or_insert_with(|| "anna".into());
        Rules::new(&settings).read(&claims, now())
    }

    #[test]
    fn times_are_held_against_our_clock_with_some_leeway() {
        let at = now().timestamp();
        for (claims, is_good) in [
            (json!({"exp": at + 1}), true),
            (json!({"exp": at - 29}), true),
            (json!({"exp": at - 30}), false),
            (json!({"exp": 1e300}), false),
            (json!({"exp": 1_767_225_600.5}), true),
            (json!({"exp": "tomorrow"}), false),
            (json!({"exp": null}), false),
            (json!({"exp": -1}), false),
            (json!({"nbf": at + 30}), true),
            (json!({"nbf": at + 31}), false),
            (json!({"nbf": "now"}), false),
        ] {
            assert_eq!(read(|_| {}, claims.clone()).is_ok(), is_good, "{claims}");
        }
    }

    #[test]
    fn a_token_for_others_is_refused_whether_or_not_we_have_a_name() {
        for (ours, aud, is_good) in [
            (vec![], json!(null), true),
            (vec![], json!("billing"), false),
            (vec!["up"], json!("up"), true),
            (vec!["up"], json!(["billing", "up"]), true),
            (vec!["up"], json!(["billing"]), false),
            (vec!["up"], json!([]), false),
            (vec!["up"], json!(null), false),
            (vec!["up"], json!({"up": 1}), false),
        ] {
            let settings =
                |config: &mut JwtConfig| config.audience = ours.iter().map(ToString::to_string).collect();
            assert_eq!(
                read(settings, json!({"aud": aud})).is_ok(),
                is_good,
                "{ours:?} {aud}"
            );
        }
        for (iss, is_good) in [
            (json!("https://id"), true),
            (json!("https://id/"), false),
            (json!(null), false),
        ] {
            let settings = |config: &mut JwtConfig| config.issuer = "https://id".into();
            assert_eq!(read(settings, json!({"iss": iss})).is_ok(), is_good, "{iss}");
        }
    }

    #[test]
    fn whoever_is_named_is_found_by_name_or_by_pointer() {
        let named = |claim: &str, claims: Value| {
            read(|config| config.owner_claim = claim.into(), claims).map(|caller| caller.owner.to_string())
        };
        assert_eq!(named("uid", json!({"uid": 7})).unwrap(), "jwt:7");
        assert_eq!(
            named("https://a/uid", json!({"https://a/uid": "x"})).unwrap(),
            "jwt:x"
        );
        assert_eq!(named("/user/id", json!({"user": {"id": "x"}})).unwrap(), "jwt:x");
        for bad in [
            json!({"uid": ""}),
            json!({"uid": 1.5}),
            json!({"uid": ["a"]}),
            json!({}),
        ] {
            assert!(named("uid", bad.clone()).is_err(), "{bad}");
        }
        assert!(read(|config| config.owner_prefix.clear(), json!({"sub": "visitor:1"})).is_err());
    }

    #[test]
    fn nobody_becomes_an_admin_unless_the_settings_name_the_scope() {
        let claims = json!({"scope": "openid admin"});
        let open = read(|_| {}, claims.clone()).unwrap();
        assert!(!open.is_admin() && open.may_begin().is_ok());
        let admin = read(|config| config.admin_scope = "admin".into(), claims.clone()).unwrap();
        assert!(admin.is_admin() && admin.may_begin().is_ok());
        let both = |config: &mut JwtConfig| {
            (config.upload_scope, config.admin_scope) = ("files:write".into(), "files:admin".into());
            config.scope_claim = "/realm_access/roles".into();
        };
        let roles = |roles: &[&str]| json!({"realm_access": {"roles": roles}});
        assert!(read(both, roles(&["files:admin"])).unwrap().may_begin().is_err());
        assert!(!read(both, roles(&["files:write"])).unwrap().is_admin());
        assert!(matches!(
            read(both, roles(&["files:writer"])),
            Err(Error::Forbidden(_))
        ));
        assert!(matches!(read(both, claims), Err(Error::Forbidden(_))));
    }

    #[test]
    fn limits_that_are_not_understood_refuse_the_token() {
        let good = read(
            |_| {},
            json!({"muleteer": {"max_size": 10, "types": ["image/*"], "key_prefix": "tenants/7/"}}),
        )
        .unwrap();
        assert_eq!(good.bounds.max_size, Some(10));
        let open = read(|_| {}, json!({"muleteer": {"max_size": null}})).unwrap();
        assert!(open.bounds.is_open(), "a member that is null narrows nothing");
        assert_eq!(good.until, DateTime::from_timestamp(now().timestamp() + 90, 0));
        for bad in [
            json!({"max_sise": 10}),
            json!({"max_size": "10"}),
            json!({"max_size": -1}),
            json!({"key_prefix": "../"}),
            json!({"types": ["image"]}),
            json!({"max_parts": 0}),
            json!("none"),
            json!([]),
            json!([10]),
        ] {
            assert!(read(|_| {}, json!({"muleteer": bad})).is_err(), "{bad}");
        }
    }
}
