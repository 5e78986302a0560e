//! What make leaves when it is killed, or when nobody reads any more what it says: a target may be half made, or lack
//! what is done to it after the compiler, and yet be newer than its source. So a marker stands beside the objects as
//! long as make runs, and what is newer than one that was left is made again.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use host::cache::CacheError;

/// There while make runs.
const MARKER: &str = "make-unfinished";

/// Says that make begins; removes what one that was killed may have left half made.
pub(super) fn begin(objects: &Path) -> Result<(), CacheError> {
    let marker = objects.with_file_name(MARKER);
    if let Ok(since) = std::fs::metadata(&marker).and_then(|marker| marker.modified()) {
        forget(objects, since).map_err(|source| CacheError::io("tidy up", objects, source))?;
    }
    std::fs::write(&marker, "").map_err(|source| CacheError::io("write", &marker, source))
}

/// Says that make came to its end by itself, so that it removed what it did not finish.
pub(super) fn end(objects: &Path) -> Result<(), CacheError> {
    let marker = objects.with_file_name(MARKER);
    std::fs::remove_file(&marker).map_err(|source| CacheError::io("remove", &marker, source))
}

/// Removes targets that were made since some time, below a directory. What was made has a `.NAME.cmd` beside it.
fn forget(folder: &Path, since: SystemTime) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget(&entry.path(), since)?;
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(target) = name.strip_prefix('.').and_then(|name| name.strip_suffix(".cmd")) else {
            continue;
        };
        let target = folder.join(target);
        let made = std::fs::metadata(&target).and_then(|target| target.modified());
        if made.is_ok_and(|made| made >= since) {
            std::fs::remove_file(&target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_killed_make_made_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let objects = dir.path().join("objects");
        std::fs::create_dir_all(objects.join("fs")).unwrap();
        let write = |name: &str, age_s: u64| {
            let path = objects.join(name);
            std::fs::write(&path, "").unwrap();
            let file = std::fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age_s))
                .unwrap();
        };
        for (name, age_s) in [("fs/old", 60), ("fs/new", 0), ("top", 0)] {
            write(&format!("{name}.o"), age_s);
            write(
                &format!("{}.o.cmd", name.replace("fs/", "fs/.").replace("top", ".top")),
                age_s,
            );
        }
        // No target of a rule.
        write("include.h", 0);
        let there = || {
            let names = ["fs/old.o", "fs/new.o", "top.o", "include.h"];
            names.map(|name| objects.join(name).exists())
        };
        begin(&objects).unwrap();
        end(&objects).unwrap();
        begin(&objects).unwrap();
        // Ended by itself before: nothing is removed.
        assert_eq!(there(), [true; 4]);
        let marker = std::fs::File::options()
            .append(true)
            .open(objects.with_file_name(MARKER))
            .unwrap();
        marker
            .set_modified(SystemTime::now() - Duration::from_secs(30))
            .unwrap();
        begin(&objects).unwrap();
        assert_eq!(there(), [true, false, false, true]);
    }
}
