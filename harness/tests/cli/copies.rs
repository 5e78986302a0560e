//! A clone that was copied or moved works on itself: what is read is what stands above the program, not where it was
//! compiled.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::clone;
use super::place::MANIFEST;

/// A clone with nothing but a program and a list of kernels with one kernel of this name.
fn copy(dir: &Path, kernel: &str) -> PathBuf {
    let program = dir.join("target/release/bioscope");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::fs::copy(clone::bioscope(), &program).unwrap();
    std::fs::write(dir.join("Cargo.toml"), "[workspace]\n").unwrap();
    let manifest = MANIFEST.replace("debian-6.1.176", kernel);
    std::fs::write(dir.join("kernels.toml"), manifest).unwrap();
    program
}

/// What `test --list` says, started by hand there: a kernel, or a message.
fn list(program: &Path, there: &Path, root: Option<&Path>) -> (i32, String) {
    let mut command = Command::new(program);
    command
        .args(["test", "--list", "--case", "overlap"])
        .current_dir(there)
        .env_remove("BIOSCOPE_ROOT")
        .env_remove("BIOSCOPE_TARGET")
        .env("NO_COLOR", "1");
    if let Some(root) = root {
        command.env("BIOSCOPE_ROOT", root);
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_copied_clone_reads_its_own_list_of_kernels() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let (first_program, second_program) = (copy(&first, "of-the-first"), copy(&second, "of-the-second"));
    // Wherever the person is: the program's own clone goes before the one that it is called from.
    for there in [dir.path(), &first, &second] {
        for (program, kernel) in [(&first_program, "of-the-first"), (&second_program, "of-the-second")] {
            let (code, text) = list(program, there, None);
            assert_eq!(code, 0, "{text}");
            assert!(text.contains(kernel), "{text}");
        }
    }
    // What the environment names goes before both.
    let (code, text) = list(&first_program, &first, Some(&second));
    assert!(code == 0 && text.contains("of-the-second"), "{text}");
    // Moved, with what is in it.
    let third = dir.path().join("third");
    std::fs::rename(&first, &third).unwrap();
    let (code, text) = list(&third.join("target/release/bioscope"), &third, None);
    assert!(code == 0 && text.contains("of-the-first"), "{text}");
}

#[test]
fn a_program_outside_of_a_clone_works_on_the_one_that_it_is_called_from() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("clone");
    let inside = copy(&root, "of-the-clone");
    let outside = dir.path().join("bioscope");
    std::fs::rename(inside, &outside).unwrap();
    let (code, text) = list(&outside, &root.join("target"), None);
    assert!(code == 0 && text.contains("of-the-clone"), "{text}");

    let (code, text) = list(&outside, dir.path(), None);
    assert_eq!(code, 66, "{text}");
    let expected = "error: no directory above this program or the current directory is a clone of bioscope: \
        run it in one, or name one with BIOSCOPE_ROOT=DIR\n";
    assert_eq!(text, expected);
}

#[test]
fn a_root_that_is_no_clone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let program = copy(&dir.path().join("clone"), "of-the-clone");
    let half = dir.path().join("half");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("Cargo.toml"), "[workspace]\n").unwrap();
    for root in [&half, &dir.path().join("nowhere"), Path::new("")] {
        let (code, text) = list(&program, dir.path(), Some(root));
        let root = root.display();
        let expected = format!(
            "error: BIOSCOPE_ROOT={root} is no clone of bioscope: expected a directory with kernels.toml and \
            Cargo.toml in it\n"
        );
        assert_eq!((code, text), (66, expected));
    }
}
