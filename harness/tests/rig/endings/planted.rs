//! A mistake that is planted in a kernel of today: whether a case sees it, and where.
//!
//! That kernel is built for this test alone, so nextest's profile `rig` leaves it out; by hand:
//! `cargo nextest run --release -p harness --run-ignored only --profile rig --ignore-default-filter planted`.

use std::fs;

use exit::Exit;
use verdict::Cause;

use super::{assert_fails, run};
use crate::bed::{Rig, text};
use crate::clone;

/// Options of the ready fragments that 7.3 does not have any more.
const GONE: &[&str] = &[
    "CONFIG_CRYPTO_BLAKE2B",
    "CONFIG_CRYPTO_CRC32C",
    "CONFIG_CRYPTO_SHA256",
    "CONFIG_CRYPTO_XXHASH",
    "CONFIG_CRYPTO_CRC32C_INTEL",
    "CONFIG_PROC_SYSCTL",
    "CONFIG_MICROCODE",
];
const MANIFEST: &str = r#"
[[kernel]]
id = "lean-7.3"
suite = "trixie-backports"
source-package = "linux-source-7.3"
version = "latest"
patches = ["direct-write-warns-7.3.patch"]
config = ["tinyconfig", "./base.config", "./btrfs.config"]
fs = ["btrfs"]
"#;

#[test]
#[ignore = "builds a kernel and boots a VM; run by hand"]
fn a_warning_of_7_3_is_seen_at_its_place() {
    let (rig, root) = (Rig::new(), clone::root());
    let here = rig.dir.path();
    for part in ["base", "btrfs"] {
        let text = fs::read_to_string(root.join(format!("kernels/configs/{part}.config"))).expect("a fragment");
        let is_gone = |line: &&str| {
            GONE.iter()
                .any(|option| line.split([' ', '=']).any(|word| word == *option))
        };
        let left: Vec<&str> = text.lines().filter(|line| !is_gone(line)).collect();
        fs::write(here.join(format!("{part}.config")), left.join("\n") + "\n").expect("a fragment");
    }
    let patch = "direct-write-warns-7.3.patch";
    fs::copy(root.join("kernels/patches").join(patch), here.join(patch)).expect("the patch");
    let manifest = here.join("kernels.toml");
    fs::write(&manifest, MANIFEST).expect("kernels.toml");
    let manifest = manifest.to_string_lossy();
    let built = rig
        .bioscope(&["build", "--manifest", &manifest])
        .output()
        .expect("bioscope runs");
    assert_eq!(
        built.status.code(),
        Some(Exit::Success.code().into()),
        "{}",
        text(&built)
    );
    let ended = run(&rig, &["--manifest", &manifest, "--case", "partial-write"]);
    assert_fails(
        &ended,
        Cause::Warning,
        "btrfs_dio_submit_io",
        "WARNING: fs/btrfs/direct-io.c:",
    );
}
