//! A guest whose clock does not run like the host's is neither kept nor given anything to do.

use std::path::PathBuf;

use guest_wire::Fs;
use host::cache::Cache;
use host::places::Places;
use host::scratch;

use machine::provision::{self, MachineRequest, NoMachine, ProvisionedMachine};
use machine::snapshot::SnapshotConfig;
use machine::{Accel, DiskShape, Outage, golden};

use crate::bed::{find, stored_kernel};

/// Provides a machine with these options on its kernel's command line; how many guests are kept then, too.
fn provide(options: &str) -> (Result<ProvisionedMachine, NoMachine>, usize) {
    let places = Places::find();
    let dir = scratch::make().expect("a directory");
    let kernel = stored_kernel(&places);
    let image = golden::image(Fs::Btrfs, &Cache::at(dir.path().join("cache"))).expect("an image");
    let program: PathBuf = places.guest_bins.join("rw-verify");
    let programs = [program.clone()];
    let kept = dir.path().join("kept");
    let snapshots = SnapshotConfig::new(kept.clone(), &places.guest_bins, &programs, "any").expect("a place");
    let provided = provision::machine(&MachineRequest {
        vhost_blk: &places.vhost_blk,
        guest_bins: &places.guest_bins,
        accel: Accel::Tcg,
        snapshots: Some(&snapshots),
        programs: &programs,
        suffix: "",
        kernel: &kernel,
        fs: Fs::Btrfs,
        image: &image,
        disk: DiskShape::ORDINARY,
        program: &program,
        options,
        dir: dir.path(),
        scratch: dir.path(),
    });
    (provided, find(&kept, "memory").len())
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_guest_whose_clock_is_wrong_is_not_kept() {
    // What a kernel took for the frequency of a counter of 2.6 GHz when it had measured that on a busy host.
    let (provided, kept) = provide(" tsc_early_khz=228880");
    let outage = provided.err().map(|none| none.outage);
    assert!(
        matches!(outage, Some(Outage::WrongClock { percent }) if percent > 300),
        "{outage:?}"
    );
    assert_eq!(kept, 0);
    let (provided, kept) = provide("");
    assert!(provided.is_ok_and(|provided| provided.restored));
    assert_eq!(kept, 1);
}
