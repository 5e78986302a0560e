#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::*;

/// A bzImage by its header, of this release.
fn bz_image(release: &str) -> Vec<u8> {
    let mut image = vec![0; 3 * 512];
    image[0x1f1] = 2;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
    image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
    image[0x300..0x300 + release.len()].copy_from_slice(release.as_bytes());
    image
}

/// What a package left: a kernel in `boot`.
fn package(dir: &Path, release: &str) -> PathBuf {
    let tree = dir.join("made/tree");
    fs::create_dir_all(tree.join("boot")).unwrap();
    fs::write(tree.join("boot/vmlinuz-6.1.9"), bz_image(release)).unwrap();
    tree
}

#[test]
fn links_of_a_package_lead_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let tree = package(dir.path(), "6.1.9 (a@b)");
    // Modules of the host's, which are moved, and a kernel of somebody else's, which is read.
    let host = dir.path().join("host/lib/modules/6.1.9");
    fs::create_dir_all(host.join("kernel")).unwrap();
    fs::write(host.join("kernel/a.ko"), "module").unwrap();
    fs::write(dir.path().join("host/vmlinuz"), "secret").unwrap();
    symlink(dir.path().join("host/lib"), tree.join("lib")).unwrap();
    symlink("../../../host/vmlinuz", tree.join("boot/vmlinuz")).unwrap();
    let made = dir.path().join("made");
    let description = installed(&tree, "a.pkg.tar", &made).unwrap();
    assert_eq!(
        (description.release.as_str(), description.modules_root),
        ("6.1.9", None)
    );
    assert_eq!(fs::read_to_string(host.join("kernel/a.ko")).unwrap(), "module");
    assert!(!made.join("lib").exists());
}

#[test]
fn what_is_no_file_of_a_package_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let tree = package(dir.path(), "6.1.9");
    let fifo = tree.join("boot/vmlinuz-0");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::create_dir(tree.join("dark")).unwrap();
    fs::set_permissions(tree.join("dark"), fs::Permissions::from_mode(0o000)).unwrap();
    // Within the package a link is as good as a file: /lib is one on many systems.
    symlink("vmlinuz-6.1.9", tree.join("boot/vmlinuz")).unwrap();
    let made = dir.path().join("made");
    assert_eq!(installed(&tree, "a.pkg.tar", &made).unwrap().release, "6.1.9");
    assert!(made.join(BZIMAGE).is_file() && !tree.exists());
}

#[test]
fn a_release_leads_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    fs::create_dir_all(host.join("kernel")).unwrap();
    fs::write(host.join("kernel/a.ko"), "module").unwrap();
    let (file, made) = (dir.path().join("bzImage"), dir.path().join("made"));
    fs::create_dir(&made).unwrap();
    let place = host.display().to_string();
    for release in [place.as_str(), "../host", "..", "-A", "6.1\u{1}9", &"6".repeat(65)] {
        fs::write(&file, bz_image(release)).unwrap();
        let error = image(&file, Some(dir.path()), &made).unwrap_err();
        assert!(
            error.to_string().contains("cannot name a directory of modules"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(host.join("kernel/a.ko")).unwrap(), "module");
    }
    for release in ["6.1.0-50-cloud-amd64", "6.12.0-rc3+", "5.4.286_x:y~1"] {
        assert!(is_name(release), "{release}");
    }
}

#[test]
fn only_a_regular_file_of_a_kernels_size_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (fifo, disk) = (dir.path().join("fifo"), dir.path().join("disk.img"));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::File::create(&disk).unwrap().set_len(20 << 30).unwrap();
    for path in [fifo.as_path(), dir.path(), Path::new("/dev/zero")] {
        let error = check_image(path).unwrap_err();
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(why, "it is no regular file", "{error}");
    }
    let error = check_image(&disk).unwrap_err().to_string();
    assert!(
        error.contains("disk.img is no kernel: it is larger than a kernel (20 GiB), like a disk"),
        "{error}"
    );
    assert_eq!(check_file(&disk).unwrap(), 20 << 30);
}

#[test]
fn a_kernel_that_is_there_twice_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let tree = package(dir.path(), "6.1.9");
    let beside = tree.join("usr/lib/modules/6.1.9");
    fs::create_dir_all(&beside).unwrap();
    fs::write(beside.join("vmlinuz"), bz_image("6.1.10")).unwrap();
    let error = only_image(&tree, "a.rpm").unwrap_err().to_string();
    assert!(
        error.contains("several kernel images in a.rpm: boot/vmlinuz-6.1.9, usr/lib/modules/6.1.9/vmlinuz"),
        "{error}"
    );
    fs::write(beside.join("vmlinuz"), bz_image("6.1.9")).unwrap();
    assert_eq!(only_image(&tree, "a.rpm").unwrap(), tree.join("boot/vmlinuz-6.1.9"));
}

#[test]
fn links_among_modules_lead_nowhere_else_where_they_are_moved_to() {
    let dir = tempfile::tempdir().unwrap();
    let tree = package(dir.path(), "6.1.9");
    let modules = tree.join("usr/lib/modules/6.1.9/kernel");
    fs::create_dir_all(&modules).unwrap();
    fs::write(modules.join("a.ko"), "module").unwrap();
    // What it writes decompressed would go through the other link.
    for (link, to) in [("b.ko", "victim"), ("same.ko", "usr/lib/modules/6.1.9/kernel/a.ko")] {
        fs::write(tree.join("victim"), "inside").unwrap();
        symlink(format!("../../../../../{to}"), modules.join(link)).unwrap();
    }
    fs::write(dir.path().join("victim"), "outside").unwrap();
    let made = dir.path().join("made");
    installed(&tree, "a.rpm", &made).unwrap();
    let kept = made.join("lib/modules/6.1.9/kernel");
    assert!(kept.join("a.ko").is_file());
    assert!(fs::symlink_metadata(kept.join("b.ko")).is_err());
}

#[test]
fn modules_in_two_places_are_put_together() {
    let dir = tempfile::tempdir().unwrap();
    let tree = package(dir.path(), "6.1.9");
    for (path, text) in [
        ("lib/modules/6.1.9/kernel/fs/a.ko", "first"),
        ("usr/lib/modules/6.1.9/kernel/fs/a.ko", "second"),
        ("usr/lib/modules/6.1.9/kernel/drivers/b.ko", "module"),
        ("usr/lib/modules/6.1.9/modules.builtin", ""),
        ("usr/lib/modules/6.1.9/config", "CONFIG_A=y"),
    ] {
        fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
        fs::write(tree.join(path), text).unwrap();
    }
    symlink("../usr/lib/modules/6.1.9/config", tree.join("boot/config-6.1.9")).unwrap();
    let made = dir.path().join("made");
    assert!(installed(&tree, "a.rpm, b.rpm", &made).unwrap().modules_root.is_some());
    let kept = made.join("lib/modules/6.1.9");
    assert_eq!(fs::read_to_string(kept.join("kernel/fs/a.ko")).unwrap(), "first");
    assert!(kept.join("kernel/drivers/b.ko").is_file() && kept.join("modules.builtin").is_file());
    assert_eq!(fs::read_to_string(made.join("config")).unwrap(), "CONFIG_A=y");
}

#[test]
fn a_link_to_the_modules_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let tree = package(dir.path(), "6.1.9");
    fs::create_dir_all(tree.join("usr/lib/modules/6.1.9/kernel")).unwrap();
    fs::create_dir_all(tree.join("lib/modules")).unwrap();
    symlink("../../usr/lib/modules/6.1.9", tree.join("lib/modules/6.1.9")).unwrap();
    let made = dir.path().join("made");
    installed(&tree, "a.rpm", &made).unwrap();
    assert!(fs::symlink_metadata(made.join("lib/modules/6.1.9")).unwrap().is_dir());
}

#[test]
fn modules_of_another_kernel_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tree = package(dir.path(), "6.1.9");
    fs::create_dir_all(tree.join("lib/modules/6.1.10/kernel")).unwrap();
    let error = installed(&tree, "a.rpm, b.rpm", &dir.path().join("made")).unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("a.rpm, b.rpm holds no modules of 6.1.9: it has those of 6.1.10"),
        "{said}"
    );
}

#[test]
fn modules_of_another_kernel_beside_its_own_are_refused() {
    for other in ["kernel/fs/btrfs.ko.zst", "extra/a.ko"] {
        let dir = tempfile::tempdir().unwrap();
        let tree = package(dir.path(), "6.1.9");
        fs::create_dir_all(tree.join("lib/modules/6.1.9/kernel")).unwrap();
        // Another name of its own, and a directory without modules.
        symlink("6.1.9", tree.join("lib/modules/now")).unwrap();
        fs::create_dir_all(tree.join("lib/modules/6.1.8/build")).unwrap();
        let module = tree.join("usr/lib/modules/6.1.10").join(other);
        fs::create_dir_all(module.parent().unwrap()).unwrap();
        fs::write(&module, "module").unwrap();
        let error = installed(&tree, "a.rpm, b.rpm", &dir.path().join("made")).unwrap_err();
        assert_eq!(exit::ExitError::exit(&error).code(), 66);
        let said = error.to_string();
        assert!(
            said.starts_with("a.rpm, b.rpm: modules of 6.1.10 are there, which 6.1.9 does not load"),
            "{said}"
        );
    }
}

#[test]
fn a_link_to_a_compressed_module_leads_to_what_that_becomes() {
    let dir = tempfile::tempdir().unwrap();
    let tree = package(dir.path(), "6.1.9");
    let folder = tree.join("lib/modules/6.1.9/kernel");
    fs::create_dir_all(&folder).unwrap();
    // All in one name, so that whoever comes first would take it away from the others.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, b"module").unwrap();
    fs::write(folder.join("a.ko.gz"), packed.finish().unwrap()).unwrap();
    for link in ["b", "c", "d"] {
        symlink("a.ko.gz", folder.join(format!("{link}.ko.gz"))).unwrap();
    }
    let made = dir.path().join("made");
    installed(&tree, "a.rpm", &made).unwrap();
    for name in ["a", "b", "c", "d"] {
        let module = made.join(format!("lib/modules/6.1.9/kernel/{name}.ko"));
        assert_eq!(fs::read_to_string(module).unwrap(), "module");
    }
}

#[test]
fn an_image_in_a_package_is_not_read_if_it_is_as_large_as_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    let tree = package(dir.path(), "6.1.9");
    fs::create_dir(tree.join("boot/vmlinuz-folder")).unwrap();
    let image = fs::File::options().append(true).open(tree.join("boot/vmlinuz-6.1.9"));
    image.unwrap().set_len(1 << 40).unwrap();
    let error = installed(&tree, "a.rpm", &dir.path().join("made"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("boot/vmlinuz-6.1.9 of a.rpm is no kernel: it is larger than a kernel (1024 GiB)"),
        "{error}"
    );
}

#[test]
fn a_kernel_that_lacks_its_modules_is_told_how_they_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let tree = package(dir.path(), "6.1.9");
    // An ELF with a way in, which has no driver of the disk.
    let mut elf = vec![0; 64 + 56];
    elf[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    elf[16..21].copy_from_slice(&[2, 0, 62, 0, 1]);
    for (at, value) in [(32, 64_u64), (72, 120), (96, 20), (112, 4)] {
        elf[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    elf[52..58].copy_from_slice(&[64, 0, 56, 0, 1, 0]);
    elf[64] = 4;
    for word in [4_u32, 4, 18] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(b"Xen\0\x01\x02\x03\x04Linux version 6.1.9 (gcc)");
    fs::write(tree.join("boot/vmlinuz-6.1.9"), &elf).unwrap();
    let (file, made) = (dir.path().join("vmlinux"), dir.path().join("made"));
    fs::write(&file, &elf).unwrap();
    let of_package = installed(&tree, "a.deb", &made).unwrap_err().to_string();
    assert!(
        of_package.contains("6.1.9: name the package of its modules as well (`--modules FILE`"),
        "{of_package}"
    );
    let of_image = image(&file, None, &made).unwrap_err().to_string();
    assert!(
        of_image.contains("`--modules /lib/modules/6.1.9`, or build it with CONFIG_VIRTIO_BLK=y"),
        "{of_image}"
    );
}
