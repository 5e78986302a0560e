//! Configurations: fragments on a base, and whether what they ask for came out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::fragment::{Asked, Need, Version, option};
use super::kconfig::Declared;

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

/// Options of fragments that did not come out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// A kernel of this version and with this source is to have them.
    pub(crate) vanished: Vec<Vanished>,
    /// A kernel of this version is to have them, but nobody can set them in this source.
    pub(crate) left_out: Vec<Vanished>,
    /// This source has them, but a kernel of this version need not.
    pub(crate) not_asked: Vec<Vanished>,
}

/// The options of fragments that did not come out as a kernel of this version is to have them. What a later fragment
/// overrides is not asked for any more. `declared` is what the source says of an option.
#[must_use]
pub(crate) fn lost(
    asked: &[Asked],
    version: Version,
    found: &Options,
    declared: impl Fn(&str) -> Option<Declared>,
) -> Lost {
    let wanted: BTreeMap<&str, &Asked> = asked.iter().map(|asked| (asked.option.as_str(), asked)).collect();
    let wanted = wanted
        .into_values()
        .filter(|asked| asked.rule.only_if().is_none_or(|option| found.get(option) != "n"))
        .filter(|asked| found.get(&asked.option) != asked.value);
    let does_as_well = |need: &Need<'_>| match need {
        Need::Itself => false,
        Need::Any(others) => others.iter().any(|option| found.get(option) != "n"),
        Need::Maybe => true,
    };
    let mut lost = Lost::default();
    for asked in wanted {
        let mut need = asked.rule.need(version);
        let is_instead = matches!(need, Need::Any(_)) && does_as_well(&need);
        if is_instead {
            continue;
        }
        let declared = declared(&asked.option);
        let can_be_set = declared.as_ref().is_some_and(|declared| declared.has_prompt);
        if need == Need::Maybe && !can_be_set {
            continue;
        }
        // Versions say where an option is expected. Whether it is there the source knows better: a commit on the way to
        // a release calls itself by the one before, and some by an even older one.
        let is_elsewhere = need == Need::Itself && asked.rule.has_range() && !can_be_set;
        if is_elsewhere {
            need = asked.rule.outside();
        }
        let instead = match need {
            Need::Any(others) => others.to_vec(),
            Need::Itself | Need::Maybe => Vec::new(),
        };
        let gone = Vanished {
            option: asked.option.clone(),
            wanted: asked.value.clone(),
            found: found.get(&asked.option).to_owned(),
            instead,
            file: asked.file.clone(),
            line: asked.line,
            declared: declared.map(|declared| declared.said),
        };
        if can_be_set && does_as_well(&need) {
            lost.not_asked.push(gone);
        } else if does_as_well(&need) {
            lost.left_out.push(gone);
        } else {
            lost.vanished.push(gone);
        }
    }
    lost
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
    use super::super::kconfig::declaration;
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
        assert_eq!(vanished(&asked, (6, 1, 0), &merged, ""), [""; 0]);
        let found = Options::parse("CONFIG_B=y\nCONFIG_S=\"x y\"\n");
        assert_eq!(
            vanished(&asked, (6, 1, 0), &found, ""),
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
        let kconfig = "config OLD\n\tbool \"Old\"\nconfig GONE\n\tbool \"Gone\"\n";
        let lost = |version, config: &str| vanished(&asked, version, &Options::parse(config), kconfig);
        assert_eq!(lost((6, 1, 5), "CONFIG_OLD=y\nCONFIG_GONE=y\n"), [""; 0]);
        assert_eq!(lost((7, 3, 4), "CONFIG_B=y\n"), [""; 0]);
        assert_eq!(
            lost((7, 3, 4), ""),
            [
                "x.config:4: CONFIG_GONE=y became not set, and CONFIG_A is not set, and CONFIG_B is not set (bool \"Gone\")"
            ]
        );
        let only_if = parse(
            Path::new("x.config"),
            "# bioscope: if CONFIG_XFS_FS\nCONFIG_XFS_QUOTA=y\n",
        )
        .unwrap();
        let lost_if = |config: &str| vanished(&only_if, (6, 1, 5), &Options::parse(config), "").len();
        assert_eq!((lost_if(""), lost_if("CONFIG_XFS_FS=y\n")), (0, 1));
        // In a kernel that is to have it nothing else does as well.
        assert_eq!(
            lost((6, 1, 5), "CONFIG_B=y\n"),
            [
                "x.config:4: CONFIG_GONE=y became not set (bool \"Gone\")",
                "x.config:2: CONFIG_OLD=y became not set (bool \"Old\")"
            ]
        );
    }

    /// What Kconfig files say of options on both sides of a release, and what the options come to there.
    struct Side {
        kconfig: &'static str,
        comes_out: &'static str,
    }

    /// Each rule by version, with the first version that has the newer side, and both sides in the words of Kconfig.
    const BORDERS: [(&str, Version, Side, Side); 4] = [
        (
            "# bioscope: from 5.18\nCONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y\n",
            (5, 18, 0),
            Side {
                kconfig: "config DEBUG_INFO\n\tbool \"Compile the kernel with debug info\"\n",
                comes_out: "CONFIG_DEBUG_INFO=y\n",
            },
            Side {
                kconfig: "config DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT\n\tbool \"Rely on the toolchain\"\n\tselect DEBUG_INFO\n",
                comes_out: "CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y\n",
            },
        ),
        (
            "# bioscope: from 5.12\nCONFIG_KASAN_STACK=y\n",
            (5, 12, 0),
            Side {
                kconfig: "config KASAN_STACK\n\tint\n\tdefault 1 if KASAN_STACK_ENABLE || CC_IS_GCC\n\tdefault 0\n",
                comes_out: "CONFIG_KASAN_STACK=1\n",
            },
            Side {
                kconfig: "config KASAN_STACK\n\tbool \"Enable stack instrumentation (unsafe)\" if CC_IS_CLANG\n\tdefault y\n",
                comes_out: "CONFIG_KASAN_STACK=y\n",
            },
        ),
        (
            "# bioscope: until 6.5\n# CONFIG_MICROCODE is not set\n",
            (6, 6, 0),
            Side {
                kconfig: "config MICROCODE\n\tbool \"CPU microcode loading support\"\n\tdefault y\n",
                comes_out: "# CONFIG_MICROCODE is not set\n",
            },
            Side {
                kconfig: "config MICROCODE\n\tdef_bool y\n\tdepends on CPU_SUP_AMD || CPU_SUP_INTEL\n",
                comes_out: "CONFIG_MICROCODE=y\n",
            },
        ),
        (
            "# bioscope: until 6.13\nCONFIG_CRYPTO_CRC32C_INTEL=y\n",
            (6, 14, 0),
            Side {
                kconfig: "config CRYPTO_CRC32C_INTEL\n\ttristate \"CRC32c (SSE4.2/PCLMULQDQ)\"\n\tdepends on X86\n",
                comes_out: "CONFIG_CRYPTO_CRC32C_INTEL=y\n",
            },
            Side {
                kconfig: "config CRC32_ARCH\n\ttristate\n",
                comes_out: "CONFIG_CRC32_ARCH=y\n",
            },
        ),
    ];

    /// The Makefile has the new version from -rc1 on, the Kconfig files when the change is merged, or where it was made
    /// on a branch that began some releases ago; a distribution's kernel may have it years later.
    #[test]
    fn what_a_source_calls_itself_loses_no_commit() {
        for (text, (major, minor, _), before, after) in &BORDERS {
            let asked = parse(Path::new("x.config"), text).unwrap();
            let versions = [
                (*major, minor - 4, 0),
                (*major, minor - 4, 77),
                (*major, minor - 1, 0),
                (*major, *minor, 0),
                (*major, *minor, 5),
                (major + 1, 0, 0),
            ];
            for version in versions {
                for side in [before, after] {
                    let found = Options::parse(side.comes_out);
                    assert_eq!(
                        vanished(&asked, version, &found, side.kconfig),
                        [""; 0],
                        "{text} in {version:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_a_source_has_and_loses_is_an_error_still() {
        for (text, border, before, after) in &BORDERS {
            let asked = parse(Path::new("x.config"), text).unwrap();
            let (major, minor, _) = *border;
            let (side, version) = if text.contains("from") {
                (after, *border)
            } else {
                (before, (major, minor - 1, 1))
            };
            let opposite = if text.contains("not set") {
                "CONFIG_MICROCODE=y\n"
            } else {
                ""
            };
            let found = Options::parse(opposite);
            assert_eq!(vanished(&asked, version, &found, side.kconfig).len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_expected_and_not_there_is_said() {
        let text = "CONFIG_B=y\n# bioscope: until 6.13\nCONFIG_A=y\n";
        let asked = parse(Path::new("x.config"), text).unwrap();
        let lost = lost(&asked, (6, 12, 0), &Options::parse(""), |_| None);
        let said = words(&lost.left_out);
        assert_eq!(
            said,
            ["x.config:3: CONFIG_A=y became not set: this kernel has no such option"]
        );
        // Without a range it is an error, whatever the source has.
        let said = words(&lost.vanished);
        assert_eq!(
            said,
            ["x.config:1: CONFIG_B=y became not set: this kernel has no such option"]
        );
    }

    #[test]
    fn what_is_lost_where_it_need_not_be_is_said() {
        let text = "# bioscope: until 6.13\nCONFIG_A=y\n# bioscope: from 6.15\nCONFIG_B=y\n# CONFIG_C is not set\n\
            # bioscope: until 6.12 or CONFIG_E\nCONFIG_D=y\n";
        let asked = parse(Path::new("x.config"), text).unwrap();
        let kconfig = "config A\n\tbool \"A\"\n\tdepends on X\nconfig B\n\tbool\nconfig C\n\tbool \"C\"\nconfig D\n\
            \tbool \"D\"\n";
        // The release of 6.13 calls itself as the commits on the way to 6.14 do, and as its stable branch begins.
        let lost = |config: &str| {
            let found = Options::parse(config);
            lost(&asked, (6, 13, 0), &found, |option| declaration(kconfig, option))
        };
        let said = lost("CONFIG_C=y\nCONFIG_E=y\n");
        assert_eq!(
            words(&said.not_asked),
            [
                "x.config:2: CONFIG_A=y became not set (bool \"A\"; depends on X)",
                "x.config:5: CONFIG_C=n became CONFIG_C=y (bool \"C\")"
            ]
        );
        assert!(said.vanished.is_empty() && said.left_out.is_empty(), "{said:?}");
        assert_eq!(lost("CONFIG_A=y\nCONFIG_E=y\n"), Lost::default());
        assert_eq!(words(&lost("CONFIG_A=y\n").vanished).len(), 1);
    }

    fn vanished(asked: &[Asked], version: Version, found: &Options, kconfig: &str) -> Vec<String> {
        words(&lost(asked, version, found, |option| declaration(kconfig, option)).vanished)
    }

    fn words(lost: &[Vanished]) -> Vec<String> {
        lost.iter().map(ToString::to_string).collect()
    }
}
