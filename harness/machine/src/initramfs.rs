//! The guest's initramfs: one init, the programs, the modules it needs, and nothing else.
//!
//! Uncompressed, because unpacking under emulation costs more than copying; deterministic, so that equal contents are
//! equal files.

use exit::{Exit, ExitError};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use cpio::newc::Builder;
use guest_wire::Fs;

use kernels::decompress::Compression;

/// List of the modules to load, in order: absolute paths in the guest, one a line.
pub const MODULES_LIST: &str = "etc/bioscope/modules";

/// Where `inject` is in a guest.
pub const INJECT: &str = "bin/inject";

const MODE_DIRECTORY: u32 = 0o040_755;
const MODE_PROGRAM: u32 = 0o100_755;
const MODE_FILE: u32 = 0o100_644;
const MODE_CONSOLE: u32 = 0o020_600;
const MODE_LINK: u32 = 0o120_777;
/// newc stores sizes in 32 bits.
const FILE_SIZE_MAX: usize = u32::MAX as usize;

/// One entry of an archive; directories above it are added by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path without a leading slash.
    pub path: String,
    /// A directory, a file, a link or a device node.
    pub content: Content,
}

/// What an entry of the archive is, and where its bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An empty directory, for mounts.
    Directory,
    /// An executable, read from the host.
    Program(PathBuf),
    /// A file, read from the host; modules that are compressed are stored plain.
    Module(PathBuf),
    /// A file that holds this text.
    Text(String),
    /// A symbolic link with this target.
    Link(String),
    /// A node of a character device, for the first console.
    Device {
        /// As in `Documentation/admin-guide/devices.txt`.
        major: u32,
        /// As in `Documentation/admin-guide/devices.txt`.
        minor: u32,
    },
}

/// Why an initramfs cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// A file that goes into it cannot be read.
    #[error("cannot read {} for the initramfs", path.display())]
    Read {
        /// A program or module of the host.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the initramfs {}", path.display())]
    Write {
        /// Where the initramfs was to be.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Two things want the same place.
    #[error("two files for {path} in the initramfs; give one of the programs another name")]
    Twice {
        /// Path in the archive, without a leading slash.
        path: String,
    },
}

impl ExitError for InitramfsError {
    fn exit(&self) -> Exit {
        match self {
            InitramfsError::Read { .. } => Exit::NoInput,
            InitramfsError::Write { .. } => Exit::CannotCreate,
            InitramfsError::Twice { .. } => Exit::Usage,
        }
    }
}

/// The drivers that a guest needs for its disk and a file system on it, by module name.
#[must_use]
pub fn modules_for(fs: Fs) -> [&'static str; 3] {
    ["virtio_pci", "virtio_blk", fs.as_str()]
}

/// What goes into the initramfs of a boot: init, programs under /bin, modules under /lib/modules in load order.
#[must_use]
pub fn spec(init: &Path, programs: &[PathBuf], modules: &[PathBuf]) -> Vec<Entry> {
    let entry = |path: &str, content| Entry {
        path: path.to_owned(),
        content,
    };
    let mut entries = vec![
        entry("dev/console", Content::Device { major: 5, minor: 1 }),
        entry("init", Content::Program(init.to_owned())),
    ];
    entries.extend(["proc", "sys", "run", "mnt", "tmp"].map(|path| entry(path, Content::Directory)));
    for program in programs {
        entries.push(entry(
            &format!("bin/{}", file_name(program)),
            Content::Program(program.clone()),
        ));
    }
    let mut list = String::new();
    for (number, module) in modules.iter().enumerate() {
        let name = file_name(module);
        let plain = name.find(".ko").map_or(name.as_str(), |at| &name[..at + 3]);
        let path = format!("lib/modules/{number:02}-{plain}");
        list.push_str(&format!("/{path}\n"));
        entries.push(Entry {
            path,
            content: Content::Module(module.clone()),
        });
    }
    entries.push(entry(MODULES_LIST, Content::Text(list)));
    entries
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Writes the archive, beside `out` first and then in its place. The same entries give the same bytes.
///
/// # Errors
/// A file cannot be read, the archive cannot be written, two entries have the same path.
pub fn write(out: &Path, entries: &[Entry]) -> Result<(), InitramfsError> {
    let failed = |source| InitramfsError::Write {
        path: out.to_owned(),
        source,
    };
    let folder = out
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let beside = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    fill(BufWriter::new(beside.as_file()), out, entries)?;
    beside.persist(out).map_err(|error| failed(error.error))?;
    Ok(())
}

fn fill(to: BufWriter<&File>, path: &Path, entries: &[Entry]) -> Result<(), InitramfsError> {
    let failed = |source| InitramfsError::Write {
        path: path.to_owned(),
        source,
    };
    let mut archive = Archive {
        out: to,
        path,
        number: 0,
        seen: BTreeSet::new(),
    };
    for entry in entries {
        archive.add(entry)?;
    }
    let mut buffered = cpio::newc::trailer(archive.out).map_err(failed)?;
    buffered.flush().map_err(failed)
}

struct Archive<'a> {
    out: BufWriter<&'a File>,
    path: &'a Path,
    number: u32,
    seen: BTreeSet<String>,
}

impl Archive<'_> {
    fn add(&mut self, entry: &Entry) -> Result<(), InitramfsError> {
        for (at, _) in entry.path.match_indices('/') {
            let folder = &entry.path[..at];
            if self.seen.insert(folder.to_owned()) {
                self.put(folder, MODE_DIRECTORY, &[], (0, 0))?;
            }
        }
        if !self.seen.insert(entry.path.clone()) {
            return match entry.content {
                Content::Directory => Ok(()),
                _ => Err(InitramfsError::Twice {
                    path: entry.path.clone(),
                }),
            };
        }
        match &entry.content {
            Content::Directory => self.put(&entry.path, MODE_DIRECTORY, &[], (0, 0)),
            Content::Program(source) => self.put(&entry.path, MODE_PROGRAM, &read(source)?, (0, 0)),
            Content::Module(source) => self.put(&entry.path, MODE_FILE, &read_plain(source)?, (0, 0)),
            Content::Text(text) => self.put(&entry.path, MODE_FILE, text.as_bytes(), (0, 0)),
            Content::Link(target) => self.put(&entry.path, MODE_LINK, target.as_bytes(), (0, 0)),
            Content::Device { major, minor } => self.put(&entry.path, MODE_CONSOLE, &[], (*major, *minor)),
        }
    }

    fn put(&mut self, path: &str, mode: u32, bytes: &[u8], device: (u32, u32)) -> Result<(), InitramfsError> {
        self.number += 1;
        let failed = |source| InitramfsError::Write {
            path: self.path.to_owned(),
            source,
        };
        let size = u32::try_from(bytes.len().min(FILE_SIZE_MAX)).map_err(|error| failed(io::Error::other(error)))?;
        let builder = Builder::new(path)
            .ino(self.number)
            .mode(mode)
            .nlink(1)
            .rdev_major(device.0)
            .rdev_minor(device.1);
        let mut file = builder.write(&mut self.out, size);
        file.write_all(bytes).map_err(failed)?;
        file.finish().map_err(failed)?;
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, InitramfsError> {
    fs::read(path).map_err(|source| InitramfsError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_plain(path: &Path) -> Result<Vec<u8>, InitramfsError> {
    let bytes = read(path)?;
    match Compression::of(&bytes) {
        Some(compression) => compression.decompress(&bytes).map_err(|source| InitramfsError::Read {
            path: path.to_owned(),
            source,
        }),
        None => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(bytes: &[u8]) -> String {
        let mut rest = bytes;
        let mut lines = Vec::new();
        loop {
            let reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                return lines.join("\n");
            }
            let entry = reader.entry();
            let mut line = format!("{:06o} {}", entry.mode(), entry.name());
            if entry.mode() & 0o170_000 == 0o020_000 {
                line.push_str(&format!(" {}:{}", entry.rdev_major(), entry.rdev_minor()));
            }
            let mut content = Vec::new();
            rest = reader.to_writer(&mut content).unwrap();
            lines.push(format!(
                "{line} {}",
                String::from_utf8_lossy(&content).replace('\n', "|")
            ));
        }
    }

    #[test]
    fn holds_what_it_should_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(b"BTRFS").unwrap();
        let modules = [file("crc.ko", b"CRC"), file("btrfs.ko.xz", &xz.finish().unwrap())];
        let entries = spec(&file("init", b"INIT"), &[file("rw-verify", b"RW")], &modules);
        let (first, second) = (folder.path().join("a.cpio"), folder.path().join("b.cpio"));
        write(&first, &entries).unwrap();
        write(&second, &entries).unwrap();
        assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
        insta::assert_snapshot!(listing(&fs::read(&first).unwrap()), @r"
        040755 dev 
        020600 dev/console 5:1 
        100755 init INIT
        040755 proc 
        040755 sys 
        040755 run 
        040755 mnt 
        040755 tmp 
        040755 bin 
        100755 bin/rw-verify RW
        040755 lib 
        040755 lib/modules 
        100644 lib/modules/00-crc.ko CRC
        100644 lib/modules/01-btrfs.ko BTRFS
        040755 etc 
        040755 etc/bioscope 
        100644 etc/bioscope/modules /lib/modules/00-crc.ko|/lib/modules/01-btrfs.ko|
        ");
    }

    #[test]
    fn two_programs_of_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("repro");
        fs::write(&program, "x").unwrap();
        let entries = spec(&program, &[program.clone(), program.clone()], &[]);
        let error = write(&folder.path().join("out.cpio"), &entries).unwrap_err();
        assert_eq!(
            error.to_string(),
            "two files for bin/repro in the initramfs; give one of the programs another name"
        );
        assert!(!folder.path().join("out.cpio").exists());
    }
}
