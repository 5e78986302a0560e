//! Parameters of a variant: `key=value` words on the command line, every one of them used or refused.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::pattern::PAGE;

/// The parameters of one variant.
///
/// It remembers which keys a test asked for, so that a misspelt one is an error instead of a variant that silently
/// tests the plain case.
#[derive(Debug, Default)]
pub struct Params {
    values: BTreeMap<String, String>,
    known: RefCell<BTreeSet<String>>,
}

/// Why the parameters are not usable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParamError {
    /// A word without `=`.
    #[error("parameter {word:?} is not of the form key=value")]
    Form {
        /// The word.
        word: String,
    },
    /// The same key twice.
    #[error("parameter {key} is given twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// A value that the key does not take.
    #[error("parameter {key}={value}: expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// The value given.
        value: String,
        /// What would do.
        expected: String,
    },
    /// A key that this test does not know.
    #[error("parameter {key} is unknown to this test; it knows {known}")]
    Unknown {
        /// The key.
        key: String,
        /// The keys that it knows.
        known: String,
    },
}

impl Params {
    /// Reads `key=value` words.
    ///
    /// # Errors
    /// A word without `=`, or a key given twice.
    pub fn parse<I, S>(words: I) -> Result<Params, ParamError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut values = BTreeMap::new();
        for word in words {
            let word = word.as_ref();
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| ParamError::Form { word: word.to_owned() })?;
            if values.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(ParamError::Twice { key: key.to_owned() });
            }
        }
        Ok(Params {
            values,
            known: RefCell::default(),
        })
    }

    /// The value as it stands.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.known.borrow_mut().insert(key.to_owned());
        self.values.get(key).map(String::as_str)
    }

    /// A number of bytes that must be a multiple of the page size.
    ///
    /// # Errors
    /// It is no number, or not a multiple.
    pub fn bytes(&self, key: &str, default: usize) -> Result<usize, ParamError> {
        let bytes = self.number(key, default)?;
        if bytes % PAGE == 0 {
            Ok(bytes)
        } else {
            Err(self.bad(key, "a multiple of 4096"))
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self, key: &str, default: usize) -> Result<usize, ParamError> {
        match self.text(key) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| self.bad(key, "a whole number")),
        }
    }

    /// A switch: `1` or `0`.
    ///
    /// # Errors
    /// It is neither.
    pub fn switch(&self, key: &str) -> Result<bool, ParamError> {
        match self.text(key) {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(self.bad(key, "0 or 1")),
        }
    }

    /// One of a few words; the first is the default.
    ///
    /// # Errors
    /// It is another word.
    pub fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)], default: T) -> Result<T, ParamError> {
        let Some(text) = self.text(key) else { return Ok(default) };
        choices
            .iter()
            .find_map(|(name, value)| (*name == text).then_some(*value))
            .ok_or_else(|| self.bad(key, &names(choices)))
    }

    /// A comma-separated list of a few words.
    ///
    /// # Errors
    /// One of them is another word.
    pub fn set<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<Vec<T>, ParamError> {
        let text = self.text(key).unwrap_or_default();
        text.split(',')
            .filter(|word| !word.is_empty())
            .map(|word| {
                choices
                    .iter()
                    .find_map(|(name, value)| (*name == word).then_some(*value))
            })
            .collect::<Option<Vec<T>>>()
            .ok_or_else(|| self.bad(key, &format!("a comma-separated list of {}", names(choices))))
    }

    /// The error for a value that is well formed and still not usable.
    #[must_use]
    pub fn bad(&self, key: &str, expected: &str) -> ParamError {
        let value = self.values.get(key).cloned().unwrap_or_default();
        ParamError::Value {
            key: key.to_owned(),
            value,
            expected: expected.to_owned(),
        }
    }

    /// Refuses keys that were never asked for; call it once all have been.
    ///
    /// # Errors
    /// The first such key.
    pub fn finish(&self) -> Result<(), ParamError> {
        let known = self.known.borrow();
        match self.values.keys().find(|key| !known.contains(*key)) {
            None => Ok(()),
            Some(key) => Err(ParamError::Unknown {
                key: key.clone(),
                known: known.iter().cloned().collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

fn names<T>(choices: &[(&str, T)]) -> String {
    choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_kind() {
        let params = Params::parse(["size=8192", "flags=dsync,append", "target=nocow", "cold=1"]).unwrap();
        assert_eq!(params.bytes("size", 4096), Ok(8192));
        assert_eq!(params.bytes("offset", 4096), Ok(4096));
        assert_eq!(params.set("flags", &[("append", 1), ("dsync", 2)]), Ok(vec![2, 1]));
        assert_eq!(params.choice("target", &[("new", 'n'), ("nocow", 'c')], 'n'), Ok('c'));
        assert_eq!(params.switch("cold"), Ok(true));
        assert_eq!(params.finish(), Ok(()));
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        assert_eq!(
            Params::parse(["size"]).unwrap_err().to_string(),
            "parameter \"size\" is not of the form key=value"
        );
        assert_eq!(
            Params::parse(["a=1", "a=2"]).unwrap_err().to_string(),
            "parameter a is given twice"
        );
        let params = Params::parse(["size=5000", "flags=dsink", "prezent=1"]).unwrap();
        assert_eq!(
            params.bytes("size", 0).unwrap_err().to_string(),
            "parameter size=5000: expected a multiple of 4096"
        );
        assert_eq!(
            params.set("flags", &[("dsync", 0)]).unwrap_err().to_string(),
            "parameter flags=dsink: expected a comma-separated list of dsync"
        );
        assert_eq!(
            params.finish().unwrap_err().to_string(),
            "parameter prezent is unknown to this test; it knows flags, size"
        );
    }
}
