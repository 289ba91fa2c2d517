//! Leases: what only one process may do at a time.
//!
//! Separate, because a lease is the one thing here that ends by itself: whoever holds it says so again before it runs
//! out, and a process that died says nothing. Each change is one statement whose condition decides.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::Database;
use super::column::from_time;
use super::connection::on_backend;
use super::schema::leases;
use crate::error::Error;

impl Database {
    /// Takes the lease called `name` for `holder` until `until`; true if it is theirs now. One that has run out at
    /// `now` is free, and a holder may take its own again.
    pub async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        let (now, until) = (from_time(now), from_time(until));
        self.run(move |conn| {
            // A free one is the rule, so it is tried first; only one insert of a name succeeds.
            let row = (
                leases::name.eq(&name),
                leases::holder.eq(&holder),
                leases::expires_at.eq(until),
                leases::wanted.eq(0),
            );
            let inserted = on_backend!(conn, |c| {
                diesel::insert_into(leases::table)
                    .values(row)
                    .on_conflict_do_nothing()
                    .execute(c)
            })?;
            if inserted == 1 {
                return Ok(true);
            }
            let free = leases::expires_at.le(now).or(leases::holder.eq(&holder));
            let taken = diesel::update(leases::table.find(&name).filter(free))
                .set((
                    leases::holder.eq(&holder),
                    leases::expires_at.eq(until),
                    leases::wanted.eq(0),
                ))
                .execute(conn)?;
            Ok(taken == 1)
        })
        .await
    }

    /// Who has the lease called `name`, run out or not.
    pub async fn lease_holder(&self, name: &str) -> Result<Option<String>, Error> {
        let name = name.to_owned();
        self.run(move |conn| {
            let holder = leases::table.find(name).select(leases::holder);
            holder.first(conn).optional()
        })
        .await
    }

    /// Pushes out the end of those of these leases that are `holder`'s; which those are. One that has run out is still
    /// theirs while nobody has taken it: its row says so.
    pub async fn renew_leases(
        &self,
        holder: &str,
        names: Vec<String>,
        until: DateTime<Utc>,
    ) -> Result<Vec<String>, Error> {
        let (holder, until) = (holder.to_owned(), from_time(until));
        self.run(move |conn| {
            let is_own = || leases::name.eq_any(&names).and(leases::holder.eq(&holder));
            let held = leases::table.filter(is_own());
            diesel::update(held)
                .set(leases::expires_at.eq(until))
                .execute(conn)?;
            let renewed = leases::table
                .filter(is_own())
                .filter(leases::expires_at.ge(until));
            renewed.select(leases::name).load(conn)
        })
        .await
    }

    /// Says that somebody waits for the lease called `name`, and how urgently; a milder wish changes nothing.
    pub async fn want_lease(&self, name: &str, level: i32) -> Result<(), Error> {
        let name = name.to_owned();
        self.run(move |conn| {
            diesel::update(leases::table.find(name).filter(leases::wanted.lt(level)))
                .set(leases::wanted.eq(level))
                .execute(conn)
        })
        .await
        .map(drop)
    }

    /// Says that somebody who waited for the lease called `name` does no longer.
    pub async fn unwant_lease(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.run(move |conn| {
            diesel::update(leases::table.find(name))
                .set(leases::wanted.eq(0))
                .execute(conn)
        })
        .await
        .map(drop)
    }

    /// Those of `holder`'s leases that somebody waits for, and how urgently.
    pub async fn wanted_leases(&self, holder: &str) -> Result<Vec<(String, i32)>, Error> {
        let holder = holder.to_owned();
        self.run(move |conn| {
            leases::table
                .filter(leases::holder.eq(holder))
                .filter(leases::wanted.gt(0))
                .select((leases::name, leases::wanted))
                .load(conn)
        })
        .await
    }

    /// Forgets leases that ran out before `before`: those of processes that died.
    pub async fn purge_leases(&self, before: DateTime<Utc>) -> Result<usize, Error> {
        self.run(move |conn| {
            diesel::delete(leases::table.filter(leases::expires_at.lt(from_time(before)))).execute(conn)
        })
        .await
    }

    /// Gives a lease back; one that is somebody else's by now is left alone.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<(), Error> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.run(move |conn| {
            diesel::delete(leases::table.find(name).filter(leases::holder.eq(holder))).execute(conn)
        })
        .await
        .map(drop)
    }
}
