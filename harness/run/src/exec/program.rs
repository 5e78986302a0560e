//! The file of a program: whether a guest can run it.

use std::path::Path;

use exit::{Exit, Failure};
use object::Endianness;
use object::elf;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader};

/// Checks a program that is to run in a guest; `hint` ends the message if it cannot be read.
///
/// # Errors
/// It cannot be read, or is none that a guest can run.
pub(super) fn check(program: &Path, hint: &str) -> Result<(), Failure> {
    let unreadable = |what: &str| {
        let message = format!(
            "--exec: cannot read {}: {what}; expected the path of a static program{hint}",
            program.display()
        );
        Failure::new(Exit::NoInput, message)
    };
    // A FIFO would be waited for, a device read for ever.
    let kind = std::fs::metadata(program).map_err(|error| unreadable(&error.to_string()))?;
    if kind.is_dir() {
        return Err(unreadable("it is a directory"));
    }
    if !kind.is_file() {
        return Err(unreadable("it is no regular file"));
    }
    let bytes = std::fs::read(program).map_err(|error| unreadable(&error.to_string()))?;
    check_static(program, &bytes)
}

/// The guest has no shared libraries and no shell: only a static executable runs there.
pub(super) fn check_static(program: &Path, bytes: &[u8]) -> Result<(), Failure> {
    match obstacle(bytes) {
        None => Ok(()),
        Some(what) => {
            let message = format!(
                "--exec {}: {what}; the guest runs static x86-64 executables (cc -static, or Rust with -C target-feature=+crt-static)",
                program.display()
            );
            Err(Failure::new(Exit::NoInput, message))
        }
    }
}

/// Why a file is no static executable for the guest's machine; none if it is one.
fn obstacle(bytes: &[u8]) -> Option<&'static str> {
    const CUT: &str = "an ELF that is cut off: its headers tell of more than the file has";
    if bytes.starts_with(b"#!") {
        return Some("a script, and the guest has no interpreter and no shell");
    }
    if bytes.starts_with(&elf::ELFMAG) && bytes.get(4) == Some(&elf::ELFCLASS32.0) {
        return Some("an ELF of 32 bits");
    }
    let header = elf::FileHeader64::<Endianness>::parse(bytes).ok();
    let Some((header, endian)) = header.and_then(|header| Some((header, header.endian().ok()?))) else {
        return Some("not an ELF executable");
    };
    if header.e_machine(endian) != elf::EM_X86_64 {
        return Some("built for another architecture");
    }
    match header.e_type(endian) {
        elf::ET_EXEC | elf::ET_DYN => {}
        elf::ET_REL => return Some("an object file, which is not linked yet"),
        _ => return Some("an ELF, and no executable"),
    }
    let Ok(segments) = header.program_headers(endian, bytes) else {
        return Some(CUT);
    };
    if segments.iter().any(|segment| segment.p_type(endian) == elf::PT_INTERP) {
        return Some("dynamically linked");
    }
    let mut loaded = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
        .peekable();
    if loaded.peek().is_none() {
        return Some("an ELF without anything to load");
    }
    // Where a segment without bytes would be does not matter.
    if loaded.any(|segment| segment.p_filesz(endian) != 0 && segment.data(endian, bytes).is_err()) {
        return Some(CUT);
    }
    // A library has a name, or needs others, or has nowhere to begin; a static position-independent program is like one
    // in all else.
    let is_library = segments.iter().any(|segment| {
        let entries = segment.dynamic(endian, bytes).ok().flatten().unwrap_or_default();
        let tags = entries.iter().map(|entry| entry.tag(endian));
        tags.into_iter()
            .any(|tag| tag == elf::DT_SONAME || tag == elf::DT_NEEDED)
    });
    if header.e_type(endian) == elf::ET_DYN && (is_library || header.e_entry(endian) == 0) {
        return Some("a shared library");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A little ELF of this type and entry, with one segment that has these bytes.
    fn elf_of(kind: u16, entry: u64, segment: u32, content: &[u8]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend([kind, 62].map(u16::to_le_bytes).concat());
        file.extend(1u32.to_le_bytes());
        file.extend([entry, 64, 0].map(u64::to_le_bytes).concat());
        file.extend(0u32.to_le_bytes());
        file.extend([64u16, 56, 2, 0, 0, 0].map(u16::to_le_bytes).concat());
        // The whole file is loaded, of which the segment is the end.
        let bytes = content.len() as u64;
        for (segment, offset, bytes) in [(1u32, 0, 176 + bytes), (segment, 176, bytes)] {
            file.extend([segment, 5].map(u32::to_le_bytes).concat());
            file.extend([offset, offset, offset, bytes, bytes, 1].map(u64::to_le_bytes).concat());
        }
        assert_eq!(file.len(), 176);
        file.extend(content);
        file
    }

    const LOAD: u32 = 1;
    const DYNAMIC: u32 = 2;
    const INTERP: u32 = 3;

    fn tags(tags: &[u64]) -> Vec<u8> {
        tags.iter()
            .flat_map(|tag| [*tag, 1])
            .flat_map(u64::to_le_bytes)
            .collect()
    }

    #[test]
    fn static_executables_are_taken() {
        // DT_FLAGS_1, as a static position-independent program has it.
        let flags = tags(&[0x6fff_fffb, 0]);
        assert_eq!(obstacle(&elf_of(2, 0x1000, LOAD, b"code")), None);
        assert_eq!(obstacle(&elf_of(3, 0x1000, DYNAMIC, &flags)), None);
        let own = std::process::Command::new("busybox").arg("true").status();
        if own.is_ok() {
            assert!(crate::exec::busybox().is_ok());
        }
    }

    #[test]
    fn what_cannot_run_is_named() {
        let executable = elf_of(2, 0x1000, LOAD, &[7; 5000]);
        for at in [100, 175, 176, 4000] {
            let what = obstacle(&executable[..at]).unwrap_or_default();
            assert!(what.contains("cut off"), "{at}: {what}");
        }
        assert_eq!(obstacle(&executable[..40]), Some("not an ELF executable"));
        // Cut after the program headers: what it needs is known all the same.
        let dynamic = elf_of(3, 0x1000, INTERP, b"/lib64/ld-linux-x86-64.so.2\0");
        assert_eq!(obstacle(&dynamic[..180]), Some("dynamically linked"));
        let (soname, needed) = (tags(&[14, 0]), tags(&[1, 0]));
        for library in [
            elf_of(3, 0, LOAD, b"code"),
            elf_of(3, 0x1000, DYNAMIC, &soname),
            elf_of(3, 0x1000, DYNAMIC, &needed),
        ] {
            assert_eq!(obstacle(&library), Some("a shared library"));
        }
        assert_eq!(
            obstacle(&elf_of(1, 0, LOAD, b"code")),
            Some("an object file, which is not linked yet")
        );
        assert_eq!(
            obstacle(&elf_of(4, 0, LOAD, b"core")),
            Some("an ELF, and no executable")
        );
        let mut narrow = executable.clone();
        narrow[4] = 1;
        assert_eq!(obstacle(&narrow), Some("an ELF of 32 bits"));
        let mut foreign = executable.clone();
        foreign[18] = 183;
        assert_eq!(obstacle(&foreign), Some("built for another architecture"));
        let mut empty = executable;
        empty[56] = 0;
        assert_eq!(obstacle(&empty), Some("an ELF without anything to load"));
    }

    #[test]
    fn only_a_regular_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        for (path, what) in [
            (fifo.as_path(), "it is no regular file"),
            (Path::new("/dev/zero"), "it is no regular file"),
            (dir.path(), "it is a directory"),
        ] {
            let said = check(path, "").unwrap_err().to_string();
            assert!(said.contains(what), "{said}");
        }
    }
}
