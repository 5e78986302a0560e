//! Builds of a real kernel that go wrong, are killed, run twice at once or find the disk full: the store stays whole
//! and the next run goes on.
//!
//! The kernel is Debian's 6.1 source with `tinyconfig`, the smallest that there is; it does not boot here and need not.
//! It is built whole once, on a disk of the test's own; all else touches some objects of it. `cargo nextest run
//! --release --package harness --run-ignored only --profile rig -E 'binary(builds)'` runs it.

#![allow(clippy::expect_used, reason = "a panic in a test's helper is the test's failure")]

mod bed;
#[path = "../common/clone.rs"]
mod clone;
#[allow(dead_code, reason = "only mounts are of use here")]
#[path = "../cli/namespace.rs"]
mod namespace;

use std::fs;
use std::process::Stdio;

use bed::{Bed, added, artifact, outcome};

/// The first lines of files that are changed.
const CTYPE: (&str, &str) = ("lib/ctype.c", "// SPDX-License-Identifier: GPL-2.0");
const KCONFIG: (&str, &str) = ("lib/Kconfig", "# SPDX-License-Identifier: GPL-2.0-only");
/// Some ninety objects are made with it.
const PAGEMAP: (&str, &str) = ("include/linux/pagemap.h", "/* SPDX-License-Identifier: GPL-2.0 */");
/// In no build of a tiny kernel.
const DRIVER: (&str, &str) = ("drivers/gpu/drm/drm_file.c", "/*");

/// One test, for all of it happens in one build directory.
#[test]
#[ignore = "builds a kernel; the head of this file says how to run it"]
fn what_goes_wrong_is_said_and_the_next_run_goes_on() {
    // Room for the source in git's form, not for a checkout.
    let Some(mut bed) = Bed::new("500m") else { return };
    bed.declare("]");
    let (code, full) = bed.run();
    assert_eq!(code, 73, "{full}");
    assert!(full.contains("no space left on the disk"), "{full}");

    bed.resize("6g");
    let (code, first) = bed.run();
    assert_eq!(code, 0, "{first}");
    let kept = bed.image(&first);

    nothing_changed(&bed, &first);
    wrong_input(&bed);
    killed(&bed);

    // Back to where it began: built as if nothing had been, the same bytes come out.
    bed.declare("]");
    let (code, back) = bed.run();
    assert_eq!((code, artifact(&back)), (0, artifact(&first)));
    assert!(bed.image(&first) == kept, "the artifact is not what it was");
    fs::remove_dir_all(bed.inside(artifact(&first))).expect("the artifact can be removed");
    let (code, rebuilt) = bed.run();
    assert_eq!((code, artifact(&rebuilt)), (0, artifact(&first)), "{rebuilt}");
    assert!(bed.image(&rebuilt) == kept, "two builds of the same source differ");

    two_at_once(&bed);
    full_while_making(&mut bed);
    bed.declare("]");
    let (code, last) = bed.run();
    assert_eq!((code, artifact(&last)), (0, artifact(&first)));
    assert!(bed.image(&last) == kept, "the artifact is not what it was");
}

fn nothing_changed(bed: &Bed, first: &str) {
    let before = bed.logged();
    let (code, again) = bed.run();
    assert_eq!((code, artifact(&again)), (0, artifact(first)));
    assert!(!again.contains("building") && bed.logged() == before, "{again}");

    // Nor is anything built for a change of what no build reads; and that is said.
    bed.patch("driver.patch", &added(DRIVER, "/* nobody reads this */"));
    let (code, other) = bed.run();
    assert_eq!((code, artifact(&other)), (0, artifact(first)));
    assert!(
        other.contains("nothing to build: 1 file differs between linux-source-6.1 6.1.192-2 and"),
        "{other}"
    );
}

fn wrong_input(bed: &Bed) {
    // A patch for another source.
    bed.patch("elsewhere.patch", &added((CTYPE.0, "no such line"), "int elsewhere;"));
    let (code, elsewhere) = bed.run();
    assert_eq!(code, 65, "{elsewhere}");
    assert!(
        elsewhere.contains("elsewhere.patch does not apply to linux-source-6.1 6.1.192-2")
            && elsewhere.contains("lib/ctype.c:1"),
        "{elsewhere}"
    );

    // The compiler's own words, with file and line; the log has the rest.
    bed.patch("broken.patch", &added(CTYPE, "int broken(void) { return }"));
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
        fs::read_to_string(bed.inside(log))
            .expect("the log")
            .contains("lib/ctype.c:1:27: error")
    );

    // Kconfig's words, likewise.
    bed.patch("kconfig.patch", &added(KCONFIG, "confgi LIBRARY"));
    let (code, misspelt) = bed.run();
    assert_eq!(code, 74, "{misspelt}");
    assert!(
        misspelt.contains("failed:\nlib/Kconfig:2: syntax error\nlib/Kconfig:1: unknown statement \"confgi\""),
        "{misspelt}"
    );

    // An option that there is not, and one whose dependencies are not set.
    bed.file("more.config", "CONFIG_NO_SUCH_OPTION=y\nCONFIG_BTRFS_FS=y\n");
    bed.declare(", \"./more.config\"]");
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
}

/// SIGKILL in the middle of many objects; what make started goes on by itself, and the next run waits for that.
fn killed(bed: &Bed) {
    bed.patch("pagemap.patch", &added(PAGEMAP, "/* read by many */"));
    bed.forget_log();
    let mut child = bed
        .build()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bioscope runs");
    bed.until_made(20);
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    let (code, resumed) = bed.run();
    assert_eq!(code, 0, "{resumed}");
    assert!(resumed.contains("building tiny"), "{resumed}");
}

/// One builds, the other waits and takes what was built.
fn two_at_once(bed: &Bed) {
    bed.patch("two.patch", &added(CTYPE, "/* two at once */"));
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

/// An object that is larger than what is left of the disk.
fn full_while_making(bed: &mut Bed) {
    bed.leave("16m");
    bed.patch("large.patch", &added(CTYPE, "char bioscope_large[32 << 20] = { 1 };"));
    let (code, full) = bed.run();
    assert_eq!(code, 73, "{full}");
    assert!(
        full.contains("building tiny") && full.contains("no space left on the disk"),
        "{full}"
    );
    bed.resize("6g");
    let (code, text) = bed.run();
    assert_eq!(code, 0, "{text}");
}
