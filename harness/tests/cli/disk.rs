//! What a person sees whose cache cannot be written: real file systems that are full or read-only, mounted in a mount
//! namespace of the test's own.

use kernels::fetch::sha256;

use super::archive::{Archive, Bytes};
use super::clone;
use super::namespace::{self, Namespace};
use super::place::Place;

/// What a command shows whose cache is a small disk.
struct Shown {
    /// What it said.
    first: String,
    /// What it left in the cache but for locks and apt's own.
    left: String,
    /// What it said when it was run once more, with room.
    again: String,
}

/// Runs the command with a tmpfs of these mount options as the cache, and again when that is large and writable. None
/// if this machine does not let us mount.
fn on_tmpfs(place: &Place, options: &str, args: &[&str]) -> Option<Shown> {
    let mut command = namespace::enter(Namespace::Mount)?;
    place.prepare(&mut command);
    let script = r#"
        mkdir "$BIOSCOPE_CACHE" && mount -t tmpfs -o "$1" none "$BIOSCOPE_CACHE" || exit
        shift
        run() { "$@"; echo "exit code $?"; }
        run "$@" >first 2>&1
        (cd "$BIOSCOPE_CACHE"; find . -type f -o -name '.?*') | grep -v -e '^./locks/' -e '^./apt/' -e '/\.lock$' >left
        # With both source and place named, mount does not add options of its own, which a user namespace would refuse.
        mount -t tmpfs -o remount,rw,size=200m,nr_inodes=10000 none "$BIOSCOPE_CACHE" || exit
        run "$@" >again 2>&1
    "#;
    command
        .args(["sh", "-c", script, "sh", options])
        .arg(clone::bioscope())
        .args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(Shown {
        first: place.checked(&place.read("first")),
        left: place.plain(&place.read("left")),
        again: place.checked(&place.read("again")),
    })
}

const UPDATE: [&str; 3] = ["update", "--manifest", "kernels.toml"];
const TEST: [&str; 3] = ["test", "--manifest", "kernels.toml"];
const PINNED: &str = "fetching the index of bookworm\ndebian-6.1.176: not pinned -> 6.1.176-1\nexit code 0\n";

/// A place with an archive of one package.
fn place(bytes: Bytes) -> Option<(Place, Archive)> {
    let place = Place::new();
    let mut archive = Archive::new(&place)?;
    let deb = archive.add("linux-image-a", "6.1.176-1", bytes);
    place.hide(&sha256(&deb).unwrap(), "SUM");
    Some((place, archive))
}

#[test]
fn a_cache_that_cannot_be_made_is_named() {
    let place = Place::new();
    // Permissions do not hold root up; a file where a directory should be does.
    place.file("cache", "");
    insta::assert_snapshot!(place.test(&["--offline"]), @r#"
    error: cannot create DIR/cache/locks; if the cache cannot be there, set BIOSCOPE_CACHE to a directory of your own
      caused by: Not a directory (os error 20)
    exit code 73
    "#);
    insta::assert_snapshot!(place.update(), @r#"
    error: cannot create DIR/cache/locks; if the cache cannot be there, set BIOSCOPE_CACHE to a directory of your own
      caused by: Not a directory (os error 20)
    exit code 73
    "#);
}

#[test]
fn a_cache_that_has_no_place_is_said_so() {
    let place = Place::new();
    let mut command = place.command(&UPDATE);
    for name in ["BIOSCOPE_CACHE", "XDG_CACHE_HOME", "HOME"] {
        command.env_remove(name);
    }
    insta::assert_snapshot!(place.shown(command.output().unwrap()), @"
    error: no place for the cache: none of BIOSCOPE_CACHE, XDG_CACHE_HOME and HOME is an absolute path; set \
    BIOSCOPE_CACHE
    exit code 73
    ");
}

#[test]
fn a_cache_on_a_read_only_file_system_is_named() {
    let Some((place, _archive)) = place(Bytes::Zeros(0)) else {
        return;
    };
    let Some(shown) = on_tmpfs(&place, "ro", &UPDATE) else {
        return;
    };
    insta::assert_snapshot!(shown.first, @r#"
    error: cannot create DIR/cache/locks; if the cache cannot be there, set BIOSCOPE_CACHE to a directory of your own
      caused by: Read-only file system (os error 30)
    exit code 73
    "#);
    assert_eq!(shown.again, PINNED);
}

#[test]
fn a_disk_too_full_for_a_folder_or_a_file_is_said_so() {
    let Some((place, _archive)) = place(Bytes::Zeros(0)) else {
        return;
    };
    let Some(shown) = on_tmpfs(&place, "nr_inodes=4", &UPDATE) else {
        return;
    };
    insta::assert_snapshot!(shown.first, @"
    error: no space left on the disk of DIR/cache/apt/bookworm; free some, or set BIOSCOPE_CACHE to a directory on \
    another disk
    exit code 73
    ");
    assert_eq!((shown.left.as_str(), shown.again.as_str()), ("", PINNED));
}

#[test]
fn a_disk_too_full_for_a_few_bytes_is_said_so() {
    let Some((place, _archive)) = place(Bytes::Zeros(0)) else {
        return;
    };
    let Some(shown) = on_tmpfs(&place, "size=4k", &UPDATE) else {
        return;
    };
    insta::assert_snapshot!(shown.first, @"
    error: no space left on the disk of DIR/cache/apt/bookworm/sources.list; free some, or set BIOSCOPE_CACHE to a \
    directory on another disk
    exit code 73
    ");
    assert_eq!((shown.left.as_str(), shown.again.as_str()), ("", PINNED));
}

#[test]
fn a_disk_too_full_for_the_index_is_said_so() {
    let Some((place, mut archive)) = place(Bytes::Zeros(0)) else {
        return;
    };
    archive.pad(1 << 20);
    let Some(shown) = on_tmpfs(&place, "size=256k", &UPDATE) else {
        return;
    };
    insta::assert_snapshot!(shown.first, @"
    fetching the index of bookworm
    error: no space left on the disk for `apt-get` (E: Failed to fetch \
    http://ADDRESS/dists/bookworm/main/binary-amd64/Packages  Error writing to file - write (28: No space left on \
    device) [IP: 127.0.0.1 PORT]); free some, or set BIOSCOPE_CACHE to a directory on another disk
    exit code 73
    ");
    assert_eq!((shown.left.as_str(), shown.again.as_str()), ("", PINNED));
}

#[test]
fn a_disk_too_full_for_a_package_is_said_so() {
    let Some((place, _archive)) = place(Bytes::Noise(4 << 20)) else {
        return;
    };
    let Some(shown) = on_tmpfs(&place, "size=2m", &TEST) else {
        return;
    };
    insta::assert_snapshot!(shown.first, @"
    fetching the index of bookworm
    downloading linux-image-a 6.1.176-1
    error: no space left on the disk for `apt-get` (E: Failed to fetch \
    http://ADDRESS/pool/linux-image-a_6.1.176-1_amd64.deb  Error writing to file - write (28: No space left on \
    device) [IP: 127.0.0.1 PORT]); free some, or set BIOSCOPE_CACHE to a directory on another disk
    exit code 73
    ");
    assert_eq!(shown.left, "");
    insta::assert_snapshot!(shown.again, @r#"
    downloading linux-image-a 6.1.176-1
    unpacking debian-6.1.176 (6.1.176-1)
    error: no kernel image in linux-image-a: neither boot/vmlinuz-* nor usr/lib/modules/*/vmlinuz; a package that only names others has none
    exit code 66
    "#);
}

#[test]
fn a_disk_too_full_for_what_is_in_a_package_is_said_so() {
    let Some((place, _archive)) = place(Bytes::Zeros(64 << 20)) else {
        return;
    };
    let Some(shown) = on_tmpfs(&place, "size=8m", &TEST) else {
        return;
    };
    // How much of the last block was written is tar's own affair.
    let words = shown.first.split(['(', ')']).find(|words| words.starts_with("tar:"));
    let words = words.expect("tar's words");
    insta::assert_snapshot!(shown.first.replace(words, "TAR'S WORDS"), @"
    fetching the index of bookworm
    downloading linux-image-a 6.1.176-1
    unpacking debian-6.1.176 (6.1.176-1)
    error: no space left on the disk for `dpkg-deb` (TAR'S WORDS); free some, or set BIOSCOPE_CACHE to a directory on \
    another disk
    exit code 73
    ");
    // The package is whole, and is not fetched again.
    insta::assert_snapshot!(shown.left, @r#"./debs/SUM.deb"#);
    insta::assert_snapshot!(shown.again, @r#"
    unpacking debian-6.1.176 (6.1.176-1)
    error: no kernel image in linux-image-a: neither boot/vmlinuz-* nor usr/lib/modules/*/vmlinuz; a package that only names others has none
    exit code 66
    "#);
}

#[test]
fn a_disk_too_full_for_what_is_in_a_package_file_is_said_so() {
    if host::tool::find("bsdtar").is_none() {
        namespace::skipped("there is no bsdtar, so no package can be made");
        return;
    }
    let place = Place::new();
    let boot = place.dir().join("tree/boot");
    std::fs::create_dir_all(&boot).unwrap();
    // Without holes, which nothing would be written of.
    std::fs::write(boot.join("zeros"), vec![b'0'; 64 << 20]).unwrap();
    let mut command = std::process::Command::new("bsdtar");
    command.args(["--zstd", "-cf", "linux.pkg.tar.zst", "-C", "tree", "boot"]);
    assert!(command.current_dir(place.dir()).status().unwrap().success());
    let image = [
        "test",
        "--image",
        "linux.pkg.tar.zst",
        "--offline",
        "--fs",
        "btrfs",
        "--case",
        "overlap",
    ];
    let Some(shown) = on_tmpfs(&place, "size=8m", &image) else {
        return;
    };
    let full = "no space left on the disk";
    assert!(
        shown.first.contains(full) && shown.first.ends_with("exit code 73\n"),
        "{}",
        shown.first
    );
    assert_eq!(shown.left, "");
    assert!(
        shown.again.contains("no kernel image in linux.pkg.tar.zst"),
        "{}",
        shown.again
    );
}
