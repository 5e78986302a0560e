//! What make leaves when it is killed, or when nobody reads any more what it says: a target may be half made, or lack
//! what is done to it after the compiler, and yet be newer than its source. So a marker stands beside the objects as
//! long as make runs. Of what is newer than one that was left, the last that was made is made again.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use host::cache::CacheError;

/// There while make runs.
pub(super) const MARKER: &str = "make-unfinished";
/// What a killed make may have had in hand is no older than this, next to the newest that it made: a compiler or
/// objtool needs seconds for an object, and on a busy machine not this long. All before is whole, and may be much.
const IN_HAND: Duration = Duration::from_secs(120);

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

/// Removes the last targets that were made since some time, below a directory.
fn forget(objects: &Path, since: SystemTime) -> io::Result<()> {
    let mut made = Vec::new();
    find(objects, since, &mut made)?;
    let Some(newest) = made.iter().map(|(at, _)| *at).max() else {
        return Ok(());
    };
    let is_in_hand =
        |(at, _): &&(SystemTime, PathBuf)| newest.duration_since(*at).is_ok_and(|before| before <= IN_HAND);
    made.iter()
        .filter(is_in_hand)
        .try_for_each(|(_, target)| std::fs::remove_file(target))
}

/// Finds targets that were made since some time. What was made has a `.NAME.cmd` beside it.
fn find(folder: &Path, since: SystemTime, made: &mut Vec<(SystemTime, PathBuf)>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), since, made)?;
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(target) = name.strip_prefix('.').and_then(|name| name.strip_suffix(".cmd")) else {
            continue;
        };
        let target = folder.join(target);
        if let Ok(at) = std::fs::metadata(&target).and_then(|target| target.modified())
            && at >= since
        {
            made.push((at, target));
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
        let ages_s = [("fs/old", 900), ("fs/whole", 600), ("fs/new", 30), ("top", 0)];
        for (name, age_s) in ages_s {
            write(&format!("{name}.o"), age_s);
            write(
                &format!("{}.o.cmd", name.replace("fs/", "fs/.").replace("top", ".top")),
                age_s,
            );
        }
        // No target of a rule.
        write("include.h", 0);
        let there = || {
            let names = ["fs/old.o", "fs/whole.o", "fs/new.o", "top.o", "include.h"];
            names.map(|name| objects.join(name).exists())
        };
        let left = |age_s: u64| {
            let marker = objects.with_file_name(MARKER);
            let marker = std::fs::File::options().append(true).open(marker).unwrap();
            marker
                .set_modified(SystemTime::now() - Duration::from_secs(age_s))
                .unwrap();
        };
        begin(&objects).unwrap();
        end(&objects).unwrap();
        begin(&objects).unwrap();
        // Ended by itself before: nothing is removed.
        assert_eq!(there(), [true; 5]);
        // Killed after twelve minutes: what it made before the last two stays.
        left(720);
        begin(&objects).unwrap();
        assert_eq!(there(), [true, true, false, false, true]);
        write("fs/new.o", 90);
        write("top.o", 0);
        // What was made before it began is not its.
        left(60);
        begin(&objects).unwrap();
        assert_eq!(there(), [true, true, true, false, true]);
    }
}
