//! `kernels.toml` as a whole: its kernels, and which of them are selected.

use std::path::{Path, PathBuf};

use exit::{Exit, ExitError};
use host::suggest::{self, PatternError};

use super::diagnostic::Diagnostic;
use super::kernel::Kernel;
use super::parse;

/// A parsed `kernels.toml`.
#[derive(Debug, Clone)]
pub struct Manifest {
    kernels: Vec<Kernel>,
}

/// Why `kernels.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("cannot read the list of kernels {}; expected a file like kernels.toml (--manifest FILE names one)", file.display())]
    Read {
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It says something wrong.
    #[error(transparent)]
    Malformed(#[from] Box<Diagnostic>),
    /// No kernel has the name asked for.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl ExitError for ManifestError {
    fn exit(&self) -> Exit {
        match self {
            ManifestError::Read { .. } => Exit::NoInput,
            ManifestError::Malformed(_) => Exit::Data,
            ManifestError::Pattern(error) => error.exit(),
        }
    }
}

impl Manifest {
    /// Reads a manifest; relative paths in it start at its directory.
    ///
    /// # Errors
    /// The file cannot be read or says something wrong.
    pub fn load(file: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(file).map_err(|source| ManifestError::Read {
            file: file.to_owned(),
            source,
        })?;
        Manifest::parse(file, &text)
    }

    /// Takes a manifest from its text; `file` is for messages and for relative paths.
    ///
    /// # Errors
    /// The text says something wrong.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ManifestError> {
        let kernels = parse::kernels(file, text).map_err(Box::new)?;
        Ok(Manifest { kernels })
    }

    /// All kernels, in the file's order.
    #[must_use]
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The kernels whose `group` is this name, in the manifest's order.
    #[must_use]
    pub fn group(&self, name: &str) -> Vec<&Kernel> {
        self.kernels
            .iter()
            .filter(|kernel| kernel.group.as_deref() == Some(name))
            .collect()
    }

    /// The kernels that any of the globs matches; without globs those of the default matrix. A group's name stands for
    /// its kernels.
    ///
    /// # Errors
    /// A glob is malformed or matches nothing; the error lists what exists.
    pub fn select(&self, patterns: &[impl AsRef<str>]) -> Result<Vec<&Kernel>, ManifestError> {
        if patterns.is_empty() {
            return Ok(self.kernels.iter().filter(|kernel| kernel.default).collect());
        }
        let names: Vec<&str> = self.kernels.iter().map(|kernel| kernel.id.as_str()).collect();
        let in_group = |kernel: &Kernel| {
            let named = |group: &str| patterns.iter().any(|pattern| pattern.as_ref() == group);
            kernel.group.as_deref().is_some_and(named)
        };
        let globs: Vec<&str> = patterns
            .iter()
            .map(AsRef::as_ref)
            .filter(|pattern| self.group(pattern).is_empty())
            .collect();
        let chosen = suggest::select("kernels", &globs, &names)?;
        let wanted = |(index, kernel): &(usize, &Kernel)| chosen.contains(index) || in_group(kernel);
        Ok(self
            .kernels
            .iter()
            .enumerate()
            .filter(wanted)
            .map(|(_, kernel)| kernel)
            .collect())
    }
}
