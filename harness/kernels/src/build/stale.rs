//! What was made before and is of no use: make goes by times and by its command lines, which do not tell all.

use std::io;
use std::path::Path;

use super::unfinished::MARKER;
use host::cache::CacheError;

/// Written when a build begins, for its time.
const CLOCK: &str = "clock";
/// The compiler and the linker by which the objects were made.
const TOOLCHAIN: &str = "toolchain";

/// Removes what was made before if make would keep it wrongly; gives back why.
pub(super) fn check(objects: &Path, toolchain: &str) -> Result<Option<&'static str>, CacheError> {
    let is_set_back = is_set_back(objects)?;
    let made_by = objects.with_file_name(TOOLCHAIN);
    let before = std::fs::read_to_string(&made_by).ok();
    // Kbuild of before 5.8 keeps the objects of another compiler, and any those of another assembler.
    let is_of_another = before.as_ref().is_some_and(|before| before != toolchain);
    if is_set_back || is_of_another {
        std::fs::remove_dir_all(objects).map_err(|source| CacheError::io("remove", objects, source))?;
        std::fs::create_dir(objects).map_err(|source| CacheError::io("create", objects, source))?;
        let _ = std::fs::remove_file(objects.with_file_name(MARKER));
    }
    if before.as_deref() != Some(toolchain) {
        host::atomic::write(&made_by, toolchain.as_bytes())
            .map_err(|source| CacheError::io("write", &made_by, source))?;
    }
    Ok(match (is_set_back, is_of_another) {
        (true, _) => Some("the clock was set back since the last build"),
        (_, true) => Some("the last build was by another compiler or linker"),
        _ => None,
    })
}

/// Whether the clock was set back since something was made: make would take it for newer than source that is checked
/// out from now on, and keep it.
fn is_set_back(objects: &Path) -> Result<bool, CacheError> {
    let (marker, clock) = (objects.with_file_name(MARKER), objects.with_file_name(CLOCK));
    // What this disk calls now; a server of files may have a clock of its own.
    let now = std::fs::write(&clock, ".").and_then(|()| std::fs::metadata(&clock)?.modified());
    let now = now.map_err(|source| CacheError::io("write", &clock, source))?;
    let is_later = |path: &Path| Ok::<_, io::Error>(std::fs::symlink_metadata(path)?.modified()? > now);
    let any = any(objects, &is_later).map_err(|source| CacheError::io("read", objects, source))?;
    Ok(any || is_later(&marker).unwrap_or_default())
}

/// Whether something is said of any file below a directory.
fn any(folder: &Path, is: &impl Fn(&Path) -> io::Result<bool>) -> io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_one = if entry.file_type()?.is_dir() {
            any(&entry.path(), is)?
        } else {
            is(&entry.path())?
        };
        if is_one {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn what_is_newer_than_now_goes() {
        let dir = tempfile::tempdir().unwrap();
        let objects = dir.path().join("objects");
        let later = |path: &Path, later_s: u64| {
            let file = std::fs::File::options().append(true).open(path).unwrap();
            file.set_modified(SystemTime::now() + Duration::from_secs(later_s))
                .unwrap();
        };
        // An object, what Kconfig made for make, the marker of one that was killed.
        for name in ["objects/fs/a.o", "objects/include/auto.conf", MARKER] {
            std::fs::create_dir_all(objects.join("fs")).unwrap();
            std::fs::create_dir_all(objects.join("include")).unwrap();
            std::os::unix::fs::symlink("nothing", objects.join("source")).unwrap();
            let path = dir.path().join(name);
            std::fs::write(&path, "").unwrap();
            assert!(check(&objects, "gcc").unwrap().is_none());
            assert!(path.is_file());
            later(&path, 7200);
            assert!(check(&objects, "gcc").unwrap().is_some(), "{name}");
            assert_eq!(std::fs::read_dir(&objects).unwrap().count(), 0);
            assert!(!path.exists());
        }
    }

    #[test]
    fn what_another_compiler_made_goes() {
        let dir = tempfile::tempdir().unwrap();
        let objects = dir.path().join("objects");
        std::fs::create_dir(&objects).unwrap();
        let object = objects.join("a.o");
        let is_there_after = |toolchain: &str| {
            std::fs::write(&object, "").unwrap();
            let said = check(&objects, toolchain).unwrap();
            assert_eq!(said.is_none(), object.exists(), "{said:?}");
            object.exists()
        };
        // Who made the first is not known.
        let there = [
            "gcc 12; ld 2.40",
            "gcc 12; ld 2.40",
            "gcc 13; ld 2.40",
            "gcc 13; ld 2.40",
            "gcc 13; ld 2.41",
        ];
        assert_eq!(there.map(is_there_after), [true, true, false, true, false]);
    }
}
