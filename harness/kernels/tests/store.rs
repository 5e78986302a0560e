//! The store under several runs at once, and after runs that were killed.
#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use exit::ExitError;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::cache::{Cache, CacheError};
use kernels::store::{self, Description};

const DIE_IN: &str = "BIOSCOPE_TEST_DIE_IN";

fn make(made: &Path) -> Result<Description, CacheError> {
    std::fs::write(made.join("bzImage"), "kernel").map_err(|source| CacheError::io("write", made, source))?;
    Ok(Description {
        kernel: PathBuf::from("bzImage"),
        bzimage: PathBuf::from("bzImage"),
        release: "6.1.0".to_owned(),
        version: "6.1-1".to_owned(),
        modules_root: None,
        no_elf: Some("a test".to_owned()),
        made_of: None,
    })
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn of_many_at_once_one_makes_it_and_all_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let (made, start) = (AtomicUsize::new(0), Barrier::new(8));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                let artifact = store::get_or_make(
                    &cache,
                    "k",
                    "abc",
                    || {},
                    |into| {
                        made.fetch_add(1, Ordering::SeqCst);
                        make(into)
                    },
                );
                assert_eq!(artifact.unwrap().release, "6.1.0");
            });
        }
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
    assert_eq!(names_in(&folder.path().join("store")), [".lock", "abc"]);
}

#[test]
fn what_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let result = store::get_or_make(
        &cache,
        "k",
        "abc",
        || {},
        |made| {
            std::fs::write(made.join("half"), "x").unwrap();
            Err::<Description, _>(CacheError::io("write", made, full))
        },
    );
    assert_eq!(result.unwrap_err().exit().code(), 73);
    assert_eq!(names_in(&folder.path().join("store")), [".lock"]);
}

#[test]
fn an_artifact_that_lost_its_kernel_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let first = store::get_or_make(&cache, "k", "abc", || {}, make).unwrap();
    std::fs::remove_file(&first.kernel).unwrap();
    assert!(store::get(&cache, "k", "abc").is_none());
    // As a power cut could leave it.
    std::fs::write(&first.kernel, "").unwrap();
    assert!(store::get(&cache, "k", "abc").is_none());
    assert!(
        store::get_or_make(&cache, "k", "abc", || {}, make)
            .unwrap()
            .kernel
            .is_file()
    );
}

/// Not a test by itself: the process that [`a_killed_run_is_cleaned_up_after`] kills.
#[test]
fn dies_while_it_makes_an_artifact() {
    let Some(folder) = std::env::var_os(DIE_IN) else { return };
    let _ = store::get_or_make(
        &Cache::at(folder),
        "k",
        "abc",
        || {},
        |made| {
            std::fs::write(made.join("half"), "x").unwrap();
            println!("half done");
            // Until the killing comes.
            let _ = std::io::stdin().read_line(&mut String::new());
            make(made)
        },
    );
}

#[test]
fn a_killed_run_is_cleaned_up_after() {
    use std::io::BufRead;
    let folder = tempfile::tempdir().unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "dies_while_it_makes_an_artifact", "--nocapture"])
        .env(DIE_IN, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(victim.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("half done")));
    let store = folder.path().join("store");
    assert_eq!(names_in(&store).len(), 2, "the lock and the scratch folder");
    victim.kill().unwrap();
    victim.wait().unwrap();
    let cache = Cache::at(folder.path());
    assert!(store::get(&cache, "k", "abc").is_none());
    store::get_or_make(&cache, "k", "abc", || panic!("nobody else is at work"), make).unwrap();
    assert_eq!(names_in(&store), [".lock", "abc"]);
    assert_eq!(names_in(&store.join("abc")), ["artifact.json", "bzImage"]);
}
