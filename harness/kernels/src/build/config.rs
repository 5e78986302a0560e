//! Configurations: fragments on a base, and whether what they ask for came out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Options by name (without `CONFIG_`), each with its value as it stands; an option that is not set is `n`. Their order
/// is kept: of the members of a choice, Kconfig takes the one that comes last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<String, (usize, String)>,
    next: usize,
}

/// An option that a fragment asks for and the configuration does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vanished {
    /// Its name, without `CONFIG_`.
    pub option: String,
    /// What was asked for.
    pub(crate) wanted: String,
    /// What came of it; `n` if it is not set.
    pub(crate) found: String,
    /// The fragment's file.
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    /// What the source says of the option: nothing if it has none of this name.
    pub(crate) declared: Option<String>,
}

impl Options {
    /// Takes options from the text of a `.config` or a fragment.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Self {
        let mut options = Options::default();
        options.merge(text);
        options
    }

    /// Sets a fragment's options on top; the last word counts.
    pub(crate) fn merge(&mut self, text: &str) {
        for (_, option, value) in lines(text) {
            self.values.insert(option.to_owned(), (self.next, value.to_owned()));
            self.next += 1;
        }
    }

    /// The value of an option: `n` if it is not set.
    #[must_use]
    pub(crate) fn get(&self, option: &str) -> &str {
        self.values.get(option).map_or("n", |(_, value)| value)
    }

    /// As `.config` has it.
    #[must_use]
    pub(crate) fn to_text(&self) -> String {
        let mut values: Vec<(&String, &(usize, String))> = self.values.iter().collect();
        values.sort_by_key(|(_, (place, _))| *place);
        let mut text = String::new();
        for (option, (_, value)) in values {
            // Writing to a string cannot fail.
            let _ = match value.as_str() {
                "n" => writeln!(text, "# CONFIG_{option} is not set"),
                value => writeln!(text, "CONFIG_{option}={value}"),
            };
        }
        text
    }
}

/// `CONFIG_A=y` and `# CONFIG_A is not set`, each with its line from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("# CONFIG_") {
            let option = rest.strip_suffix(" is not set")?;
            return Some((index + 1, option, "n"));
        }
        let (option, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
        Some((index + 1, option, value.trim()))
    })
}

/// The options of fragments that did not come out as asked. What a later fragment overrides is not asked for any more.
#[must_use]
pub(crate) fn vanished(fragments: &[(PathBuf, String)], found: &Options) -> Vec<Vanished> {
    let mut wanted: BTreeMap<&str, (&str, &Path, usize)> = BTreeMap::new();
    for (file, text) in fragments {
        for (line, option, value) in lines(text) {
            wanted.insert(option, (value, file, line));
        }
    }
    wanted
        .into_iter()
        .filter(|(option, (value, ..))| found.get(option) != *value)
        .map(|(option, (value, file, line))| Vanished {
            option: option.to_owned(),
            wanted: value.to_owned(),
            found: found.get(option).to_owned(),
            file: file.to_owned(),
            line,
            declared: None,
        })
        .collect()
}

/// What a Kconfig file says of an option: its type and what it depends on, on one line.
#[must_use]
pub(crate) fn declaration(kconfig: &str, option: &str) -> Option<String> {
    let mut lines = kconfig.lines().skip_while(|line| {
        let mut words = line.split_whitespace();
        !(matches!(words.next(), Some("config" | "menuconfig")) && words.next() == Some(option))
    });
    lines.next()?;
    let said = lines
        .take_while(|line| line.starts_with([' ', '\t']) || line.trim().is_empty())
        .map(str::trim)
        .take_while(|line| *line != "help" && *line != "---help---")
        .filter(|line| {
            line.starts_with("depends on")
                || line.starts_with("bool")
                || line.starts_with("tristate")
                || line.starts_with("def_")
        });
    Some(said.collect::<Vec<_>>().join("; "))
}

impl std::fmt::Display for Vanished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Vanished {
            option,
            wanted,
            found,
            file,
            line,
            declared,
        } = self;
        write!(f, "{}:{line}: CONFIG_{option}={wanted} became ", file.display())?;
        match found.as_str() {
            "n" => f.write_str("not set")?,
            value => write!(f, "CONFIG_{option}={value}")?,
        }
        match declared {
            None => f.write_str(": this kernel has no such option"),
            Some(said) if said.is_empty() => Ok(()),
            Some(said) => write!(f, " ({said})"),
        }
    }
}

/// Whether the configuration that stands in a directory of objects has modules.
pub(super) fn has_modules(objects: &Path) -> bool {
    let config = std::fs::read_to_string(objects.join(".config")).unwrap_or_default();
    Options::parse(&config).get("MODULES") == "y"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_merged_in_order_and_checked() {
        let first = "CONFIG_A=y\nCONFIG_B=m\n# a comment\nCONFIG_S=\"x y\"\n";
        let second = "# CONFIG_A is not set\nCONFIG_C=y\n";
        let mut merged = Options::parse(first);
        merged.merge(second);
        assert_eq!(
            merged.to_text(),
            "CONFIG_B=m\nCONFIG_S=\"x y\"\n# CONFIG_A is not set\nCONFIG_C=y\n"
        );
        let fragments = [
            (PathBuf::from("one.config"), first.to_owned()),
            (PathBuf::from("two.config"), second.to_owned()),
        ];
        assert_eq!(vanished(&fragments, &merged), []);
        let found = Options::parse("CONFIG_B=y\nCONFIG_S=\"x y\"\n");
        let lost: Vec<String> = vanished(&fragments, &found).iter().map(ToString::to_string).collect();
        assert_eq!(
            lost,
            [
                "one.config:2: CONFIG_B=m became CONFIG_B=y: this kernel has no such option",
                "two.config:2: CONFIG_C=y became not set: this kernel has no such option"
            ]
        );
    }

    #[test]
    fn a_declaration_is_found() {
        let kconfig = "config OTHER\n\tbool\n\nconfig BTRFS_FS\n\ttristate \"Btrfs filesystem support\"\n\tselect \
            CRC32\n\tdepends on BLOCK\n\thelp\n\t  depends on luck\nconfig Z\n";
        assert_eq!(
            declaration(kconfig, "BTRFS_FS").as_deref(),
            Some("tristate \"Btrfs filesystem support\"; depends on BLOCK")
        );
        assert_eq!(declaration(kconfig, "BTRFS"), None);
    }
}
