//! A message as a line: [`PREFIX`], one JSON object, and a newline.
//!
//! The prefix carries the protocol's version, so that a host and a guest that were not built together say so instead of
//! misreading each other.

use serde::{Deserialize, Serialize};

/// What every line starts with; the number is the protocol's version.
pub const PREFIX: &str = "bioscope/8 ";

/// Why a line is not a message.
#[derive(Debug)]
pub enum LineError {
    /// The line does not start with [`PREFIX`]; it may be of another protocol version.
    Prefix(String),
    /// What follows the prefix is not the JSON expected.
    Json(serde_json::Error),
}

impl std::fmt::Display for LineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LineError::Prefix(line) => write!(f, "line does not start with {PREFIX:?}: {line:?}"),
            LineError::Json(error) => write!(f, "line is not a known message: {error}"),
        }
    }
}

impl std::error::Error for LineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LineError::Prefix(_) => None,
            LineError::Json(error) => Some(error),
        }
    }
}

/// Writes a message as one line, newline included.
///
/// # Errors
/// Only if serialisation fails, which no type of this module does.
pub fn to_line<T: Serialize>(message: &T) -> Result<String, serde_json::Error> {
    Ok(format!("{PREFIX}{}\n", serde_json::to_string(message)?))
}

/// Reads a message from a line, with or without its line end.
///
/// # Errors
/// The line has another prefix or holds no message of type `T`.
pub fn from_line<T: for<'de> Deserialize<'de>>(line: &str) -> Result<T, LineError> {
    let line = line.trim_end_matches(['\r', '\n']);
    let json = line
        .strip_prefix(PREFIX)
        .ok_or_else(|| LineError::Prefix(line.to_owned()))?;
    serde_json::from_str(json).map_err(LineError::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_the_prefix_is_told_from_one_without_a_message() {
        assert_eq!(to_line(&[1]).unwrap(), format!("{PREFIX}[1]\n"));
        assert_eq!(from_line::<[u8; 1]>("bioscope/8 [1]\r\n").unwrap(), [1]);
        let error = |line| from_line::<[u8; 1]>(line).unwrap_err().to_string();
        assert_eq!(
            error("bioscope/4 [1]\n"),
            "line does not start with \"bioscope/8 \": \"bioscope/4 [1]\""
        );
        assert!(error("bioscope/8 {}\n").starts_with("line is not a known message: invalid type"));
    }
}
