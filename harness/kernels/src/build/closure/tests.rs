use super::*;

fn listing(paths: &[&str]) -> Listing {
    paths
        .iter()
        .map(|path| ((*path).to_owned(), format!("id of {path}")))
        .collect()
}

const TREE: [&str; 13] = [
    "Makefile",
    "Kconfig",
    "fs/Kconfig",
    "fs/Makefile",
    "fs/open.c",
    "fs/btrfs/Makefile",
    "fs/btrfs/inode.c",
    "fs/btrfs/ctree.h",
    "fs/btrfs/unused.c",
    "fs/empty/Makefile",
    "drivers/gpu/Makefile",
    "drivers/gpu/gpu.c",
    "scripts/link-vmlinux.sh",
];

fn closure() -> (Closure, Listing, HashSet<String>) {
    let all = listing(&TREE);
    let named = ["fs/open.c", "fs/btrfs/inode.c", "fs/btrfs/ctree.h"];
    let entered = HashSet::from(["fs/empty".to_owned()]);
    let closure = Closure::new(named.iter().map(ToString::to_string).collect(), &entered, &all);
    let before = all.keys().cloned().collect();
    (closure, all, before)
}

#[test]
fn makefiles_of_what_is_built_go_with_it_and_those_of_other_drivers_do_not() {
    let (closure, ..) = closure();
    assert_eq!(
        closure.files(),
        [
            "Makefile",
            "fs/Makefile",
            "fs/btrfs/Makefile",
            "fs/btrfs/ctree.h",
            "fs/btrfs/inode.c",
            "fs/empty/Makefile",
            "fs/open.c",
            "scripts/link-vmlinux.sh"
        ]
    );
}

#[test]
fn only_what_is_read_changes_the_sum() {
    let (closure, all, before) = closure();
    let sum = |change: &dyn Fn(&mut Listing)| {
        let mut all = all.clone();
        change(&mut all);
        closure.sum(&all, &before)
    };
    let same = sum(&|_| {});
    assert!(same.is_some());
    for path in [
        "drivers/gpu/gpu.c",
        "drivers/gpu/Makefile",
        "fs/btrfs/unused.c",
        "fs/Kconfig",
    ] {
        assert_eq!(
            sum(&|all| drop(all.insert(path.to_owned(), "other".to_owned()))),
            same,
            "{path}"
        );
    }
    for path in ["fs/btrfs/inode.c", "fs/Makefile", "scripts/link-vmlinux.sh"] {
        assert_ne!(
            sum(&|all| drop(all.insert(path.to_owned(), "other".to_owned()))),
            same,
            "{path}"
        );
        assert_eq!(sum(&|all| drop(all.remove(path))), None, "{path} is gone");
    }
    // Not read by anything yet; but the compiler would find this one first, and a makefile may take the other.
    assert_eq!(
        sum(&|all| drop(all.insert("include/ctree.h".to_owned(), "new".to_owned()))),
        None
    );
    assert_eq!(
        sum(&|all| drop(all.insert("fs/btrfs/Makefile.inc".to_owned(), "new".to_owned()))),
        None
    );
    assert_eq!(
        sum(&|all| drop(all.insert("drivers/gpu/new.c".to_owned(), "new".to_owned()))),
        same
    );
}

#[test]
fn what_kbuild_and_the_tools_write_is_understood() {
    let text = "savedcmd_fs/open.o := gcc -Wp,-MMD,fs/.open.o.d -I/line/src/include -c -o fs/open.o \
            /line/src/fs/open.c\n\n\
            source_fs/open.o := /line/src/fs/open.c\n\ndeps_fs/open.o := \\\n    $(wildcard \
            include/config/FSNOTIFY) \\\n  \
            ../src/include/linux/fs.h \\\n  include/generated/autoconf.h \\\n";
    let (objects, source) = (Path::new("/line/obj"), Path::new("/line/src"));
    let all = listing(&[
        "fs/open.c",
        "include/linux/fs.h",
        "include/linux/unread.h",
        "tools/lib/string.c",
    ]);
    let mut reading = Reading {
        objects,
        source,
        all: &all,
        named: HashSet::new(),
        entered: HashSet::new(),
        seen: HashSet::new(),
        outside: None,
    };
    reading.read(&objects.join("fs"), text.as_bytes());
    // The same line in another directory is another file.
    let tools = "deps_string.o := \\\n  ../../../src/tools/lib/string.c \\\n";
    reading.read(&objects.join("fs"), tools.as_bytes());
    assert!(!reading.named.contains("tools/lib/string.c"), "{:?}", reading.named);
    reading.read(&objects.join("tools/lib"), tools.as_bytes());
    let mut named: Vec<&str> = reading.named.iter().map(String::as_str).collect();
    named.sort_unstable();
    assert_eq!(named, ["fs/open.c", "include/linux/fs.h", "tools/lib/string.c"]);
}

#[test]
fn what_a_build_reads_through_links_it_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let (objects, source) = (dir.path().join("objects"), dir.path().join("source"));
    for folder in ["source/fs", "source/staging/mine", "objects/drivers/mine/empty"] {
        std::fs::create_dir_all(dir.path().join(folder)).expect("a directory");
    }
    std::fs::create_dir_all(source.join("drivers")).expect("a directory");
    for (link, to) in [
        ("fs/a.c", "b.c"),
        ("fs/b.c", "../fs/c.c"),
        ("drivers/mine", "../staging/mine"),
        ("fs/round.c", "round.c"),
    ] {
        std::os::unix::fs::symlink(to, source.join(link)).expect("a link");
    }
    let all = listing(&[
        "Makefile",
        "fs/a.c",
        "fs/b.c",
        "fs/c.c",
        "fs/round.c",
        "drivers/mine",
        "staging/mine/driver.c",
        "staging/mine/Makefile",
        "staging/mine/empty/Makefile",
    ]);
    let text = "source_a.o := ../source/fs/a.c\nsource_d.o := ../source/drivers/mine/driver.c\n\
        source_r.o := ../source/fs/round.c\n";
    std::fs::write(objects.join(".a.o.cmd"), text).expect("a file");
    let closure = Closure::of_build(&objects, &source, &all).expect("it can be read");
    assert_eq!(
        closure.files(),
        [
            "Makefile",
            "drivers/mine",
            "fs/a.c",
            "fs/b.c",
            "fs/c.c",
            "fs/round.c",
            "staging/mine/Makefile",
            "staging/mine/driver.c",
            "staging/mine/empty/Makefile"
        ]
    );
}

#[test]
fn what_a_build_reads_outside_of_the_source_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let (objects, source) = (dir.path().join("objects"), dir.path().join("source"));
    for folder in ["source/drivers", "mine", "objects"] {
        std::fs::create_dir_all(dir.path().join(folder)).expect("a directory");
    }
    std::fs::write(dir.path().join("mine/driver.c"), "").expect("a file");
    for (link, to) in [("mine", dir.path().join("mine")), ("build", dir.path().to_owned())] {
        std::os::unix::fs::symlink(to, source.join(link)).expect("a link");
    }
    std::os::unix::fs::symlink("../../nothing", source.join("drivers/none")).expect("a link");
    let all = listing(&["Makefile", "mine", "build", "drivers/none"]);
    let of_build = |text: &str| {
        std::fs::write(objects.join(".a.o.cmd"), text).expect("a file");
        Closure::of_build(&objects, &source, &all)
    };
    // Links that no build goes through, or that lead nowhere.
    of_build("source_a.o := ../source/drivers/none/a.c\n").expect("it reads nothing there");
    let read = of_build("source_a.o := ../source/mine/driver.c\n");
    let Err(ClosureError::Outside { link, target }) = read else {
        panic!("{read:?}");
    };
    assert_eq!((link.as_str(), target), ("mine", dir.path().join("mine")));
    // Where make went.
    std::fs::write(objects.join(".a.o.cmd"), "").expect("a file");
    std::fs::create_dir(objects.join("mine")).expect("a directory");
    assert!(Closure::of_build(&objects, &source, &all).is_err());
}
