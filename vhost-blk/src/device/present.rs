//! The disk as a power cut at a mark would have left it.

use thiserror::Error;
use vhost_blk_api::trace::Record;

use super::Device;
use super::upkeep::RollbackError;
use crate::power::choice::{Undecided, Wanted};
use crate::power::present::{PresentError, State};

/// A state of a mark that cannot be presented now.
#[derive(Debug, Error)]
pub(crate) enum NotPresented {
    #[error(transparent)]
    Outstanding(#[from] RollbackError),
    #[error(transparent)]
    State(#[from] PresentError),
}

impl Device {
    /// Makes the disk what a power cut at a mark would have left; gives power again if it was cut.
    ///
    /// # Errors
    /// Requests are outstanding, or the state is not known or not legal; the disk stays as it is.
    pub(crate) fn present(&self, at: &str, wanted: &Wanted) -> Result<State, NotPresented> {
        // Before the power is given back: what is refused changes nothing.
        self.undecided(at)?;
        let from = self.disk.bytes();
        let state = self.while_quiet(|| {
            let state = self.disk.history.present(at, wanted, &mut &self.disk)?;
            self.trace.write(|| Record::Present {
                t_us: self.trace.now_us(),
                at: at.to_owned(),
                undecided: state.undecided,
                kept: state.choice.kept.clone(),
                torn: state.choice.torn,
            });
            self.trace_size(from);
            Ok::<State, NotPresented>(state)
        })?;
        if self.disk.bytes() != from {
            self.front_end.tell_size();
        }
        Ok(state)
    }

    /// The requests of which a power cut at a mark leaves all, nothing or a part.
    ///
    /// # Errors
    /// They are not known.
    pub(crate) fn undecided(&self, at: &str) -> Result<Vec<Undecided>, PresentError> {
        self.disk.history.undecided(at, self.disk.bytes())
    }
}
