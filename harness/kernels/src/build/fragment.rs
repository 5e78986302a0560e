//! Fragments of a configuration: options, and for which kernels each of them is asked for.
//!
//! An option that came later, was renamed or became something that nobody sets is data, not an error. A comment says so
//! for the option lines that follow it, up to the next blank line or comment; make's own tools read past it:
//!
//! ```text
//! # bioscope: from 5.18
//! # bioscope: until 6.13
//! # bioscope: until 6.19 or CONFIG_CRC32
//! # bioscope: if CONFIG_XFS_FS
//! ```
//!
//! `from` names the first version whose configuration has an option, `until` the last. Within these versions it must
//! come out if the source has it. Outside it is set where the source takes it, and may be missing; with `or`, one of
//! the options named there must then come out instead. `if` names an option without which nothing is asked for.
//!
//! A version alone does not tell which options a source has. A commit of a merge window calls itself by the release
//! before, and one of a topic branch by the release that the branch was based on. A distribution's old kernel has
//! changes of newer ones. So an option with a range is insisted on only where some Kconfig file lets a person set it.
//! One without a range must come out everywhere.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// `VERSION`, `PATCHLEVEL` and `SUBLEVEL` of a kernel.
pub(crate) type Version = (u32, u32, u32);

/// What precedes a rule in a comment.
const MARK: &str = "# bioscope:";

/// An option that a fragment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its name, without `CONFIG_`.
    pub(crate) option: String,
    /// What it is to be; `n` if it is not to be set.
    pub(crate) value: String,
    /// The fragment's file.
    pub(crate) file: PathBuf,
    /// Its line, from 1.
    pub(crate) line: usize,
    /// For which kernels.
    pub(crate) rule: Rule,
}

/// For which kernels an option is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    from: Option<(u32, u32)>,
    until: Option<(u32, u32)>,
    /// Options one of which does as well, outside of these versions; everywhere if there are no versions.
    or: Vec<String>,
    /// An option without which nothing is asked for.
    only_if: Option<String>,
}

/// How a kernel of some version is to have an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need<'a> {
    /// It must come out.
    Itself,
    /// It, or one of these.
    Any(&'a [String]),
    /// If the source has it.
    Maybe,
}

/// A line that asks for nothing and is no comment either.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadLine {
    /// A comment that begins as a rule, and is none.
    #[error(
        "{}:{line}: `{said}` {why}; expected `{MARK} [if CONFIG_NAME] [from VERSION] [until VERSION] [or \
        CONFIG_NAME…]`, like `{MARK} until 6.13` before the options that are gone in 6.14",
        file.display()
    )]
    Rule {
        /// The fragment.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The whole line.
        said: String,
        /// What is wrong with it.
        why: String,
    },
    /// What Kconfig would read past without a word.
    #[error(
        "{}:{line}: `{said}` sets no option; expected `CONFIG_NAME=VALUE` with nothing behind it, `# CONFIG_NAME is \
        not set`, or a comment that begins with `#`",
        file.display()
    )]
    Option {
        /// The fragment.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The whole line.
        said: String,
    },
}

impl Rule {
    /// How a kernel of this version is to have an option under this rule.
    pub(crate) fn need(&self, version: Version) -> Need<'_> {
        let (major, minor, sub) = version;
        let whole = (major, minor);
        let came = self.from.is_none_or(|from| whole >= from);
        // A tree without a third number may be past the release that it still calls itself by.
        let stays = self
            .until
            .is_none_or(|until| whole < until || (whole == until && sub > 0));
        if came && stays && (self.has_range() || self.or.is_empty()) {
            Need::Itself
        } else {
            self.outside()
        }
    }

    /// How a kernel outside of the versions is to have it.
    pub(crate) fn outside(&self) -> Need<'_> {
        if self.or.is_empty() {
            Need::Maybe
        } else {
            Need::Any(&self.or)
        }
    }

    /// Whether it is expected in some versions only.
    pub(crate) fn has_range(&self) -> bool {
        self.from.is_some() || self.until.is_some()
    }

    /// The option without which nothing is asked for.
    pub(crate) fn only_if(&self) -> Option<&str> {
        self.only_if.as_deref()
    }

    fn parse(text: &str) -> Result<Rule, String> {
        let mut rule = Rule::default();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "from" | "until" => {
                    let version = words.next().unwrap_or_default();
                    let parsed = parse_version(version).ok_or_else(|| {
                        format!("has no version behind `{word}`, which is like 6.13, but `{version}`")
                    })?;
                    let end = if word == "from" {
                        &mut rule.from
                    } else {
                        &mut rule.until
                    };
                    if end.replace(parsed).is_some() {
                        return Err(format!("says `{word}` twice"));
                    }
                }
                "if" => {
                    let name = words.next().and_then(|name| name.strip_prefix("CONFIG_"));
                    let name = name.ok_or("names no option behind `if`, as CONFIG_NAME")?;
                    rule.only_if = Some(name.to_owned());
                }
                "or" => {
                    let names: Option<Vec<String>> = words
                        .by_ref()
                        .map(|name| Some(name.trim_end_matches(',').strip_prefix("CONFIG_")?.to_owned()))
                        .collect();
                    rule.or = names
                        .filter(|names| !names.is_empty())
                        .ok_or("names no options behind `or`, each as CONFIG_NAME")?;
                }
                other => return Err(format!("has `{other}`, which is no word of a rule")),
            }
        }
        match (rule.from, rule.until) {
            (Some(from), Some(until)) if from > until => Err("ends before it begins".to_owned()),
            _ if rule == Rule::default() => Err("says nothing".to_owned()),
            _ => Ok(rule),
        }
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What the text of a fragment asks for.
///
/// # Errors
/// A comment begins as a rule, and is none; a line is neither comment nor option.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Vec<Asked>, BadLine> {
    let mut asked = Vec::new();
    let mut rule = Rule::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(said) = line.strip_prefix(MARK) {
            rule = Rule::parse(said).map_err(|why| BadLine::Rule {
                file: file.to_owned(),
                line: index + 1,
                said: line.to_owned(),
                why,
            })?;
        } else if let Some((option, value)) = option(line).filter(|(option, value)| is_plain(option, value)) {
            asked.push(Asked {
                option: option.to_owned(),
                value: value.to_owned(),
                file: file.to_owned(),
                line: index + 1,
                rule: rule.clone(),
            });
        } else if line.is_empty() || (line.starts_with('#') && !is_nearly_unset(line)) {
            rule = Rule::default();
        } else {
            return Err(BadLine::Option {
                file: file.to_owned(),
                line: index + 1,
                said: line.to_owned(),
            });
        }
    }
    Ok(asked)
}

/// Whether an option can be called so, and its value ends where Kconfig's does.
fn is_plain(option: &str, value: &str) -> bool {
    let is_name = !option.is_empty() && option.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let ends = match value.strip_prefix('"') {
        Some(quoted) => end_of_quoted(quoted) == Some(quoted.len()),
        None => !value.contains(char::is_whitespace),
    };
    is_name && !value.is_empty() && ends
}

/// Where a quoted text ends, behind its last quotation mark; a backslash takes the next character for itself.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some(at + 1),
            '\\' => drop(characters.next()),
            _ => {}
        }
    }
    None
}

/// Whether a comment speaks of an option that is not set, and not in the words that say so.
fn is_nearly_unset(line: &str) -> bool {
    let words = line.trim_start_matches('#').trim_start().strip_prefix("CONFIG_");
    let behind = words.and_then(|words| words.split_once(char::is_whitespace));
    behind.is_some_and(|(_, behind)| {
        let behind = behind.trim_start();
        behind
            .strip_prefix("is")
            .map_or(behind, str::trim_start)
            .starts_with("not set")
    })
}

/// `CONFIG_A=y`, or `# CONFIG_A is not set`: the option and its value.
pub(super) fn option(line: &str) -> Option<(&str, &str)> {
    if let Some(rest) = line.strip_prefix("# CONFIG_") {
        return Some((rest.strip_suffix(" is not set")?, "n"));
    }
    let (option, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
    Some((option, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        Rule::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn a_rule_holds_up_to_a_blank_line_or_a_comment() {
        let text = "CONFIG_A=y\n# bioscope: until 6.13\nCONFIG_B=y\n# CONFIG_C is not set\n\nCONFIG_D=m\n\
            # bioscope: from 5.18\n# bioscope: from 5.19\nCONFIG_E=y\n# words\nCONFIG_F=\"x y\"\n";
        let asked = parse(Path::new("a.config"), text).unwrap();
        let seen: Vec<_> = asked
            .iter()
            .map(|asked| {
                (
                    asked.line,
                    asked.option.as_str(),
                    asked.value.as_str(),
                    asked.rule.clone(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (1, "A", "y", Rule::default()),
                (3, "B", "y", rule("until 6.13")),
                (4, "C", "n", rule("until 6.13")),
                (6, "D", "m", Rule::default()),
                (9, "E", "y", rule("from 5.19")),
                (11, "F", "\"x y\"", Rule::default()),
            ]
        );
    }

    #[test]
    fn an_option_is_insisted_on_where_every_kernel_has_it() {
        let until = rule("until 6.13");
        for (version, need) in [
            ((5, 4, 0), Need::Itself),
            ((6, 12, 0), Need::Itself),
            ((6, 13, 5), Need::Itself),
            // On the way to 6.14.
            ((6, 13, 0), Need::Maybe),
            ((6, 14, 0), Need::Maybe),
            ((7, 3, 4), Need::Maybe),
        ] {
            assert_eq!(until.need(version), need, "{version:?}");
        }
        let from = rule("from 5.18");
        for (version, need) in [
            ((5, 10, 223), Need::Maybe),
            ((5, 17, 0), Need::Maybe),
            ((5, 18, 0), Need::Itself),
            ((7, 3, 4), Need::Itself),
        ] {
            assert_eq!(from.need(version), need, "{version:?}");
        }
        assert_eq!(Rule::default().need((7, 3, 4)), Need::Itself);
    }

    #[test]
    fn where_it_is_gone_another_does_as_well() {
        let both = rule("from 5.5 until 6.19 or CONFIG_XXHASH, CONFIG_OTHER");
        let names = ["XXHASH".to_owned(), "OTHER".to_owned()];
        assert_eq!(both.need((6, 1, 3)), Need::Itself);
        assert_eq!(both.need((7, 3, 4)), Need::Any(&names));
        assert_eq!(both.need((5, 4, 3)), Need::Any(&names));
        let anywhere = rule("or CONFIG_XXHASH");
        assert_eq!(anywhere.need((6, 1, 3)), Need::Any(&names[..1]));
    }

    #[test]
    fn what_sets_no_option_is_an_error() {
        for line in [
            "BTRFS_FS=y",
            "CONFIG_A",
            "CONFIG_A=",
            "CONFIG_A = y",
            "CONFIG_A=y # why",
            "CONFIG_A-B=y",
            "\u{feff}CONFIG_A=y",
            "-CONFIG_A=y",
            "// CONFIG_A=y",
            "CONFIG_A=\"x\" # why",
            "CONFIG_A=\"x",
            "CONFIG_A=\"x\\\"",
            "#CONFIG_A is not set",
            "# CONFIG_A is not set # why",
            "# CONFIG_A  is not set",
            "# CONFIG_A not set",
        ] {
            let error = parse(Path::new("dir/a.config"), &format!("\n{line}\n")).unwrap_err();
            let said = error.to_string();
            assert!(
                said.starts_with(&format!("dir/a.config:2: `{line}` sets no option")),
                "{said}"
            );
        }
        let asked = parse(
            Path::new("a"),
            "\t\r\n#CONFIG_A=y\r\nCONFIG_B=0x1f\r\nCONFIG_C=\"a # b\"\r\nCONFIG_D=\"\\\"q\\\" \\\\\"\r\n\
                # CONFIG_E is fine, and was not set before\n",
        )
        .unwrap();
        assert_eq!(asked.len(), 3);
    }

    #[test]
    fn a_comment_that_is_no_rule_is_an_error() {
        for (text, says) in [
            ("# bioscope: til 6.13", "`til`"),
            ("# bioscope: until", "no version behind `until`"),
            ("# bioscope: until 6", "but `6`"),
            ("# bioscope: until six.one", "but `six.one`"),
            ("# bioscope: from 6.1 until 5.10", "ends before it begins"),
            ("# bioscope: from 6.1 from 5.10", "`from` twice"),
            ("# bioscope: if XFS", "no option behind `if`"),
            ("# bioscope: or", "no options behind `or`"),
            ("# bioscope: or XXHASH", "no options behind `or`"),
            ("# bioscope:", "says nothing"),
        ] {
            let error = parse(Path::new("dir/a.config"), &format!("CONFIG_A=y\n{text}\n")).unwrap_err();
            let said = error.to_string();
            assert!(said.starts_with(&format!("dir/a.config:2: `{text}` ")), "{said}");
            assert!(said.contains(says), "{said}");
            assert!(
                said.contains("expected `# bioscope: [if CONFIG_NAME] [from VERSION]"),
                "{said}"
            );
        }
    }
}
