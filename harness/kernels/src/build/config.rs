//! Configurations: fragments on a base, and whether what they ask for came out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::fragment::{Asked, Need, Version, option};

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
    /// Options one of which would have done as well, and none of which is set.
    pub(crate) instead: Vec<String>,
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
        for (option, value) in text.lines().filter_map(|line| option(line.trim())) {
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

/// The options of fragments that did not come out as a kernel of this version is to have them. What a later fragment
/// overrides is not asked for any more.
#[must_use]
pub(crate) fn vanished(asked: &[Asked], version: Version, found: &Options) -> Vec<Vanished> {
    let wanted: BTreeMap<&str, &Asked> = asked.iter().map(|asked| (asked.option.as_str(), asked)).collect();
    wanted
        .into_values()
        .filter(|asked| asked.rule.only_if().is_none_or(|option| found.get(option) != "n"))
        .filter_map(|asked| {
            let instead: &[String] = match asked.rule.need(version) {
                Need::Itself => &[],
                Need::Any(others) => others,
                Need::Maybe => return None,
            };
            let is_set = |option: &String| found.get(option) != "n";
            let came = found.get(&asked.option) == asked.value || instead.iter().any(is_set);
            (!came).then(|| Vanished {
                option: asked.option.clone(),
                wanted: asked.value.clone(),
                found: found.get(&asked.option).to_owned(),
                instead: instead.to_vec(),
                file: asked.file.clone(),
                line: asked.line,
                declared: None,
            })
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
            instead,
            file,
            line,
            declared,
        } = self;
        write!(f, "{}:{line}: CONFIG_{option}={wanted} became ", file.display())?;
        match found.as_str() {
            "n" => f.write_str("not set")?,
            value => write!(f, "CONFIG_{option}={value}")?,
        }
        for other in instead {
            write!(f, ", and CONFIG_{other} is not set")?;
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
    use super::super::fragment::parse;
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
        let asked = [("one.config", first), ("two.config", second)]
            .map(|(file, text)| parse(Path::new(file), text).unwrap())
            .concat();
        assert_eq!(vanished(&asked, (6, 1, 0), &merged), []);
        let found = Options::parse("CONFIG_B=y\nCONFIG_S=\"x y\"\n");
        assert_eq!(
            words(&vanished(&asked, (6, 1, 0), &found)),
            [
                "one.config:2: CONFIG_B=m became CONFIG_B=y: this kernel has no such option",
                "two.config:2: CONFIG_C=y became not set: this kernel has no such option"
            ]
        );
    }

    #[test]
    fn what_a_version_need_not_have_does_not_vanish() {
        let text =
            "# bioscope: until 6.13\nCONFIG_OLD=y\n# bioscope: until 6.19 or CONFIG_A, CONFIG_B\nCONFIG_GONE=y\n";
        let asked = parse(Path::new("x.config"), text).unwrap();
        let lost = |version, config: &str| words(&vanished(&asked, version, &Options::parse(config)));
        assert_eq!(lost((6, 1, 5), "CONFIG_OLD=y\nCONFIG_GONE=y\n"), [""; 0]);
        assert_eq!(lost((7, 3, 4), "CONFIG_B=y\n"), [""; 0]);
        assert_eq!(
            lost((7, 3, 4), ""),
            [
                "x.config:4: CONFIG_GONE=y became not set, and CONFIG_A is not set, and CONFIG_B is not set: this \
                kernel has no such option"
            ]
        );
        let only_if = parse(
            Path::new("x.config"),
            "# bioscope: if CONFIG_XFS_FS\nCONFIG_XFS_QUOTA=y\n",
        )
        .unwrap();
        let lost_if = |config: &str| vanished(&only_if, (6, 1, 5), &Options::parse(config)).len();
        assert_eq!((lost_if(""), lost_if("CONFIG_XFS_FS=y\n")), (0, 1));
        // In a kernel that is to have it nothing else does as well.
        let lost = lost((6, 1, 5), "CONFIG_B=y\n");
        assert_eq!(
            lost,
            [
                "x.config:4: CONFIG_GONE=y became not set: this kernel has no such option",
                "x.config:2: CONFIG_OLD=y became not set: this kernel has no such option"
            ]
        );
    }

    fn words(lost: &[Vanished]) -> Vec<String> {
        lost.iter().map(ToString::to_string).collect()
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
