//! What people give as an image: each is told what it is, and what to do, before anything boots.

use std::io::Write as _;
use std::process::Command;

use super::place::Place;

/// Tests with a file of this content; what is said.
fn told(place: &Place, name: &str, bytes: &[u8]) -> String {
    std::fs::write(place.dir().join(name), bytes).unwrap();
    place.run(&[
        "test",
        "--image",
        name,
        "--offline",
        "--fs",
        "btrfs",
        "--case",
        "overlap",
    ])
}

/// A program of this machine.
fn program() -> Vec<u8> {
    std::fs::read("/bin/true").unwrap()
}

#[test]
fn what_is_no_kernel_is_told_what_it_is() {
    let place = Place::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&program()).unwrap();
    insta::assert_snapshot!(told(&place, "vmlinux.gz", &gzip.finish().unwrap()), @"
    error: vmlinux.gz is no kernel: it is compressed by gzip; unpack it (`gunzip -k FILE`) and name what comes out, or name the bzImage of the same build
    exit code 66
    ");
    let mut arm64 = vec![0; 4096];
    arm64[0x38..0x3c].copy_from_slice(b"ARM\x64");
    insta::assert_snapshot!(told(&place, "Image", &arm64), @"
    error: Image is no kernel: it is an Image for arm64, and our machine is x86_64; name a kernel that was built with ARCH=x86_64
    exit code 66
    ");
    let mut foreign = program();
    foreign[18] = 183;
    insta::assert_snapshot!(told(&place, "vmlinux", &foreign), @"
    error: vmlinux is no kernel: it is an ELF for arm64, and our machine is x86_64; name a kernel that was built with ARCH=x86_64
    exit code 66
    ");
    insta::assert_snapshot!(told(&place, "vmlinux", &program()[..4096]), @"
    error: vmlinux is no kernel: it is cut off: its headers tell of more than it has; copy or build it again
    exit code 66
    ");
    insta::assert_snapshot!(told(&place, "vmlinux", &program()), @r#"
    error: vmlinux is no kernel: it is a program, and no kernel (nothing in it says "Linux version"); name vmlinux or arch/x86/boot/bzImage
    exit code 66
    "#);
    // As a kernel without CONFIG_PVH: an ELF that says that it is Linux, and has no way in.
    let no_pvh = [program(), b"Linux version 6.1.9 (gcc)".to_vec()].concat();
    insta::assert_snapshot!(told(&place, "vmlinux", &no_pvh), @"
    error: vmlinux is no kernel: it is an ELF without a PVH entry (it was built without CONFIG_PVH); name the bzImage of the same build, which boots without one, or build it with CONFIG_PVH=y
    exit code 66
    ");
    insta::assert_snapshot!(told(&place, "bzImage", b"words"), @"
    error: bzImage is no kernel: neither a bzImage (no boot header) nor an ELF vmlinux; name what a build left: arch/x86/boot/bzImage or vmlinux
    exit code 66
    ");
    assert_eq!(place.kept(), [""; 0]);
}

#[test]
fn package_files_are_opened() {
    for tool in ["bsdtar", "dpkg-deb"] {
        if host::tool::find(tool).is_none() {
            super::namespace::skipped(&format!("there is no {tool}, so no package can be opened"));
            return;
        }
    }
    let place = Place::new();
    let tree = place.dir().join("tree");
    std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    let control = "Package: linux-image-a\nVersion: 1\nArchitecture: amd64\nMaintainer: a <a@b.invalid>\n\
        Description: a\n";
    std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let pack = || {
        let mut command = Command::new("dpkg-deb");
        let status = command.args(["-b", "tree", "linux.deb"]).current_dir(place.dir());
        assert!(status.output().unwrap().status.success());
        place.run(&[
            "test",
            "--image",
            "linux.deb",
            "--offline",
            "--fs",
            "btrfs",
            "--case",
            "overlap",
        ])
    };
    insta::assert_snapshot!(pack(), @"
    unpacking linux.deb
    error: no kernel image in linux.deb: neither boot/vmlinuz-* nor usr/lib/modules/*/vmlinuz; a package that only names others has none
    exit code 66
    ");
    std::fs::create_dir_all(tree.join("boot")).unwrap();
    std::fs::write(tree.join("boot/vmlinuz-6.1.9"), b"words").unwrap();
    let said = pack();
    assert!(
        said.contains("error: boot/vmlinuz-6.1.9 of linux.deb is no kernel: neither a bzImage"),
        "{said}"
    );
    let whole = std::fs::read(place.dir().join("linux.deb")).unwrap();
    let said = told(&place, "cut-off.deb", &whole[..whole.len() - 100]);
    let damaged = "error: cut-off.deb cannot be unpacked: it is damaged, or no package; download or build it again";
    assert!(said.contains(damaged) && said.ends_with("exit code 66"), "{said}");
    std::fs::create_dir(place.dir().join("modules")).unwrap();
    insta::assert_snapshot!(place.run(&["test", "--image", "linux.deb", "--modules", "modules", "--list"]), @"
    error: --modules modules: that is no package file; expected the package file of the modules, as the kernel is a package; one that brings its own needs no `--modules`
    exit code 66
    ");
    assert_eq!(place.kept(), [""; 0]);
}

#[test]
fn a_package_of_pacman_is_opened() {
    if host::tool::find("bsdtar").is_none() {
        super::namespace::skipped("there is no bsdtar, so no package can be made");
        return;
    }
    let place = Place::new();
    let modules = place.dir().join("tree/usr/lib/modules/6.1.9");
    std::fs::create_dir_all(&modules).unwrap();
    std::fs::write(place.dir().join("tree/.PKGINFO"), "pkgname = linux\npkgver = 6.1.9-1\n").unwrap();
    std::fs::write(modules.join("pkgbase"), "linux\n").unwrap();
    let name = "linux-6.1.9-1-x86_64.pkg.tar.zst";
    let pack = || {
        let mut command = Command::new("bsdtar");
        command.args(["--zstd", "-cf"]).arg(place.dir().join(name));
        command.args(["-C", "tree", ".PKGINFO", "usr"]).current_dir(place.dir());
        assert!(command.output().unwrap().status.success());
        std::fs::read(place.dir().join(name)).unwrap()
    };
    let said = told(&place, name, &pack());
    assert!(said.contains(&format!("no kernel image in {name}")), "{said}");
    std::fs::write(modules.join("vmlinuz"), "words").unwrap();
    let said = told(&place, name, &pack());
    let damaged = format!("error: usr/lib/modules/6.1.9/vmlinuz of {name} is no kernel: neither a bzImage");
    assert!(said.contains(&damaged), "{said}");
}

#[test]
fn a_host_without_what_opens_packages_is_told_how_to_get_it() {
    let place = Place::new();
    let tools = place.dir().join("tools");
    std::fs::create_dir(&tools).unwrap();
    for need in &host::doctor::needs::ALL {
        if let Some(path) = host::tool::find(need.program) {
            std::os::unix::fs::symlink(path, tools.join(need.program)).unwrap();
        }
    }
    place.file("linux.deb", "!<arch>\n");
    place.file("bzImage", "words");
    let told = |image: &str| {
        let mut command = place.command(&["test", "--image", image, "--offline"]);
        let shown = place.shown(command.env("PATH", &tools).output().unwrap());
        // Only a machine with old package lists is told to renew them.
        shown.replace("apt-get update && ", "")
    };
    insta::assert_snapshot!(told("linux.deb"), @"
    error: this machine lacks bsdtar; run `apt-get install -y --no-install-recommends libarchive-tools`, or again \
    with --yes to have that done
    exit code 69
    ");
    assert!(!place.cache().exists());
    // No kernel but one in a package needs it.
    assert!(told("bzImage").contains("bzImage is no kernel"));
}
