//! Scratch directories for sockets and initramfs: short paths, since a unix socket's is limited to 107 bytes.

use std::path::Path;

use tempfile::TempDir;

const PREFIX: &str = "bioscope-";

/// Makes a scratch directory, readable by its owner alone, that is removed with the value.
///
/// A process that is killed leaves its directory behind; the name carries its process id, and the next run removes it.
///
/// # Errors
/// The directory for temporary files cannot be written.
pub fn make() -> std::io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-", std::process::id()))
        .tempdir()
}

/// Removes what killed runs left behind; best effort, since others may do the same at the same time.
pub fn sweep() {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let left_by = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split('-').next());
        let dead = left_by
            .and_then(|pid| pid.parse::<u32>().ok())
            .is_some_and(|pid| !is_alive(pid));
        if dead {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_lose_theirs_and_the_living_keep_theirs() {
        let mine = make().expect("a directory");
        // No Linux process has this number: it is above the largest that pid_max allows.
        let dead = std::env::temp_dir().join(format!("{PREFIX}4194305-test"));
        std::fs::create_dir_all(&dead).expect("a directory");
        sweep();
        assert!(mine.path().exists());
        assert!(!dead.exists());
    }
}
