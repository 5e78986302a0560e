//! A kernel's configuration made by its own tools, and what decides how it comes out.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::store::hex;
use super::super::tree::ConfigPart;
use super::closure::is_kconfig;
use super::config::{self, Options};
use super::error::BuildError;
use super::job::{Job, write};
use super::kconfig::{self, Declared};
use super::make::{self, Make};
use host::cache::CacheError;
use host::progress::Progress;

impl Job<'_> {
    /// The sum of all that decides the configuration.
    pub(super) fn config_inputs(&self) -> String {
        let mut files: Vec<&String> = self.all.keys().filter(|path| decides(path)).collect();
        files.sort();
        let mut sum = Sha256::new();
        for path in files {
            sum.update(format!("{path} {}\n", self.all[path]));
        }
        for part in &self.source.config {
            sum.update(format!("{part}\n"));
        }
        for (_, text) in &self.parts {
            sum.update(format!("{}\n{text}", text.len()));
        }
        // What is asked for depends on the version that the tree calls itself.
        let (major, minor, sub) = self.version;
        sum.update(format!("{major}.{minor}.{sub}"));
        sum.update(self.with());
        hex(&sum.finalize())
    }

    /// Makes the configuration; gives back its sum.
    pub(super) fn configure(&self, make: &Make<'_>, progress: &Progress) -> Result<String, BuildError> {
        let place = make.objects.join(".config");
        let jobs = make::jobs();
        let mut fragments = self.parts.as_slice();
        match self.source.config.first() {
            Some(ConfigPart::Default) => drop(make.run(&["defconfig"], jobs, None)?),
            Some(ConfigPart::Whole(_)) => {
                if let Some(((_, text), rest)) = self.parts.split_first() {
                    write(&place, text)?;
                    fragments = rest;
                }
            }
            _ => drop(make.run(&["tinyconfig"], jobs, None)?),
        }
        let read = || fs::read_to_string(&place).map_err(|source| CacheError::io("read", &place, source));
        let mut options = Options::parse(&read()?);
        for (_, text) in fragments {
            options.merge(text);
        }
        write(&place, &options.to_text())?;
        make.run(&["olddefconfig"], jobs, None)?;
        let text = read()?;
        let sourced = OnceCell::new();
        let declared = |option: &str| declared(sourced.get_or_init(|| sourced_of(make.source)), option);
        let lost = config::lost(&self.asked, self.version, &Options::parse(&text), declared);
        for gone in &lost.left_out {
            let (major, minor, _) = self.version;
            progress.say(&format!(
                "{}: {gone}, though it calls itself {major}.{minor}: left out",
                self.id
            ));
        }
        for gone in &lost.not_asked {
            let (major, minor, _) = self.version;
            progress.say(&format!(
                "{}: {gone}, which its rule does not ask of {major}.{minor}: left out",
                self.id
            ));
        }
        if !lost.vanished.is_empty() {
            return Err(BuildError::Vanished {
                id: self.id.to_owned(),
                vanished: lost.vanished,
            });
        }
        config_sum(make.objects)
            .ok_or_else(|| CacheError::io("read", &place, std::io::ErrorKind::NotFound.into()).into())
    }
}

/// The texts of the Kconfig files that decide which options a source has.
fn sourced_of(folder: &Path) -> Vec<String> {
    kconfig::sourced(|path| fs::read_to_string(folder.join(path)).ok())
}

/// What the source says of an option.
fn declared(sourced: &[String], option: &str) -> Option<Declared> {
    let said = sourced.iter().filter_map(|text| kconfig::declaration(text, option));
    said.reduce(Declared::or)
}

/// Whether a file decides how a configuration comes out: which options there are, what the base has, and what the
/// scripts say that Kconfig asks about compiler and linker.
fn decides(path: &str) -> bool {
    is_kconfig(path)
        || path.starts_with("scripts/kconfig/")
        || (path.starts_with("scripts/") && path.ends_with(".sh"))
        || path.ends_with("tiny.config")
        || path.ends_with("tiny-base.config")
        || path.ends_with("x86_64_defconfig")
}

/// The sum of the configuration that stands in a directory of objects, if one does.
pub(super) fn config_sum(objects: &Path) -> Option<String> {
    let text = fs::read_to_string(objects.join(".config")).ok()?;
    let mut sum = Sha256::new();
    // The head comment names the version and the compiler; the options are what counts.
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') || line.ends_with(" is not set"))
    {
        sum.update(line);
        sum.update([b'\n']);
    }
    Some(hex(&sum.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kconfig_asks_decides_too() {
        for path in [
            "lib/Kconfig.debug",
            "scripts/kconfig/confdata.c",
            "scripts/gcc-x86_64-has-stack-protector.sh",
            "kernel/configs/tiny-base.config",
            "arch/x86/configs/x86_64_defconfig",
        ] {
            assert!(decides(path), "{path}");
        }
        for path in ["Makefile", "scripts/checkpatch.pl", "fs/open.c", "tools/build/x.sh"] {
            assert!(!decides(path), "{path}");
        }
    }
}
