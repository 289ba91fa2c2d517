//! Secrets that the server makes for itself once, and that all its instances share.
//!
//! Separate, because this is the one place where a race decides: whoever writes first is right.

use diesel::prelude::*;

use super::Database;
use super::connection::on_backend;
use super::schema::secrets;
use crate::error::Error;

impl Database {
    /// The secret called `name`; `candidate` becomes it if there is none yet. Every instance that asks gets the
    /// same answer, whichever of their candidates won.
    pub async fn shared_secret(&self, name: &str, candidate: String) -> Result<String, Error> {
        let name = name.to_owned();
        self.run(move |conn| {
            let known = secrets::table.find(name.clone()).select(secrets::value);
            if let Some(value) = known.clone().first(conn).optional()? {
                return Ok(value);
            }
            let row = (secrets::name.eq(&name), secrets::value.eq(&candidate));
            on_backend!(conn, |c| {
                diesel::insert_into(secrets::table)
                    .values(row)
                    .on_conflict_do_nothing()
                    .execute(c)
            })?;
            known.first(conn)
        })
        .await
    }
}
