//! Files that options of a configuration name. What is in the source counts as read by the build; of others nobody
//! would see a change.

use std::path::Path;

use super::config::Options;
use crate::source::Listing;

/// Options whose value names a file or a directory, from the source's top unless it begins with a slash.
const NAMING: [&str; 12] = [
    "ACPI_CUSTOM_DSDT_FILE",
    "BOOT_CONFIG_EMBED_FILE",
    "CFG80211_EXTRA_REGDB_KEYDIR",
    "EFI_SBAT_FILE",
    "LOGO_LINUX_CLUT224_FILE",
    "LOGO_LINUX_MONO_FILE",
    "LOGO_LINUX_VGA16_FILE",
    "MODULE_SIG_KEY",
    "SYSTEM_BLACKLIST_HASH_LIST",
    "SYSTEM_REVOCATION_KEYS",
    "SYSTEM_TRUSTED_KEYS",
    "UNUSED_KSYMS_WHITELIST",
];
/// Names files from the directory of objects, or lists of files from anywhere.
const INITRAMFS: &str = "INITRAMFS_SOURCE";
const FIRMWARE: &str = "EXTRA_FIRMWARE";
const FIRMWARE_DIR: &str = "EXTRA_FIRMWARE_DIR";

/// What the options of a configuration name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Paths from the top of the source.
    inside: Vec<String>,
    /// Options that name something else, as they stand in `.config`.
    pub(super) outside: Vec<String>,
}

impl Named {
    /// By the options of a configuration that was made for the source in a directory.
    pub(super) fn by(options: &Options, source: &Path) -> Named {
        let mut named = Named::default();
        // Kconfig puts that directory in the place of `$(srctree)`.
        let top = format!("{}/", source.display());
        let below = |value| plain(value).strip_prefix(&top).unwrap_or(plain(value)).to_owned();
        for option in NAMING {
            named.take(option, &below(options.get(option)));
        }
        let folder = below(options.get(FIRMWARE_DIR));
        for file in plain(options.get(FIRMWARE)).split_whitespace() {
            named.take(FIRMWARE, &format!("{folder}/{file}"));
        }
        if !plain(options.get(INITRAMFS)).is_empty() {
            named.outside.push(INITRAMFS.to_owned());
        }
        for option in &mut named.outside {
            *option = format!("CONFIG_{option}={}", options.get(option));
        }
        named.outside.dedup();
        named
    }

    fn take(&mut self, option: &str, path: &str) {
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            self.outside.push(option.to_owned());
        } else if !path.is_empty() {
            self.inside.push(path.trim_end_matches('/').to_owned());
        }
    }

    /// The files of a source that are named, or lie in a directory that is.
    pub(super) fn of(&self, all: &Listing) -> Vec<String> {
        let is_named = |path: &&String| {
            self.inside.iter().any(|named| {
                path.strip_prefix(named.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        all.keys().filter(is_named).cloned().collect()
    }
}

/// The text of a value; nothing if it is not set.
fn plain(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(config: &str) -> Named {
        Named::by(&Options::parse(config), Path::new("/c/source"))
    }

    #[test]
    fn files_of_the_source_count_and_others_are_told() {
        let all: Listing = [
            "certs/mine.pem",
            "certs/mine.pem.txt",
            "fw/a/b.bin",
            "fw/c.bin",
            "keys/1.x509",
            "keys.c",
        ]
        .map(|path| (path.to_owned(), "id".to_owned()))
        .into();
        let config = "CONFIG_SYSTEM_TRUSTED_KEYS=\"certs/mine.pem\"\nCONFIG_EXTRA_FIRMWARE=\"a/b.bin none.bin\"\n\
            CONFIG_EXTRA_FIRMWARE_DIR=\"fw\"\nCONFIG_CFG80211_EXTRA_REGDB_KEYDIR=\"/c/source/keys/\"\n";
        let inside = named(config);
        let mut files = inside.of(&all);
        files.sort();
        assert_eq!(files, ["certs/mine.pem", "fw/a/b.bin", "keys/1.x509"]);
        assert_eq!(inside.outside, [""; 0]);
        for option in [
            "CONFIG_SYSTEM_TRUSTED_KEYS=\"/etc/keys.pem\"",
            "CONFIG_MODULE_SIG_KEY=\"../key.pem\"",
            "CONFIG_INITRAMFS_SOURCE=\"usr/list\"",
            "CONFIG_INITRAMFS_SOURCE=\"/tmp/root /tmp/list\"",
        ] {
            assert_eq!(named(&format!("{option}\n")).outside, [option]);
        }
        let firmware = "CONFIG_EXTRA_FIRMWARE=\"a.bin b.bin\"";
        let both = format!("{firmware}\nCONFIG_EXTRA_FIRMWARE_DIR=\"/lib/firmware\"\n");
        assert_eq!(named(&both).outside, [firmware]);
    }

    #[test]
    fn a_configuration_as_it_comes_names_nothing_outside() {
        // As make defconfig has it, and distributions.
        let config = "CONFIG_INITRAMFS_SOURCE=\"\"\nCONFIG_EXTRA_FIRMWARE=\"\"\n\
            CONFIG_EXTRA_FIRMWARE_DIR=\"/lib/firmware\"\nCONFIG_MODULE_SIG_KEY=\"certs/signing_key.pem\"\n\
            # CONFIG_UNUSED_KSYMS_WHITELIST is not set\nCONFIG_SYSTEM_TRUSTED_KEYS=\"\"\n";
        assert_eq!(named(config).outside, [""; 0]);
        assert_eq!(named(config).of(&Listing::new()), [""; 0]);
    }
}
