//! The table of host tools.

use std::time::Duration;

use crate::tool;

const DEADLINE: Duration = Duration::from_secs(20);

/// Where a tool comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A Debian package.
    Package(&'static str),
    /// A crate with a binary.
    Cargo(&'static str),
}

/// A tool of the host, and what it is good for.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Its name in PATH (or in the sbin directories).
    pub program: &'static str,
    /// Where it comes from.
    pub(crate) source: Source,
    /// What it is needed for.
    pub(crate) why: &'static str,
    /// The argument that makes it tell its version; none if it has no such argument.
    pub(crate) version_argument: Option<&'static str>,
    /// Whether every run needs it.
    pub(crate) required: bool,
}

/// Whether a tool is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It is, in this version (or at this path if it tells none).
    Found(String),
    /// It is not.
    Missing,
}

const fn package(
    program: &'static str,
    package: &'static str,
    version: Option<&'static str>,
    why: &'static str,
) -> Need {
    Need {
        program,
        source: Source::Package(package),
        why,
        version_argument: version,
        required: true,
    }
}

/// All that a host needs, in the order in which `doctor` lists it.
pub const ALL: [Need; 15] = [
    package(
        "qemu-system-x86_64",
        "qemu-system-x86",
        Some("--version"),
        "boots the kernels",
    ),
    package(
        "mkfs.btrfs",
        "btrfs-progs",
        Some("--version"),
        "makes the golden image of btrfs",
    ),
    package(
        "btrfs",
        "btrfs-progs",
        Some("--version"),
        "checks btrfs images after a cell",
    ),
    package("mkfs.ext4", "e2fsprogs", Some("-V"), "makes the golden image of ext4"),
    package("e2fsck", "e2fsprogs", Some("-V"), "checks ext4 images after a cell"),
    package("mkfs.xfs", "xfsprogs", Some("-V"), "makes the golden image of XFS"),
    package("xfs_repair", "xfsprogs", Some("-V"), "checks XFS images after a cell"),
    package(
        "modprobe",
        "kmod",
        Some("--version"),
        "finds the modules that a guest needs",
    ),
    package(
        "depmod",
        "kmod",
        Some("--version"),
        "makes the tables that modprobe reads",
    ),
    package(
        "apt-get",
        "apt",
        Some("--version"),
        "fetches and verifies kernel packages",
    ),
    package("dpkg-deb", "dpkg", Some("--version"), "unpacks kernel packages"),
    package(
        "gpgv",
        "gpgv",
        Some("--version"),
        "verifies the archive's signatures for apt",
    ),
    Need {
        program: "cargo-nextest",
        source: Source::Cargo("cargo-nextest"),
        why: "runs the matrix",
        version_argument: Some("--version"),
        required: true,
    },
    Need {
        program: "busybox",
        source: Source::Package("busybox-static"),
        why: "is the guest's prompt in `cargo xtask shell`",
        version_argument: Some("--help"),
        required: false,
    },
    Need {
        program: "fio",
        source: Source::Package("fio"),
        why: "is the load of `cargo xtask soak`",
        version_argument: Some("--version"),
        required: false,
    },
];

const fn builder(program: &'static str, package: &'static str, why: &'static str) -> Need {
    Need {
        program,
        source: Source::Package(package),
        why,
        version_argument: None,
        required: false,
    }
}

/// What building kernels needs besides: programs, and headers by their path.
pub(crate) const BUILD: [Need; 11] = [
    builder("git", "git", "keeps the sources of kernels that are built"),
    builder("make", "make", "builds kernels"),
    builder("gcc", "gcc", "compiles kernels"),
    builder("ld", "binutils", "links kernels"),
    builder("flex", "flex", "reads kernels' configuration"),
    builder("bison", "bison", "reads kernels' configuration"),
    builder("bc", "bc", "computes constants of kernels"),
    builder("perl", "perl", "makes some of kernels' source"),
    builder("cpio", "cpio", "packs what a kernel carries in itself"),
    builder(
        "/usr/include/gelf.h",
        "libelf-dev",
        "objtool, a part of kernels' build, is compiled with it",
    ),
    builder(
        "/usr/include/openssl/evp.h",
        "libssl-dev",
        "certificate tools, a part of kernels' build, are compiled with it",
    ),
];

/// What a kernel in package files needs besides.
pub(crate) const PACKAGE_FILES: [Need; 1] = [Need {
    program: "bsdtar",
    source: Source::Package("libarchive-tools"),
    why: "opens kernels that are package files (--image FILE.deb, package-file)",
    version_argument: Some("--version"),
    required: false,
}];

/// All of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static Need> {
    ALL.iter().chain(&BUILD).chain(&PACKAGE_FILES)
}

impl Need {
    /// Whether the tool is there; does not run it.
    #[must_use]
    pub(crate) fn is_met(&self) -> bool {
        if self.program.starts_with('/') {
            return std::path::Path::new(self.program).is_file();
        }
        tool::find(self.program).is_some() || self.in_cargo_home().is_some()
    }

    /// Whether the tool is there, and its version.
    #[must_use]
    pub(crate) fn state(&self) -> State {
        if self.program.starts_with('/') && self.is_met() {
            return State::Found("there".to_owned());
        }
        let Some(path) = tool::find(self.program).or_else(|| self.in_cargo_home()) else {
            return State::Missing;
        };
        let at = path.display().to_string();
        let Some(argument) = self.version_argument else {
            return State::Found(at);
        };
        let finished = tool::run(
            std::process::Command::new(&path).env("LC_ALL", "C").arg(argument),
            DEADLINE,
        );
        State::Found(
            finished
                .ok()
                .and_then(|finished| version_in(&finished.text()))
                .unwrap_or(at),
        )
    }

    /// A tool that cargo just installed is found even if PATH does not name cargo's directory.
    fn in_cargo_home(&self) -> Option<std::path::PathBuf> {
        let Source::Cargo(_) = self.source else { return None };
        let home = std::env::var_os("CARGO_HOME")
            .map(std::path::PathBuf::from)
            .or_else(|| Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
        Some(home.join("bin").join(self.program)).filter(|path| path.is_file())
    }
}

/// The first word that looks like a version.
#[must_use]
pub(crate) fn version_in(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';'))
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && !word.ends_with(':'))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_say() {
        let cases = [
            (
                "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\n",
                "7.2.22",
            ),
            ("mkfs.btrfs, part of btrfs-progs v6.2\n", "6.2"),
            ("mke2fs 1.47.0 (5-Feb-2023)\n", "1.47.0"),
            ("mkfs.xfs version 6.1.0\n", "6.1.0"),
            ("kmod version 30\n+ZSTD +XZ\n", "30"),
            ("BusyBox v1.35.0 (Debian 1:1.35.0-4) multi-call binary.", "1.35.0"),
        ];
        for (text, version) in cases {
            assert_eq!(version_in(text).as_deref(), Some(version), "{text}");
        }
        assert_eq!(version_in("no such option"), None);
    }
}
