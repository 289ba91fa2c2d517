//! Gate: the application is asked about every new upload, and may refuse it, name it, or narrow what it may be.
//!
//! Separate from `create`, which only knows that somebody is asked: how the question travels is for `hooks` to say. It is
//! asked once for each upload, after our own rules took it and before anything is reserved for it in a storage.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Uploads;
use super::claims::{Claim, Manner};
use super::rates::Pace;
use crate::domain::{
    Bounds, FileName, Fingerprint, Naming, NewUpload, ObjectKey, PartPlan, Principal, Role, State, Transfer,
    check_object_metadata,
};
use crate::error::{Error, FieldError};

/// Most members of an upload's metadata once the application has added its own, and most characters of a name and of a
/// value.
const MOST: (usize, usize, usize) = (50, 128, 1024);

/// Somebody who is asked about new uploads.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Asks about one.
    ///
    /// # Errors
    /// [`Error::Refused`] where it may not come; [`Error::Unavailable`] where there is no answer that can be used, and
    /// uploads are not to begin without one.
    async fn ask(&self, wanted: &Wanted<'_>) -> Result<Terms, Error>;
}

/// What the application is told of an upload that is about to begin.
#[derive(Debug, Clone, Serialize)]
pub struct Wanted<'a> {
    /// Whose it would be.
    pub owner: &'a str,
    /// Where the request came from, where that is known.
    pub address: Option<std::net::IpAddr>,
    /// The door that it came through: a protocol's name.
    pub protocol: &'a str,
    /// `direct` or `relay`.
    pub transfer: &'static str,
    /// `whole` for an ordinary upload; `partial` for a piece of an object to come, and `joined` for what is made of such.
    pub role: &'static str,
    /// The file's name.
    pub filename: &'a str,
    /// Its bytes; none where they are not known yet.
    pub size: Option<u64>,
    /// Its media type.
    pub content_type: &'a str,
    /// What the client says of it besides.
    pub metadata: &'a BTreeMap<String, String>,
    /// The object's key, where the client has chosen it and knows no other.
    pub key: Option<&'a str>,
    /// What its key begins with, where its caller may begin uploads nowhere else.
    pub key_prefix: Option<&'a str>,
    /// Bytes of each part but the last, where we cut the file.
    pub part_size: Option<u64>,
}

/// What the application lays down for one upload; what it leaves out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Terms {
    /// The object's key.
    pub key: Option<String>,
    /// The file's name.
    pub filename: Option<String>,
    /// Members that are set in the metadata, or, without a value, taken out of it.
    pub metadata: BTreeMap<String, Option<String>>,
    /// What narrows the rules.
    #[serde(deserialize_with = "crate::domain::from_object")]
    pub bounds: Bounds,
}

/// A new upload as the application lets it come.
pub(super) struct Granted {
    pub(super) caller: Principal,
    pub(super) new: NewUpload,
    /// By what its client said of the file, so that it finds it again.
    pub(super) fingerprint: Fingerprint,
    pub(super) plan: PartPlan,
    /// The key that the application chose.
    pub(super) key: Option<ObjectKey>,
}

impl Uploads {
    /// Asks the application, where there is one to ask.
    ///
    /// # Errors
    /// As [`Gate::ask`]; [`Error::TooLarge`] and [`Error::TypeRefused`] by what it narrows.
    pub(super) async fn grant(
        &self,
        caller: &Principal,
        new: NewUpload,
        plan: PartPlan,
    ) -> Result<Granted, Error> {
        let (caller, fingerprint) = (caller.clone(), new.fingerprint());
        let terms = match &self.0.gate {
            Some(gate) => gate.ask(&wanted(&caller, &new, plan)).await.inspect_err(|error| {
                if let Error::Refused { message, .. } = error {
                    tracing::info!(owner = %caller.owner, protocol = new.protocol, message, "the application refused an upload");
                }
            })?,
            None => Terms::default(),
        };
        if terms == Terms::default() {
            let key = None;
            return Ok(Granted {
                caller,
                new,
                fingerprint,
                plan,
                key,
            });
        }
        let before = caller.bounds.clone();
        let caller = narrowed(caller, &terms.bounds).map_err(unusable)?;
        self.pace_narrowed(Pace::Create, &caller, &caller.bounds, &before, 1)?;
        let (new, key) = apply(terms, new).map_err(unusable)?;
        check_place(&caller.bounds, &new, key.as_ref()).map_err(unusable)?;
        let limits = self.limits_of(new.transfer);
        let plan = self.0.policy.within(&caller.bounds).admit(&new, &limits)?;
        Ok(Granted {
            caller,
            new,
            fingerprint,
            plan,
            key,
        })
    }

    /// Sees to it that a key of the application's choice is this upload's alone. Nobody else begins one with it while the
    /// claim is held.
    ///
    /// # Errors
    /// [`Error::KeyTaken`] where an upload has it that has not come to nothing, or an object.
    pub(super) async fn take_key(&self, key: &ObjectKey, transfer: Transfer) -> Result<Claim, Error> {
        let storage = self.place_for(transfer)?;
        storage.check_key(key).map_err(unusable)?;
        let turn = self.0.claims.take(format!("key:{key}"), Manner::TURN).await?;
        let known = self.0.db.find_by_key(None, key.as_str()).await?;
        let came_to_nothing = |state| matches!(state, State::Aborted | State::Expired | State::Failed);
        let is_free =
            known.is_none_or(|known| came_to_nothing(known.state)) && storage.find(key).await?.is_none();
        if is_free {
            Ok(turn)
        } else {
            Err(Error::KeyTaken { key: key.to_string() })
        }
    }
}

/// An answer that cannot be used is none.
fn unusable(error: FieldError) -> Error {
    let FieldError { field, detail } = error;
    Error::unavailable(
        "the application",
        format!("its answer cannot be used: {field}: {detail}"),
    )
}

fn wanted<'a>(caller: &'a Principal, new: &'a NewUpload, plan: PartPlan) -> Wanted<'a> {
    let cut = new.wishes.cut;
    let appending = new.wishes.appending.as_ref();
    let is_deferred = appending.is_some_and(|appending| appending.is_deferred);
    let is_known = if cut.is_ours() { !is_deferred } else { new.size > 0 };
    Wanted {
        owner: caller.owner.as_str(),
        address: caller.address,
        protocol: new.protocol,
        transfer: new.transfer.as_str(),
        role: appending.map_or("whole", |appending| appending.role.as_str()),
        filename: new.filename.as_str(),
        size: is_known.then_some(new.size),
        content_type: new.content_type.as_str(),
        metadata: &new.metadata,
        key: match &new.wishes.naming {
            Naming::Key(key) => Some(key.as_str()),
            _ => None,
        },
        key_prefix: caller.bounds.key_prefix.as_deref(),
        part_size: (cut.is_ours() && appending.is_none()).then(|| plan.part_size()),
    }
}

/// The upload as the application wants it. A client that has chosen the key goes by what it said itself, and compares with
/// that when it comes back: of such an upload nothing but the bounds changes.
fn apply(terms: Terms, mut new: NewUpload) -> Result<(NewUpload, Option<ObjectKey>), FieldError> {
    if let Naming::Key(key) = &new.wishes.naming {
        let renames = terms.key.as_deref().is_some_and(|other| other != key.as_str());
        if renames || terms.filename.is_some() || !terms.metadata.is_empty() {
            tracing::warn!(
                %key, protocol = new.protocol,
                "the application's key, filename and metadata are left out: this upload's client has its own"
            );
        }
        return Ok((new, None));
    }
    if let Some(filename) = &terms.filename {
        new.filename = FileName::new(filename)?;
    }
    for (name, value) in terms.metadata {
        match value {
            Some(value) => new.metadata.insert(name, value),
            None => new.metadata.remove(&name),
        };
    }
    check_metadata(&new)?;
    let is_partial = new
        .wishes
        .appending
        .as_ref()
        .is_some_and(|appending| appending.role == Role::Partial);
    let is_lent = matches!(new.wishes.naming, Naming::Below(_));
    let key = terms.key.filter(|_| !is_partial);
    if is_lent && let Some(key) = &key {
        // Its client's own credentials reach nothing else.
        tracing::warn!(
            key,
            "the application's key is left out: this upload's client may write to its own folder alone"
        );
        return Ok((new, None));
    }
    let key = key.map(|key| ObjectKey::path(&key)).transpose()?;
    Ok((new, key))
}

/// The caller within the application's bounds as well, where such can hold.
fn narrowed(caller: Principal, bounds: &Bounds) -> Result<Principal, FieldError> {
    bounds.check()?;
    let caller = caller.within(bounds);
    // Two prefixes that are good can be too long together.
    caller.bounds.check()?;
    Ok(caller)
}

/// Whether the upload comes to lie where the bounds want it, those of its caller and those of the answer together. What we
/// name ourselves is put there, and a key of the client's choice is for the client to hear of.
fn check_place(bounds: &Bounds, new: &NewUpload, key: Option<&ObjectKey>) -> Result<(), FieldError> {
    let Some(prefix) = &bounds.key_prefix else {
        return Ok(());
    };
    if matches!(new.wishes.naming, Naming::Below(_)) {
        // Its client's own credentials reach their own folder alone.
        return Err(FieldError::new(
            "bounds.key_prefix",
            "cannot hold for a client with temporary credentials of its own",
        ));
    }
    if key.is_some_and(|key| !bounds.holds(key)) {
        let detail = format!("must begin with {prefix}, as key_prefix says");
        return Err(FieldError::new("key", detail));
    }
    Ok(())
}

fn check_metadata(new: &NewUpload) -> Result<(), FieldError> {
    let (members, name_length, value_length) = MOST;
    let refused = |detail: String| Err(FieldError::new("metadata", detail));
    if new.metadata.len() > members {
        return refused(format!(
            "has at most {members} members, this one has {}",
            new.metadata.len()
        ));
    }
    for (name, value) in &new.metadata {
        if name.is_empty() || name.chars().count() > name_length {
            return refused(format!("a name has 1 to {name_length} characters"));
        }
        if value.chars().count() > value_length {
            return refused(format!("a value has at most {value_length} characters"));
        }
    }
    if new.wishes.cut.is_ours() {
        return Ok(());
    }
    check_object_metadata(&new.metadata)
}
