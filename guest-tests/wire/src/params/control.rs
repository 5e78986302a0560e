//! Parameters of the control test.

use serde::{Deserialize, Serialize};

use crate::params::check::{Parameters, ParamsError};
use crate::params::file::WriteSync;
use crate::params::pages::Pages;

/// `rw-verify`: what is written to two files is read back, as a control of the rig.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RwVerify {
    /// Size of each of the two files.
    pub size: Pages,
    /// How the files are opened for writing.
    pub sync: WriteSync,
}

impl Parameters for RwVerify {
    const TEST: &'static str = "rw-verify";
    const PLAIN: RwVerify = RwVerify {
        size: Pages::kib(256),
        sync: WriteSync::None,
    };

    fn validate(&self) -> Result<(), ParamsError> {
        // One file is shrunk to its half.
        if self.size < Pages(2) {
            return Err(ParamsError::bytes("size", self.size, "at least 8192"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_two_halves() {
        let params = RwVerify {
            size: Pages(1),
            ..RwVerify::PLAIN
        };
        assert_eq!(
            params.validate().unwrap_err().to_string(),
            "parameter size=4096: expected at least 8192"
        );
    }
}
