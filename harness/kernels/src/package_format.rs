//! Formats of package files, by what they begin with or are called.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A format that kernels come packed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackageFormat {
    /// Debian's and those of `make bindeb-pkg`.
    Deb,
    /// Fedora's, SUSE's and those of `make binrpm-pkg`.
    Rpm,
    /// Arch's and those of `make pacman-pkg`.
    Pacman,
}

impl PackageFormat {
    /// The format of a file; nothing if it is no package, or cannot be read.
    pub(crate) fn of(path: &Path) -> Option<PackageFormat> {
        let mut start = [0; 8];
        let read = File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
        let start = &start[..read];
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if start == b"!<arch>\n" {
            Some(PackageFormat::Deb)
        } else if start.starts_with(&[0xed, 0xab, 0xee, 0xdb]) {
            Some(PackageFormat::Rpm)
        } else {
            // An archive like any other.
            (name.contains(".pkg.tar") && !start.is_empty()).then_some(PackageFormat::Pacman)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use super::*;

    #[test]
    fn packages_are_known_by_what_they_begin_with() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text, format) in [
            ("linux.deb", &b"!<arch>\ndebian-binary"[..], Some(PackageFormat::Deb)),
            ("kernel", b"\xed\xab\xee\xdb\x03\x00", Some(PackageFormat::Rpm)),
            (
                "linux-6.1-1-x86_64.pkg.tar.zst",
                b"\x28\xb5\x2f\xfd",
                Some(PackageFormat::Pacman),
            ),
            ("bzImage", b"MZ", None),
            ("empty.deb", b"", None),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(PackageFormat::of(&path), format, "{name}");
        }
        assert_eq!(PackageFormat::of(&dir.path().join("none")), None);
    }
}
