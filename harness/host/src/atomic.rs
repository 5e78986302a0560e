//! Files that appear whole: written to a temporary name in the same directory, then renamed.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes a file atomically: a reader sees the old content or the new, never a part of it.
///
/// # Errors
/// The directory cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".writing-")
        // As for any other file: what the umask leaves of it, and not only the owner's part.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Reads a file that was written so. What is none, such as a pipe or a device, has no end, and is not opened.
///
/// # Errors
/// The file cannot be read, or is something else.
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("expected a file"));
    }
    std::fs::read(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(status.success());
        assert!(read(&path).is_err() && read(Path::new("/dev/zero")).is_err());
        assert_eq!(
            read(&dir.path().join("none")).map_err(|error| error.kind()),
            Err(std::io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn the_file_may_be_read_by_whom_any_new_file_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        write(&ours, b"x").unwrap();
        std::fs::write(&plain, b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
