//! A program that is dynamically linked, with all that it needs to run in a guest that has nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use exit::{Exit, ExitError};
use object::read::elf::{FileHeader, ProgramHeader};

use host::tool::{self, ToolError};
use machine::initramfs::{Content, Entry};

const DEADLINE: Duration = Duration::from_secs(30);

/// Why a program cannot be packed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// It is no program for the guest.
    #[error("{} is no x86-64 ELF program", path.display())]
    NotElf { path: PathBuf },
    /// One of its libraries is not installed.
    #[error(
        "{} needs {library}, which is not installed; install the package of {} again",
        path.display(), path.display()
    )]
    Missing { path: PathBuf, library: String },
    /// Its loader could not be asked.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl ExitError for LibraryError {
    fn exit(&self) -> Exit {
        match self {
            LibraryError::Read { .. } | LibraryError::NotElf { .. } | LibraryError::Missing { .. } => Exit::Unavailable,
            LibraryError::Tool(error) => error.exit(),
        }
    }
}

/// Entries of an initramfs with this program at `place`, its loader, and its libraries where the loader finds them on
/// the host.
///
/// # Errors
/// The program or one of its libraries cannot be had.
pub(crate) fn entries(program: &Path, place: &str) -> Result<Vec<Entry>, LibraryError> {
    let file = |path: &Path| Entry {
        path: path.to_string_lossy().trim_start_matches('/').to_owned(),
        content: Content::Program(path.to_owned()),
    };
    let mut entries = vec![Entry {
        path: place.trim_start_matches('/').to_owned(),
        content: Content::Program(program.to_owned()),
    }];
    let Some(loader) = loader(program)? else {
        return Ok(entries);
    };
    // The loader itself says what it would load; the program is not run.
    let finished = tool::run(Command::new(&loader).arg("--list").arg(program), DEADLINE)?;
    let libraries = parse(&finished.text()).map_err(|library| LibraryError::Missing {
        path: program.to_owned(),
        library,
    })?;
    entries.push(file(&loader));
    entries.extend(libraries.iter().filter(|path| **path != loader).map(|path| file(path)));
    Ok(entries)
}

/// The program's loader; none if it is linked statically.
fn loader(program: &Path) -> Result<Option<PathBuf>, LibraryError> {
    let bytes = std::fs::read(program).map_err(|source| LibraryError::Read {
        path: program.to_owned(),
        source,
    })?;
    let not_elf = || LibraryError::NotElf {
        path: program.to_owned(),
    };
    let data = bytes.as_slice();
    let header = object::elf::FileHeader64::<object::Endianness>::parse(data).map_err(|_| not_elf())?;
    let endian = header.endian().map_err(|_| not_elf())?;
    if header.e_machine(endian) != object::elf::EM_X86_64 {
        return Err(not_elf());
    }
    let segments = header.program_headers(endian, data).map_err(|_| not_elf())?;
    let loader = segments
        .iter()
        .find_map(|segment| segment.interpreter(endian, data).ok().flatten());
    Ok(loader.map(|path| PathBuf::from(String::from_utf8_lossy(path).into_owned())))
}

/// The paths in the loader's list; a library that was not found is the error.
fn parse(list: &str) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for line in list.lines() {
        let (name, path) = match line.trim().split_once(" => ") {
            Some((name, path)) => (name, path),
            None => (line.trim(), line.trim()),
        };
        if path.starts_with("not found") {
            return Err(name.to_owned());
        }
        // The kernel's own (linux-vdso.so.1) has no path.
        if let Some((path, _)) = path.split_once(" (0x").filter(|(path, _)| path.starts_with('/')) {
            paths.push(PathBuf::from(path));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_list() {
        let list = "\tlinux-vdso.so.1 (0x00007f13b36b7000)\n\tlibaio.so.1 => /lib/x86_64-linux-gnu/libaio.so.1 \
            (0x00007f13b3674000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f13b36b9000)\n";
        let expected = ["/lib/x86_64-linux-gnu/libaio.so.1", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(parse(list), Ok(expected.to_vec()));
        assert_eq!(parse("\tlibx.so.1 => not found\n"), Err("libx.so.1".to_owned()));
    }

    #[test]
    fn this_very_test_can_be_packed() {
        let program = std::env::current_exe().expect("a test is a program");
        let entries = entries(&program, "/bin/test").expect("its libraries");
        assert_eq!(entries[0].path, "bin/test");
        assert!(
            entries.iter().any(|entry| entry.path.contains("libc.so")),
            "{entries:?}"
        );
    }
}
