//! What Kconfig files say of an option.

use super::closure::is_kconfig;

/// Where architectures are, and which of them ours is.
const ARCHITECTURES: &str = "arch/";
const OURS: &str = "arch/x86/";
/// Of user mode Linux, which takes the rest of our architecture's directory.
const OF_UML: &str = "arch/x86/um/";
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

/// Whether a file decides which options our architecture has.
pub(crate) fn is_ours(path: &str) -> bool {
    let of_another = |rest: &str| rest.contains('/') && !path.starts_with(OURS);
    is_kconfig(path) && !path.starts_with(OF_UML) && !path.strip_prefix(ARCHITECTURES).is_some_and(of_another)
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
    fn other_architectures_say_nothing_of_ours() {
        for path in [
            "Kconfig",
            "lib/Kconfig.debug",
            "arch/Kconfig",
            "arch/x86/crypto/Kconfig",
        ] {
            assert!(is_ours(path), "{path}");
        }
        for path in [
            "arch/arm/Kconfig",
            "arch/um/Kconfig",
            "arch/x86/um/Kconfig",
            "lib/Makefile",
        ] {
            assert!(!is_ours(path), "{path}");
        }
    }
}
