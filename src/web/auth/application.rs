//! What of a request the application is shown, where it is asked who somebody is.
//!
//! Separate from our own credentials, because most of this comes along by itself: a browser adds its cookies to whatever any
//! page asks of us, so these count for pages alone that may bring them.

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, COOKIE};

use super::{OTHER_SITE, refuse_other_sites};
use crate::domain::Principal;
use crate::error::Error;
use crate::identity::{Circumstances, Identity, Shown};
use crate::web::peer::{client_address, outer_origin};

/// What the names of our own cookies begin with; they are nobody's business but ours.
const OUR_COOKIES: &str = "muleteer_";

/// Whether the application is asked, and shown this header, by its name in small letters.
pub(super) fn is_shown(identity: &Identity, name: &str) -> bool {
    let shown = identity.shown_headers();
    shown.iter().any(|header| header.eq_ignore_ascii_case(name))
}

/// Who the application says that somebody is; `None` where it does not know them, is not asked, or where there is nothing
/// that it could know them by.
///
/// # Errors
/// [`Error::Forbidden`] where it refuses them, and for a page of another site that would change something with cookies;
/// [`Error::Unavailable`] where it gives no answer that can be used.
pub(super) async fn knows(request: &HttpRequest, identity: &Identity) -> Result<Option<Principal>, Error> {
    if identity.shown_headers().is_empty() {
        return Ok(None);
    }
    let may_bring_all = refuse_other_sites(request).is_ok();
    let (shown, is_less) = shown(request, identity.shown_headers(), may_bring_all);
    if shown.is_empty() {
        // What is only looked at may be asked for by a link of any page: as nobody.
        let changes = !request.method().is_safe();
        return if is_less && changes {
            Err(OTHER_SITE)
        } else {
            Ok(None)
        };
    }
    let circumstances = Circumstances {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        origin: outer_origin(request),
        address: client_address(request),
    };
    identity.by_application(&shown, &circumstances).await
}

/// The headers of these names, without what a browser has added by itself if the page may not bring that; and whether
/// something was left out for that reason.
fn shown(request: &HttpRequest, names: &[String], may_bring_all: bool) -> (Shown, bool) {
    let (mut shown, mut is_less) = (Shown::new(), false);
    for name in names.iter().map(|name| name.to_ascii_lowercase()) {
        for value in request.headers().get_all(name.as_str()) {
            let value = if name == COOKIE.as_str() {
                others_cookies(value.as_bytes())
            } else {
                value.as_bytes().to_vec()
            };
            if value.is_empty() {
                continue;
            }
            if !may_bring_all && comes_by_itself(&name, &value) {
                is_less = true;
            } else {
                shown.push((name.clone(), value));
            }
        }
    }
    (shown, is_less)
}

/// Whether browsers add this to requests without their page: cookies, and passwords that they were told once.
fn comes_by_itself(name: &str, value: &[u8]) -> bool {
    let is_bearer = value.len() > 7 && value[..7].eq_ignore_ascii_case(b"bearer ");
    name == COOKIE.as_str() || (name == AUTHORIZATION.as_str() && !is_bearer)
}

/// The cookies that are not ours.
fn others_cookies(value: &[u8]) -> Vec<u8> {
    let pairs = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let others: Vec<&[u8]> = pairs
        .filter(|pair| !pair.is_empty() && !pair.starts_with(OUR_COOKIES.as_bytes()))
        .collect();
    others.join(b"; ".as_slice())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn names() -> Vec<String> {
        vec!["Cookie".into(), "Authorization".into()]
    }

    #[test]
    fn our_own_cookies_are_not_shown() {
        let request = TestRequest::default()
            .insert_header(("cookie", "muleteer_admin=x; sid=1;muleteer_visitor=y ; b=2"))
            .to_http_request();

        let (shown, _) = shown(&request, &names(), true);

        assert_eq!(shown, [("cookie".to_owned(), b"sid=1; b=2".to_vec())]);
        let alone = TestRequest::default()
            .insert_header(("cookie", "muleteer_visitor=y"))
            .to_http_request();
        assert_eq!(super::shown(&alone, &names(), true), (Shown::new(), false));
    }

    #[test]
    fn of_a_page_that_may_not_only_what_it_wrote_itself_is_shown() {
        let request = |authorization: &'static str| {
            TestRequest::default()
                .insert_header(("cookie", "sid=1"))
                .insert_header(("authorization", authorization))
                .to_http_request()
        };

        let (token, is_less) = shown(&request("Bearer x"), &names(), false);
        assert_eq!((token.len(), is_less), (1, true));
        assert_eq!(
            shown(&request("Basic YTpi"), &names(), false),
            (Shown::new(), true)
        );
    }
}
