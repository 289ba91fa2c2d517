//! Expire: sweep up what nobody came back for.

use super::Uploads;
use crate::domain::State;
use crate::error::Error;

/// Uploads that one round looks at.
const BATCH: u32 = 100;

impl Uploads {
    /// Gives up every unfinished upload whose time is over; how many those were.
    ///
    /// Two instances may sweep at once: aborting twice is harmless, and only one of them changes the state.
    ///
    /// # Errors
    /// [`Error::Unavailable`] from the database. What the store does not take back is tried in the next round.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let mut swept = 0;
        loop {
            let expired = self.0.db.expired_uploads(self.now(), BATCH).await?;
            let full = expired.len() == BATCH as usize;
            let mut failed = 0;
            for upload in expired {
                match self.give_up(&upload, State::Expired).await {
                    Ok(()) => swept += 1,
                    // It turned out to be whole: its row says so now, and it will not come again.
                    Err(Error::WrongState { .. }) => {}
                    Err(error) => {
                        failed += 1;
                        tracing::warn!(upload = %upload.id, %error, "an expired upload stays for now");
                    }
                }
            }
            // What failed would come again at once.
            if !full || failed > 0 {
                return Ok(swept);
            }
        }
    }
}
