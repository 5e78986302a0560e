//! Archives of source as people make them.
#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use std::fs;
use std::path::Path;
use std::process::Command;

use host::cache::Cache;
use host::progress::Progress;
use kernels::source::{self, Repo, SourceError, Tree};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

struct Bed {
    dir: TempDir,
    cache: Cache,
    repo: Repo,
}

impl Bed {
    /// With a directory `linux` that holds source, and what a script makes in it.
    fn new(script: &str) -> Bed {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("cache"));
        let repo = Repo::open(&cache).unwrap();
        let bed = Bed { dir, cache, repo };
        bed.sh("mkdir -p linux/fs linux/arch && cd linux && echo 1 >Kconfig && echo 2 >Makefile && echo 3 >fs/Kconfig");
        bed.sh(script);
        bed
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn sh(&self, script: &str) {
        let status = Command::new("sh")
            .args(["-ec", script])
            .current_dir(self.path())
            .status();
        assert!(status.unwrap().success(), "{script}");
    }

    fn take(&self, name: &str) -> Result<Tree, SourceError> {
        let file = self.path().join(name);
        let sum = kernels::store::hex(&Sha256::digest(fs::read(&file).unwrap()));
        let location = file.to_str().unwrap();
        source::tarball(&self.repo, &self.cache, location, &sum, true, &Progress::hidden())
    }

    fn text(&self, tree: &Tree, path: &str) -> String {
        String::from_utf8(self.repo.file(tree, path).unwrap().unwrap_or_default()).unwrap()
    }
}

#[test]
fn a_hard_link_is_a_file() {
    let bed = Bed::new("cd linux && echo same >'fs/a b.c' && ln 'fs/a b.c' fs/z.c && cd .. && tar -cf a.tar linux");
    let tree = bed.take("a.tar").unwrap();
    assert_eq!(
        ["fs/a b.c", "fs/z.c"].map(|path| bed.text(&tree, path)),
        ["same\n", "same\n"]
    );
}

#[test]
fn an_archive_without_a_directory_at_its_top_is_refused() {
    let bed = Bed::new("echo 4 >linux/arch/Kconfig && tar -cf a.tar -C linux .");
    // The second time is as the first.
    for _ in 0..2 {
        let said = bed.take("a.tar").unwrap_err().to_string();
        assert!(said.contains("it has several directories at its top"), "{said}");
    }
}

#[test]
fn what_was_refused_is_refused_again() {
    let bed = Bed::new("rm linux/Kconfig && tar -cf a.tar linux");
    for _ in 0..2 {
        let said = bed.take("a.tar").unwrap_err().to_string();
        assert!(said.contains("there is no Kconfig at its top"), "{said}");
    }
}
