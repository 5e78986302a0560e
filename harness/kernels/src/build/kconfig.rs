//! What Kconfig files say of an option.

use std::collections::HashSet;

/// Where Kconfig begins, and what the makefiles call our architecture's directory.
const TOP: &str = "Kconfig";
const SRCARCH: &str = "x86";
/// What begins another entry, or ends a block of them.
const OTHERS: [&str; 13] = [
    "config",
    "menuconfig",
    "choice",
    "endchoice",
    "comment",
    "menu",
    "endmenu",
    "if",
    "endif",
    "source",
    "rsource",
    "osource",
    "mainmenu",
];

/// What a source says of an option.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    /// Its type and what it depends on, on one line.
    pub(crate) said: String,
    /// Whether a person can set it. Without a prompt, its defaults and other options do.
    pub(crate) has_prompt: bool,
}

impl Declared {
    /// The same option, declared in two places.
    pub(crate) fn or(self, other: Declared) -> Declared {
        // What a person can set is what an error is about.
        let said = if self.has_prompt || !other.has_prompt {
            self.said
        } else {
            other.said
        };
        Declared {
            said,
            has_prompt: self.has_prompt || other.has_prompt,
        }
    }
}

/// The Kconfig files that decide which options our architecture has: those that the first one sources, and those that
/// these source. `read` gives a file's text.
pub(crate) fn sourced(read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let (mut texts, mut seen) = (Vec::new(), HashSet::from([TOP.to_owned()]));
    let mut next = vec![TOP.to_owned()];
    while let Some(path) = next.pop() {
        let Some(text) = read(&path) else { continue };
        let paths = text.lines().filter_map(source);
        next.extend(paths.filter(|path| seen.insert(path.clone())));
        texts.push(text);
    }
    texts
}

/// The file that a line sources.
fn source(line: &str) -> Option<String> {
    let (word, rest) = line.trim().split_once(char::is_whitespace)?;
    let rest = rest.trim();
    // A comment may follow; Kconfig of before 4.18 takes a bare word, too.
    let path = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
        _ => rest.split_whitespace().next()?,
    };
    let path = path.replace("$(SRCARCH)", SRCARCH).replace("$SRCARCH", SRCARCH);
    let path = path.strip_prefix("$(srctree)/").unwrap_or(&path);
    (word == "source").then(|| path.to_owned())
}

/// What a Kconfig file says of an option; nothing if it has none of this name.
pub(crate) fn declaration(kconfig: &str, option: &str) -> Option<Declared> {
    let mut entries = Vec::new();
    let mut lines = kconfig.lines();
    while let Some(line) = lines.next() {
        let mut words = line.split_whitespace();
        if matches!(words.next(), Some("config" | "menuconfig")) && words.next() == Some(option) {
            entries.push(entry(&mut lines.clone()));
        }
    }
    entries.into_iter().reduce(Declared::or)
}

/// An entry, from the line behind its name.
fn entry<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Declared {
    let attributes: Vec<&str> = lines
        .map(str::trim)
        // Blanks before an attribute are usual, and nothing that Kconfig asks for.
        .take_while(|line| {
            !line
                .split_whitespace()
                .next()
                .is_some_and(|word| OTHERS.contains(&word))
        })
        .take_while(|line| *line != "help" && *line != "---help---")
        .collect();
    let begins = |line: &str, words: &[&str]| words.iter().any(|word| line.starts_with(word));
    let has_prompt = attributes.iter().any(|line| {
        let mut words = line.splitn(2, char::is_whitespace);
        let kind = words.next().unwrap_or_default();
        let is_kind = ["bool", "tristate", "int", "hex", "string", "prompt"].contains(&kind);
        is_kind
            && words
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with(['"', '\'']))
    });
    let said: Vec<&str> = attributes
        .into_iter()
        .filter(|line| begins(line, &["depends on", "bool", "tristate", "def_"]))
        .collect();
    Declared {
        said: said.join("; "),
        has_prompt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(said: &str, has_prompt: bool) -> Option<Declared> {
        let said = said.to_owned();
        Some(Declared { said, has_prompt })
    }

    #[test]
    fn a_declaration_is_found() {
        let kconfig = "config OTHER\n\tbool\n\nconfig BTRFS_FS\n\ttristate \"Btrfs filesystem support\"\n\tselect \
            CRC32\n\tdepends on BLOCK\n\thelp\n\t  depends on luck\nconfig Z\n";
        assert_eq!(
            declaration(kconfig, "BTRFS_FS"),
            said("tristate \"Btrfs filesystem support\"; depends on BLOCK", true)
        );
        assert_eq!(declaration(kconfig, "OTHER"), said("bool", false));
        assert_eq!(declaration(kconfig, "BTRFS"), None);
    }

    #[test]
    fn what_has_a_prompt_can_be_set() {
        for (attributes, has_prompt) in [
            ("bool \"Text\"", true),
            ("bool 'Text'", true),
            ("bool \"Text\" if CC_IS_CLANG && !COMPILE_TEST", true),
            ("tristate\n\tprompt \"Text\"", true),
            ("int \"Text\"\n\trange 1 2", true),
            ("def_bool y\n\tprompt \"Text\" if EXPERT", true),
            ("def_bool y\n\tdepends on CPU_SUP_AMD", false),
            ("int\n\tdefault 1 if CC_IS_GCC", false),
            ("bool\n\thelp\n\t  prompt \"Text\"", false),
            ("bool # \"Text\"", false),
            ("bool\n\nconfig NEXT\n\tbool \"Text\"", false),
            ("bool\nchoice\n\tprompt \"Text\"", false),
            ("depends on X\nendif\nmenu \"Text\"\nprompt \"Text\"", false),
        ] {
            let kconfig = format!("# words\nconfig HERE\n\t{attributes}\n");
            let declared = declaration(&kconfig, "HERE").unwrap_or_default();
            assert_eq!(declared.has_prompt, has_prompt, "{kconfig}");
        }
        // As drivers/net/dsa/sja1105/Kconfig and net/ipv6/Kconfig have it.
        let bare = "config HERE\ntristate \"Text\"\n\tdepends on Y\n";
        assert_eq!(declaration(bare, "HERE"), said("tristate \"Text\"; depends on Y", true));
        // Declared twice: it can be set if it can be set in one place.
        let twice = "config HERE\n\tbool\n\nif X\nconfig HERE\n\tbool \"Text\"\n\tdepends on Y\nendif\n";
        assert_eq!(declaration(twice, "HERE"), said("bool \"Text\"; depends on Y", true));
    }

    #[test]
    fn what_nothing_sources_says_nothing() {
        let files = [
            (
                "Kconfig",
                "mainmenu \"Linux\"\nsource \"arch/$(SRCARCH)/Kconfig\" # ours\n\tsource fs/Kconfig\n",
            ),
            (
                "arch/x86/Kconfig",
                "config X86\nsource \"kernel/Kconfig.freezer\"\nsource \"none/Kconfig\"\n",
            ),
            ("arch/arm/Kconfig", "config ARM\n"),
            (
                "fs/Kconfig",
                "config FS\n\thelp\n\t  source of all\nsource \"Kconfig\"\n",
            ),
            ("kernel/Kconfig.freezer", "config FREEZER\n"),
            ("scripts/kconfig/tests/choice/Kconfig", "config MODULES\n"),
        ];
        let read = |path: &str| {
            files
                .iter()
                .find(|(name, _)| *name == path)
                .map(|(_, text)| (*text).to_owned())
        };
        let texts = sourced(read).concat();
        for (option, is_there) in [
            ("X86", true),
            ("FS", true),
            ("FREEZER", true),
            ("ARM", false),
            ("MODULES", false),
        ] {
            assert_eq!(declaration(&texts, option).is_some(), is_there, "{option}");
        }
    }
}
