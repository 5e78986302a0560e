//! What the parameters of every test have in common, and the error for a value that a test cannot use.

use crate::params::pages::Pages;

/// What a type of parameters has, one type a test.
pub trait Parameters: Copy {
    /// Name of the test and of its binary.
    const TEST: &'static str;
    /// The ordinary variant of the test; a case says only what it has differently.
    const PLAIN: Self;

    /// Refuses what the types allow and the test cannot do.
    ///
    /// # Errors
    /// The first parameter that is not usable.
    fn validate(&self) -> Result<(), ParamsError>;
}

/// A parameter whose value the test cannot use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter {key}={value}: expected {expected}")]
pub struct ParamsError {
    key: &'static str,
    value: u64,
    expected: &'static str,
}

impl ParamsError {
    /// The error for a size, which is shown in bytes.
    pub(super) fn bytes(key: &'static str, value: Pages, expected: &'static str) -> ParamsError {
        ParamsError {
            key,
            value: value.bytes() as u64,
            expected,
        }
    }

    /// The error for a number of pages.
    pub(super) fn pages(key: &'static str, value: Pages, expected: &'static str) -> ParamsError {
        ParamsError {
            key,
            value: u64::from(value.0),
            expected,
        }
    }
}

/// `present`, the number of pages touched first: some page of the write must be absent.
pub(super) fn some_absent(present: Pages, of: Pages, expected: &'static str) -> Result<(), ParamsError> {
    if present >= of {
        return Err(ParamsError::pages("present", present, expected));
    }
    Ok(())
}

/// `size`, where nothing else asks for a page at least.
pub(super) fn some_page(key: &'static str, size: Pages) -> Result<(), ParamsError> {
    if size == Pages(0) {
        return Err(ParamsError::bytes(key, size, "at least 4096"));
    }
    Ok(())
}
