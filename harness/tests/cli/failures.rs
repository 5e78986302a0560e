//! What a person sees whose archive, network, lock or host does not serve.

use std::net::TcpListener;

use kernels::lock::Lock;

use super::archive::{Archive, Bytes, damage, point_at};
use super::clone;
use super::namespace::{self, Namespace};
use super::place::{MANIFEST, Place};

const PACKAGE: &str = "linux-image-a";
const SMALL: Bytes = Bytes::Zeros(1 << 16);

/// A place whose lock pins the one package of its archive.
fn pinned() -> Option<(Place, Archive, String)> {
    let place = Place::new();
    let mut archive = Archive::new(&place)?;
    archive.add(PACKAGE, "6.1.176-1", SMALL);
    assert!(place.update().ends_with("exit code 0"));
    let lock = Lock::load(&place.dir().join("kernels.lock")).unwrap();
    let sum = lock.get("debian-6.1.176").unwrap().debs[0].sha256.clone();
    place.hide(&sum, "SUM");
    Some((place, archive, sum))
}

#[test]
fn what_the_archive_has_is_pinned_fetched_and_unpacked() {
    let place = Place::new();
    let Some(mut archive) = Archive::new(&place) else {
        return;
    };
    archive.add(PACKAGE, "6.1.176-1", SMALL);
    insta::assert_snapshot!(place.update(), @r#"
    debian-6.1.176: not pinned -> 6.1.176-1
    fetching the index of bookworm
    exit code 0
    "#);
    assert_eq!(place.kept(), [""; 0]);
    insta::assert_snapshot!(place.update(), @r#"
    kernels.lock is up to date
    fetching the index of bookworm
    exit code 0
    "#);
    // What the other tests here never get to: a package of the archive as it comes. It holds no kernel, and that is
    // said.
    insta::assert_snapshot!(place.test(&[]), @r#"
    downloading linux-image-a 6.1.176-1
    unpacking debian-6.1.176 (6.1.176-1)
    error: no kernel image in linux-image-a: neither boot/vmlinuz-* nor usr/lib/modules/*/vmlinuz; a package that only names others has none
    exit code 66
    "#);
    assert_eq!(place.kept().len(), 1);
}

#[test]
fn a_pin_with_another_sum_than_the_archives_is_refused_before_the_download() {
    let Some((place, _archive, sum)) = pinned() else { return };
    let zeros = "0".repeat(64);
    place.file("kernels.lock", &place.read("kernels.lock").replace(&sum, &zeros));
    insta::assert_snapshot!(place.test(&[]), @"
    error: linux-image-a 6.1.176-1 does not match kernels.lock: pinned sha256 \
    0000000000000000000000000000000000000000000000000000000000000000, the archive has SUM; if kernels.lock was edited \
    undo that, else ask why the archive's file changed before `cargo xtask update debian-6.1.176` takes it
    exit code 67
    ");
    assert_eq!(place.kept(), [""; 0]);
}

#[test]
fn a_package_that_is_not_what_the_signed_index_says_is_refused() {
    let Some((place, mut archive, _)) = pinned() else {
        return;
    };
    let deb = archive.add(PACKAGE, "6.1.177-1", SMALL);
    let pool = deb.parent().unwrap();
    let ours = pool.join("linux-image-a_6.1.176-1_amd64.deb");
    damage(&ours);
    insta::assert_snapshot!(place.test(&[]), @"
    downloading linux-image-a 6.1.176-1
    error: the archive's data for linux-image-a 6.1.176-1 does not verify: Failed to fetch \
    http://ADDRESS/pool/linux-image-a_6.1.176-1_amd64.deb  Hash Sum mismatch; nothing of it was kept; try again \
    later, or with another mirror: one that is being updated and a proxy that alters files look like this, too
    exit code 67
    ");
    assert_eq!(place.kept(), [""; 0]);
    // One of another length is told by that alone, in other words.
    place.hide(&format!("!= {}", ours.metadata().unwrap().len()), "!= SIZE");
    std::fs::write(&ours, "short").unwrap();
    insta::assert_snapshot!(place.test(&[]), @"
    downloading linux-image-a 6.1.176-1
    error: the archive's data for linux-image-a 6.1.176-1 does not verify: Failed to fetch \
    http://ADDRESS/pool/linux-image-a_6.1.176-1_amd64.deb  File has unexpected size (5 != SIZE). Mirror sync in \
    progress? [IP: 127.0.0.1 PORT]; nothing of it was kept; try again later, or with another mirror: one that is \
    being updated and a proxy that alters files look like this, too
    exit code 67
    ");
    assert_eq!(place.kept(), [""; 0]);
}

#[test]
fn a_damaged_package_in_the_cache_is_fetched_again() {
    let Some((place, _archive, sum)) = pinned() else { return };
    let first = place.test(&[]);
    let deb = place.cache().join(format!("debs/{sum}.deb"));
    damage(&deb);
    insta::assert_snapshot!(place.test(&["--offline"]), @"
    removed a damaged linux-image-a 6.1.176-1 from the cache
    error: linux-image-a 6.1.176-1 of kernel debian-6.1.176 is not cached and --offline forbids the network; run once \
    without --offline
    exit code 68
    ");
    assert_eq!(place.kept(), [""; 0]);
    assert_eq!(place.test(&[]), first);
    assert_eq!(place.kept(), ["debs/SUM.deb"]);
}

#[test]
fn an_index_that_is_not_signed_by_the_archives_key_is_refused() {
    let place = Place::new();
    let Some(mut archive) = Archive::new(&place) else {
        return;
    };
    archive.add(PACKAGE, "6.1.176-1", SMALL);
    let release = std::fs::read_to_string(archive.release()).unwrap();
    std::fs::write(
        archive.release(),
        release.replace("Components: main", "Components: mine"),
    )
    .unwrap();
    insta::assert_snapshot!(place.update(), @"
    fetching the index of bookworm
    error: the archive's data for the index of bookworm does not verify: The following signatures were invalid: \
    BADSIG KEY archive@example.invalid; nothing of it was kept; try again later, or with another mirror: one that is \
    being updated and a proxy that alters files look like this, too
    exit code 67
    ");
    assert_eq!(place.kept(), [""; 0]);
    // The damage mended, the same cache serves.
    std::fs::write(archive.release(), release).unwrap();
    assert!(place.update().ends_with("exit code 0"));
}

#[test]
fn offline_what_is_not_cached_is_named() {
    let place = Place::new();
    insta::assert_snapshot!(place.test(&["--offline"]), @r#"
    error: the index of bookworm is not cached and --offline forbids the network; run once without --offline
    exit code 68
    "#);
    assert_eq!(place.kept(), [""; 0]);
    assert!(!place.dir().join("kernels.lock").exists());
    // A kernel that is pinned needs its packages, not the index.
    place.file(
        "kernels.lock",
        &format!(
            "version = 1\n[[kernel]]\nid = \"debian-6.1.176\"\nsuite = \"bookworm\"\npackage = [\"{PACKAGE}\"]\n\
            version = \"6.1.176-1\"\n\
             [[kernel.deb]]\nname = \"{PACKAGE}\"\nversion = \"6.1.176-1\"\nsha256 = \"{}\"\nsize = 1\n",
            "0".repeat(64)
        ),
    );
    insta::assert_snapshot!(place.test(&["--offline"]), @"
    error: linux-image-a 6.1.176-1 of kernel debian-6.1.176 is not cached and --offline forbids the network; run once \
    without --offline
    exit code 68
    ");
    assert_eq!(place.kept(), [""; 0]);
}

#[test]
fn an_archive_that_cannot_be_reached_is_named() {
    let place = Place::new();
    // A port of this machine that was free a moment ago: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    point_at(&place, address);
    insta::assert_snapshot!(place.update(), @"
    fetching the index of bookworm
    error: cannot reach the archive for the index of bookworm: Could not connect to ADDRESS (127.0.0.1). - connect \
    (111: Connection refused); check the network and any proxy in apt's configuration
    exit code 68
    ");
    insta::assert_snapshot!(place.test(&[]), @"
    fetching the index of bookworm
    error: cannot reach the archive for the index of bookworm: Could not connect to ADDRESS (127.0.0.1). - connect \
    (111: Connection refused); check the network and any proxy in apt's configuration
    exit code 68
    ");
    assert_eq!(place.kept(), [""; 0]);
    assert!(!place.dir().join("kernels.lock").exists());
}

#[test]
fn a_host_without_any_network_is_told_to_check_it() {
    let Some(mut command) = namespace::enter(Namespace::Net) else {
        return;
    };
    let place = Place::new();
    place.file("sources.list", "deb http://mirror.invalid/debian bookworm main\n");
    place.prepare(&mut command);
    command
        .arg(clone::bioscope())
        .args(["update", "--manifest", "kernels.toml"]);
    insta::assert_snapshot!(place.shown(command.output().unwrap()), @"
    fetching the index of bookworm
    error: cannot reach the archive for the index of bookworm: Temporary failure resolving 'mirror.invalid'; check \
    the network and any proxy in apt's configuration
    exit code 68
    ");
    assert_eq!(place.kept(), [""; 0]);
}

#[test]
fn an_archive_that_went_away_after_its_index_came_is_named() {
    let Some((place, archive, _)) = pinned() else { return };
    drop(archive);
    insta::assert_snapshot!(place.test(&[]), @"
    downloading linux-image-a 6.1.176-1
    error: cannot reach the archive for linux-image-a 6.1.176-1: Failed to fetch \
    http://ADDRESS/pool/linux-image-a_6.1.176-1_amd64.deb  Could not connect to ADDRESS (127.0.0.1). - connect (111: \
    Connection refused); check the network and any proxy in apt's configuration
    exit code 68
    ");
    assert_eq!(place.kept(), [""; 0]);
}

#[test]
fn a_version_that_the_archive_dropped_is_answered_with_what_it_holds() {
    let Some((place, mut archive, _)) = pinned() else {
        return;
    };
    archive.add(PACKAGE, "6.1.180-1", SMALL);
    archive.add(PACKAGE, "6.1.185-2", SMALL);
    archive.remove(PACKAGE, "6.1.176-1");
    insta::assert_snapshot!(place.test(&[]), @"
    downloading linux-image-a 6.1.176-1
    fetching the index of bookworm
    error: bookworm does not hold linux-image-a 6.1.176-1; it holds 6.1.180-1, 6.1.185-2; put one of these \
    (or \"latest\") into kernels.toml, then `cargo xtask update debian-6.1.176`
    exit code 66
    ");
    insta::assert_snapshot!(place.update(), @"
    fetching the index of bookworm
    error: bookworm does not hold linux-image-a 6.1.176-1; it holds 6.1.180-1, 6.1.185-2; put one of these \
    (or \"latest\") into kernels.toml, then `cargo xtask update debian-6.1.176`
    exit code 66
    ");
    assert_eq!(place.kept(), [""; 0]);
    // What the message says to do helps.
    place.file("kernels.toml", &MANIFEST.replace("6.1.176-1", "latest"));
    insta::assert_snapshot!(place.test(&[]), @"
    fetching the index of bookworm
    error: bookworm does not hold linux-image-a 6.1.176-1; it holds 6.1.180-1, 6.1.185-2; `cargo xtask update \
    debian-6.1.176` takes it
    exit code 66
    ");
    insta::assert_snapshot!(place.run(&["update", "--manifest", "kernels.toml", "debian-6.1.176"]), @r#"
    debian-6.1.176: 6.1.176-1 -> 6.1.185-2
    fetching the index of bookworm
    exit code 0
    "#);
    insta::assert_snapshot!(place.test(&[]), @r#"
    downloading linux-image-a 6.1.185-2
    unpacking debian-6.1.176 (6.1.185-2)
    error: no kernel image in linux-image-a: neither boot/vmlinuz-* nor usr/lib/modules/*/vmlinuz; a package that only names others has none
    exit code 66
    "#);
}

#[test]
fn packages_and_suites_that_the_archive_does_not_have_are_named() {
    let place = Place::new();
    let Some(mut archive) = Archive::new(&place) else {
        return;
    };
    archive.add("linux-image-6.1.0-50-cloud-amd64", "6.1.176-1", SMALL);
    archive.add("linux-image-6.1.0-56-cloud-amd64", "6.1.192-2", SMALL);
    place.file(
        "kernels.toml",
        &MANIFEST.replace(PACKAGE, "linux-image-6.1.0-49-cloud-amd64"),
    );
    insta::assert_snapshot!(place.update(), @"
    fetching the index of bookworm
    error: bookworm holds no package linux-image-6.1.0-49-cloud-amd64; nearest on offer: \
    linux-image-6.1.0-50-cloud-amd64 6.1.176-1, linux-image-6.1.0-56-cloud-amd64 6.1.192-2; name one of these in \
    kernels.toml, then `cargo xtask update debian-6.1.176`
    exit code 66
    ");
    place.file("kernels.toml", &MANIFEST.replace("bookworm", "trixie"));
    insta::assert_snapshot!(place.update(), @"
    fetching the index of trixie
    error: the archive has no suite trixie: The repository 'http://ADDRESS trixie Release' does not have a Release \
    file.; name another in kernels.toml, or use a mirror that still has this one
    exit code 66
    ");
    assert_eq!(place.kept(), [""; 0]);
    assert!(!place.dir().join("kernels.lock").exists());
}

#[test]
fn a_host_whose_apt_names_no_debian_archive_is_told_what_to_add() {
    let place = Place::new();
    place.file("sources.list", "deb http://mirror.invalid/ubuntu noble main\n");
    insta::assert_snapshot!(place.update(), @"
    error: none of DIR/sources.list names a Debian archive; add one (`Types: deb`, `URIs:` of a mirror, `Suites:`, \
    `Components: main`)
    exit code 69
    ");
}

#[test]
fn a_host_without_qemu_is_told_how_to_get_it() {
    let place = Place::new();
    let tools = place.dir().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let qemu = "qemu-system-x86_64";
    for need in host::doctor::needs::ALL.iter().filter(|need| need.program != qemu) {
        if let Some(path) = host::tool::find(need.program) {
            std::os::unix::fs::symlink(path, tools.join(need.program)).unwrap();
        }
    }
    let mut command = place.command(&["test", "--manifest", "kernels.toml"]);
    let shown = place.shown(command.env("PATH", &tools).output().unwrap());
    // Only a machine with old package lists is told to renew them.
    insta::assert_snapshot!(shown.replace("apt-get update && ", ""), @"
    error: this machine lacks qemu-system-x86_64; run `apt-get install -y --no-install-recommends qemu-system-x86`, \
    or again with --yes to have that done
    exit code 69
    ");
    assert!(!place.cache().exists());
}
