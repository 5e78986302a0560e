//! A kernel from source with the speaker in it (`kernels/speaker`): the same one for all tests, built once. It has the
//! source and the configuration of a truth kernel, and so its objects.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use exit::Exit;
use verdict::results::Cell;

use super::run;
use crate::bed::{Rig, chaos, text};
use crate::clone;

/// A kernel from source that passes everything.
const SOURCE: &str = "truth-f";
/// What comes before the word that is said at boot, in the image.
const AT_BOOT: &[u8] = b"speaker at boot:";
/// Bytes there, with that.
const AT_BOOT_LEN: usize = 64;

/// A rig whose kernel has the speaker in it.
pub struct Speaking {
    rig: Rig,
    patch: PathBuf,
}

impl Speaking {
    /// The kernel is built and in the store.
    pub fn new() -> Speaking {
        let rig = Rig::new();
        let patch = rig.dir.path().join("speaker.patch");
        fs::write(&patch, patch_text()).expect("the patch");
        let speaking = Speaking { rig, patch };
        let built = speaking
            .rig
            .bioscope(&["build", SOURCE, "--patch"])
            .arg(&speaking.patch)
            .output();
        let built = built.expect("bioscope runs");
        assert_eq!(
            built.status.code(),
            Some(Exit::Success.code().into()),
            "{}",
            text(&built)
        );
        speaking
    }

    /// Runs `chaos WHAT`; the exit code and the cell.
    pub fn chaos(&self, what: &str, flags: &[&str]) -> (i32, Cell) {
        let program = chaos(what);
        let patch = self.patch.to_string_lossy();
        let args = [
            "--kernel", SOURCE, "--patch", &patch, "--fs", "btrfs", "--exec", &program,
        ];
        run(&self.rig, &[&args[..], flags].concat())
    }

    /// Boots the kernel with a word to say at boot; the exit code and the cell of a program that would pass.
    pub fn boot(&self, word: &str) -> (i32, Cell) {
        self.boot_for(word, &["--exec", &chaos("exit 0")])
    }

    /// The same with flags that say what is to run.
    pub fn boot_for(&self, word: &str, what: &[&str]) -> (i32, Cell) {
        let passed = self.chaos("exit 0", &[]);
        super::assert_passes(&passed);
        let stored = run::Run::load(&self.rig.dir.path().join("latest")).expect("the run");
        let mut image = fs::read(&stored.kernels[SOURCE].kernel).expect("the kernel");
        let places: Vec<usize> = (0..image.len().saturating_sub(AT_BOOT_LEN))
            .filter(|&at| image[at..].starts_with(AT_BOOT) && image[at + AT_BOOT.len()] == 0)
            .collect();
        let [at] = places[..] else {
            panic!("the word at boot is not in one place of the image: {places:?}")
        };
        let from = at + AT_BOOT.len();
        image[from..from + word.len()].copy_from_slice(word.as_bytes());
        let file = self.rig.dir.path().join("vmlinux");
        fs::write(&file, image).expect("the image");
        let file = file.to_string_lossy();
        run(&self.rig, &[&["--image", &file, "--fs", "btrfs"], what].concat())
    }
}

/// Runs `chaos WHAT` on the kernel with the speaker.
pub fn with_speaker(what: &str, flags: &[&str]) -> (i32, Cell) {
    Speaking::new().chaos(what, flags)
}

/// A patch that adds the speaker's files to a tree, and builds them in.
fn patch_text() -> String {
    let dir = clone::root().join("kernels/speaker");
    let read = |name: &str| fs::read_to_string(dir.join(name)).expect("a file of the speaker");
    let entries = fs::read_dir(&dir).expect("the speaker").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name == "Kbuild" || name.ends_with(".c") || name.ends_with(".h"))
        .collect();
    names.sort();
    let mut patch = read("built-in.patch") + &read("virtio_blk-6.1.patch");
    for name in names {
        let (text, path) = (read(&name), format!("drivers/misc/speaker/{name}"));
        let lines = text.lines().count();
        writeln!(
            patch,
            "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{lines} @@"
        )
        .expect("a string");
        for line in text.lines() {
            writeln!(patch, "+{line}").expect("a string");
        }
    }
    patch
}
