//! Signed addresses of parts, a window of them at a time, and anew before they die.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::remote::{Answer, Remote, Told};
use super::trouble::{Kind, Trouble};

/// How many parts are signed in one call.
pub const WINDOW: usize = 256;
/// An address is not used in its last seconds: its request may take a while to get there.
const LONGEST_MARGIN: Duration = Duration::from_mins(1);
/// A store whose clock disagrees would otherwise have us ask for ever.
const WORTH_A_TRY: Duration = Duration::from_secs(1);

/// What all addresses of one answer share.
#[derive(Debug)]
struct Batch {
    head: String,
    middle: String,
    tail: String,
    unusable_at: Instant,
}

/// The addresses in hand.
#[derive(Debug, Default)]
pub struct Signatures {
    held: HashMap<u64, (String, Arc<Batch>)>,
}

#[derive(Deserialize)]
struct Compact {
    expires_at: chrono::DateTime<chrono::Utc>,
    head: String,
    middle: String,
    tail: String,
    signatures: Vec<(u64, String)>,
}

impl Signatures {
    /// The address to put part `number` to. Where it has to be asked for, `next` are asked for as well.
    ///
    /// # Errors
    /// As [`Remote::call`].
    pub async fn take(
        &mut self,
        number: u64,
        next: impl FnOnce() -> Vec<u64>,
        (remote, upload): (&Remote, &str),
        told: &impl Told,
    ) -> Result<String, Trouble> {
        if !self.is_usable(number) {
            let mut wanted = next();
            wanted.retain(|other| *other != number && !self.is_usable(*other));
            wanted.push(number);
            wanted.sort_unstable();
            let url = format!("{upload}/signatures");
            let body = json!({ "parts": wanted, "format": "compact" });
            let answer = remote
                .call(&reqwest::Method::POST, &url, Some(&body), told)
                .await?;
            self.adopt(answer)?;
        }
        let (signature, batch) = self.held.get(&number).ok_or_else(|| {
            let message = format!("the server did not sign part {number}");
            Trouble::new(Kind::Final, "bad-answer", message)
        })?;
        let (head, middle, tail) = (&batch.head, &batch.middle, &batch.tail);
        Ok(format!("{head}{number}{middle}{signature}{tail}"))
    }

    /// The store refused the address of this part: all that came with it go.
    pub fn refuse(&mut self, number: u64) {
        if let Some((_, refused)) = self.held.remove(&number) {
            self.held.retain(|_, (_, batch)| !Arc::ptr_eq(batch, &refused));
        }
    }

    /// This part needs none any more.
    pub fn spend(&mut self, number: u64) {
        self.held.remove(&number);
    }

    fn is_usable(&self, number: u64) -> bool {
        let held = self.held.get(&number);
        held.is_some_and(|(_, batch)| Instant::now() < batch.unusable_at)
    }

    fn adopt(&mut self, answer: Answer) -> Result<(), Trouble> {
        let compact: Compact = serde_json::from_value(answer.body)
            .map_err(|error| Trouble::new(Kind::Final, "bad-answer", format!("signatures: {error}")))?;
        // By the server's clock, whatever ours says.
        let life = compact.expires_at - answer.date.unwrap_or_else(chrono::Utc::now);
        let life = life.to_std().unwrap_or_default();
        let unusable_at = answer.asked_at + life.saturating_sub(LONGEST_MARGIN.min(life / 4));
        let batch = Arc::new(Batch {
            head: compact.head,
            middle: compact.middle,
            tail: compact.tail,
            unusable_at: unusable_at.max(Instant::now() + WORTH_A_TRY),
        });
        let signed = compact.signatures.into_iter();
        self.held
            .extend(signed.map(|(number, signature)| (number, (signature, Arc::clone(&batch)))));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(life_s: i64) -> Answer {
        let now = chrono::Utc::now();
        Answer {
            body: json!({
                "expires_at": now + chrono::TimeDelta::seconds(life_s), "head": "h/", "middle": "?s=", "tail": "",
                "signatures": [[1, "a"], [2, "b"]],
            }),
            date: Some(now),
            asked_at: Instant::now()
                .checked_sub(Duration::from_secs(50))
                .expect("the machine runs longer"),
        }
    }

    #[test]
    fn an_address_is_not_used_in_the_last_quarter_of_its_life() {
        let mut signatures = Signatures::default();
        signatures.adopt(answer(60)).expect("well-formed");
        assert!(signatures.held[&1].1.unusable_at <= Instant::now() + WORTH_A_TRY);
        signatures.adopt(answer(100)).expect("well-formed");
        assert!(signatures.held[&1].1.unusable_at > Instant::now() + Duration::from_secs(20));
    }

    #[test]
    fn a_refused_address_takes_its_batch_along() {
        let mut signatures = Signatures::default();
        signatures.adopt(answer(3600)).expect("well-formed");
        signatures.refuse(1);
        assert!(!signatures.is_usable(2));
    }
}
