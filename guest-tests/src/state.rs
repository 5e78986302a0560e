//! What one phase leaves for the next: JSON files on a tmpfs, for every phase is a process of its own.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The directory in the guest; the agent empties it before every job.
pub(crate) const DIR: &str = "/run/state";

/// Why a phase's legacy cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file cannot be written or read.
    #[error("failed to access the state file {path}")]
    File {
        /// File below `/run/state`, one a value.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("the state file {path} holds something else than this phase expects")]
    Json {
        /// File below `/run/state`, one a value.
        path: PathBuf,
        /// What serde_json expected there.
        source: serde_json::Error,
    },
}

/// A place for values that outlive a phase.
#[derive(Debug, Clone)]
pub struct State {
    dir: PathBuf,
}

impl State {
    /// State in that directory.
    #[must_use]
    pub(crate) fn new(dir: &Path) -> State {
        State { dir: dir.to_owned() }
    }

    /// Keeps a value under a name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let path = self.path(name);
        let json = serde_json::to_vec(value).map_err(|source| StateError::Json {
            path: path.clone(),
            source,
        })?;
        std::fs::write(&path, json).map_err(|source| StateError::File { path, source })
    }

    /// Gets it back; `None` if it was never kept (the phase that should have died before).
    ///
    /// # Errors
    /// The file cannot be read or holds something else.
    pub fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.path(name);
        match std::fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map(Some)
                .map_err(|source| StateError::Json { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::File { path, source }),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_values_between_phases() {
        let dir = std::env::temp_dir().join(format!("bioscope-state-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let state = State::new(&dir);
        assert_eq!(state.load::<u32>("result").unwrap(), None);
        state.save("result", &42u32).unwrap();
        assert_eq!(state.load::<u32>("result").unwrap(), Some(42));
        assert!(
            state
                .load::<String>("result")
                .unwrap_err()
                .to_string()
                .contains("holds something else")
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
