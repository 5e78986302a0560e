//! Clones that do not hold all of a kernel's source.
#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use std::path::Path;
use std::process::Command;

use exit::ExitError;
use host::cache::Cache;
use host::progress::Progress;
use kernels::source::{self, Repo};

fn sh(dir: &Path, script: &str) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(dir).status();
    assert!(status.unwrap().success(), "{script}");
}

#[test]
fn a_partial_clone_says_how_it_gets_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::at(dir.path().join("cache"));
    let repo = Repo::open(&cache).unwrap();
    sh(
        dir.path(),
        "git init -q -b main linux && cd linux && git config uploadpack.allowFilter true && echo 1 >Kconfig && \
         echo 2 >Makefile && git add -A && git -c user.name=a -c user.email=a@b commit -qm first && \
         echo 3 >Makefile && git -c user.name=a -c user.email=a@b commit -qam second && cd .. && \
         git clone -q --filter=blob:none \"file://$PWD/linux\" part",
    );
    let part = dir.path().join("part");
    let take = |rev: &str| {
        let path = part.to_str().unwrap();
        source::git(&repo, &cache, path, rev, false, true, &Progress::hidden())
    };
    take("HEAD").unwrap();
    let error = take("HEAD~1").unwrap_err();
    assert_eq!(error.exit().code(), 66);
    let said = error.to_string();
    assert!(
        said.contains("is a partial clone and lacks 1 of the files of HEAD~1; check that out"),
        "{said}"
    );
    sh(&part, "git checkout -q HEAD~1");
    take("HEAD").unwrap();
}
