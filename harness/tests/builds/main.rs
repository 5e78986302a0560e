//! Builds of a real kernel that go wrong, are killed, run twice at once or find the disk full: the store stays whole and the next run goes on.
//!
//! The kernel is Debian's 6.1 source with `tinyconfig`, the smallest that there is; it does not boot here and need not. The first build takes some
//! minutes and is kept in the cache. `cargo nextest run --release --package harness --run-ignored only --profile rig -E 'binary(builds)'` runs these.

#![allow(clippy::expect_used, reason = "a panic in a test's helper is the test's failure")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use harness::cache::Cache;

const SOURCE: &str = "suite = \"bookworm-security\"\nsource-package = \"linux-source-6.1\"\nversion = \"6.1.192-2\"\n";

/// A `kernels.toml` in a directory of its own.
struct Bed {
    dir: tempfile::TempDir,
}

impl Bed {
    fn new() -> Bed {
        let dir = tempfile::tempdir().expect("a directory");
        // What is pinned is fetched once for all tests.
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels.lock");
        fs::copy(lock, dir.path().join("kernels.lock")).expect("kernels.lock");
        Bed { dir }
    }

    /// Declares one kernel, with more lines.
    fn declare(&self, id: &str, more: &str) {
        let text = format!("[[kernel]]\nid = \"{id}\"\n{SOURCE}config = [\"tinyconfig\"{more}\n");
        fs::write(self.dir.path().join("kernels.toml"), text).expect("kernels.toml");
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).expect("a file");
    }

    fn build(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bioscope"));
        command
            .args(["build", "--manifest"])
            .arg(self.dir.path().join("kernels.toml"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self) -> (i32, String) {
        outcome(&self.build().output().expect("bioscope runs"))
    }
}

fn outcome(output: &Output) -> (i32, String) {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    (output.status.code().unwrap_or(-1), text)
}

/// A patch that puts a line before the first of a file's.
fn prepend(path: &str, first: &str, line: &str) -> String {
    format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1,2 @@\n+{line}\n {first}\n")
}

/// The artifact's folder that a build told of.
fn artifact(text: &str) -> PathBuf {
    let line = text
        .lines()
        .find(|line| line.contains(" in /"))
        .unwrap_or_else(|| panic!("no artifact in {text}"));
    PathBuf::from(line.rsplit(" in ").next().unwrap_or_default())
}

fn image(text: &str) -> Vec<u8> {
    fs::read(artifact(text).join("bzImage")).expect("an image")
}

/// When the log of a kernel's builds was last written.
fn logged(id: &str) -> Option<SystemTime> {
    let cache = Cache::of_user().expect("a cache");
    fs::metadata(cache.root().join("logs").join(format!("{id}.log")))
        .ok()?
        .modified()
        .ok()
}

/// The first line of lib/ctype.c.
const CTYPE_FIRST: &str = "// SPDX-License-Identifier: GPL-2.0";

/// One test, for all of it happens in one build folder.
#[test]
#[ignore = "builds a kernel; the head of this file says how to run it"]
fn what_goes_wrong_is_said_and_the_next_run_goes_on() {
    let bed = Bed::new();
    bed.declare("tiny", "]");
    let (code, first) = bed.run();
    assert_eq!(code, 0, "{first}");

    // The same again builds nothing.
    let before = logged("tiny");
    let (code, again) = bed.run();
    assert_eq!((code, artifact(&again)), (0, artifact(&first)));
    assert!(!again.contains("building") && logged("tiny") == before, "{again}");

    // Nor does a change of what no build reads; and that is said.
    bed.file(
        "driver.patch",
        &prepend("drivers/gpu/drm/drm_file.c", "/*", "/* nobody reads this */"),
    );
    bed.declare("tiny", "]\npatches = [\"driver.patch\"]");
    let (code, other) = bed.run();
    assert_eq!((code, artifact(&other)), (0, artifact(&first)));
    assert!(
        other.contains("nothing to build: 1 files differ between linux-source-6.1 6.1.192-2 and"),
        "{other}"
    );

    // The compiler's own words, with file and line; the log has the rest.
    bed.file(
        "broken.patch",
        &prepend("lib/ctype.c", CTYPE_FIRST, "int broken(void) { return }"),
    );
    bed.declare("tiny", "]\npatches = [\"broken.patch\"]");
    let (code, broken) = bed.run();
    assert_eq!(code, 74, "{broken}");
    assert!(
        broken.contains("lib/ctype.c:1:27: error: expected expression before"),
        "{broken}"
    );
    let log = broken
        .lines()
        .find_map(|line| line.split("the whole log: ").nth(1))
        .expect("a log");
    assert!(
        fs::read_to_string(log)
            .expect("the log")
            .contains("lib/ctype.c:1:27: error")
    );

    // An option that there is not, and one whose dependencies are not set.
    bed.file("more.config", "CONFIG_NO_SUCH_OPTION=y\nCONFIG_BTRFS_FS=y\n");
    bed.declare("tiny", ", \"./more.config\"]");
    let (code, vanished) = bed.run();
    assert_eq!(code, 65, "{vanished}");
    assert!(
        vanished.contains("more.config:1: CONFIG_NO_SUCH_OPTION=y became not set: this kernel has no such option"),
        "{vanished}"
    );
    assert!(
        vanished.contains("more.config:2: CONFIG_BTRFS_FS=y became not set (tristate"),
        "{vanished}"
    );

    // Killed in the middle of many objects, then run again.
    bed.file(
        "types.patch",
        &prepend(
            "include/linux/types.h",
            "/* SPDX-License-Identifier: GPL-2.0 */",
            "/* read by nearly all */",
        ),
    );
    bed.declare("tiny", "]\npatches = [\"types.patch\"]");
    let mut child = bed
        .build()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bioscope runs");
    let stderr = BufReader::new(child.stderr.take().expect("its messages"));
    let building = stderr
        .lines()
        .map_while(Result::ok)
        .any(|line| line.starts_with("building tiny"));
    assert!(building, "it came as far as make");
    until_made("tiny", 20);
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    let (code, resumed) = bed.run();
    assert_eq!(code, 0, "{resumed}");

    // Back to where it began: built as if nothing had been, the same bytes come out.
    bed.declare("tiny", "]");
    let (code, back) = bed.run();
    assert_eq!((code, artifact(&back)), (0, artifact(&first)));
    let kept = image(&first);
    fs::remove_dir_all(artifact(&first)).expect("the artifact can be removed");
    let (code, rebuilt) = bed.run();
    assert_eq!((code, artifact(&rebuilt)), (0, artifact(&first)), "{rebuilt}");
    assert!(image(&rebuilt) == kept, "two builds of the same source differ");

    // Two at once: one builds, the other waits and takes what was built.
    bed.file("two.patch", &prepend("lib/ctype.c", CTYPE_FIRST, "/* two at once */"));
    bed.declare("tiny", "]\npatches = [\"two.patch\"]");
    let both = [0, 1].map(|_| {
        bed.build()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bioscope runs")
    });
    let both = both.map(|child| outcome(&child.wait_with_output().expect("its end")));
    assert!(both.iter().all(|(code, _)| *code == 0), "{both:?}");
    assert_eq!(artifact(&both[0].1), artifact(&both[1].1));
    assert_eq!(
        both.iter().filter(|(_, text)| text.contains("building tiny")).count(),
        1,
        "{both:?}"
    );
}

/// Waits until a build's log tells of so many things made.
fn until_made(id: &str, count: usize) {
    let cache = Cache::of_user().expect("a cache");
    let log = cache.root().join("logs").join(format!("{id}.log"));
    loop {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if text.lines().filter(|line| line.starts_with("  CC ")).count() >= count {
            return;
        }
        // Nothing tells of a line in a file but the file.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
#[ignore = "builds a kernel; the head of this file says how to run it"]
fn a_full_disk_is_said_and_the_next_run_goes_on() {
    let bed = Bed::new();
    bed.declare("tiny", "]");
    let cache = Cache::of_user().expect("a cache");
    let script = r#"
        mkdir "$1/small" && mount -t tmpfs -o size=900m none "$1/small" || exit 99
        mkdir "$1/small/debs" && cp "$2"/debs/*.deb "$1/small/debs/" 2>/dev/null
        export BIOSCOPE_CACHE="$1/small"
        shift 2
        "$@"; echo "exit code $?"
        mount -t tmpfs -o remount,size=6g none "$BIOSCOPE_CACHE" || exit 99
        "$@"; echo "exit code $?"
    "#;
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(bed.dir.path())
        .arg(cache.root())
        .arg(env!("CARGO_BIN_EXE_bioscope"))
        .args(["build", "--manifest"])
        .arg(bed.dir.path().join("kernels.toml"))
        .output()
        .expect("unshare runs");
    let (code, text) = outcome(&output);
    assert_eq!(code, 0, "{text}");
    let codes: Vec<&str> = text.lines().filter(|line| line.starts_with("exit code")).collect();
    assert_eq!(codes, ["exit code 73", "exit code 0"], "{text}");
    assert!(text.contains("no space left on the disk"), "{text}");
}
