use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

fn file(content: &str) -> File {
    File {
        mode: Mode::Regular,
        content: content.into(),
    }
}

fn tree<const N: usize>(files: [(&str, File); N]) -> Tree {
    files.into_iter().map(|(path, file)| (path.to_owned(), file)).collect()
}

fn all(difference: &Difference) -> Subset {
    (0..difference.len()).collect()
}

/// A tree with some units put on it.
fn with(old: &Tree, difference: &Difference, taken: &Subset) -> Tree {
    let mut tree = old.clone();
    for (path, file) in difference.apply(taken) {
        match file {
            Some(file) => tree.insert(path.to_owned(), file),
            None => tree.remove(path),
        };
    }
    tree
}

fn write(root: &Path, tree: &Tree) {
    for (path, file) in tree {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        match file.mode {
            Mode::Symlink => {
                let to = std::str::from_utf8(&file.content).expect("a path");
                std::os::unix::fs::symlink(to, &path).expect("a link");
            }
            mode => {
                std::fs::write(&path, &file.content).expect("a file");
                let bits = if mode == Mode::Executable { 0o755 } else { 0o644 };
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).expect("a mode");
            }
        }
    }
}

fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let meta = path.symlink_metadata().expect("metadata");
            if meta.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path
                .strip_prefix(root)
                .expect("below")
                .to_str()
                .expect("text")
                .to_owned();
            let (mode, content) = if meta.is_symlink() {
                let to = std::fs::read_link(&path).expect("a link");
                (Mode::Symlink, to.to_str().expect("text").into())
            } else if meta.permissions().mode() & 0o100 != 0 {
                (Mode::Executable, std::fs::read(&path).expect("a file"))
            } else {
                (Mode::Regular, std::fs::read(&path).expect("a file"))
            };
            tree.insert(name, File { mode, content });
        }
    }
    tree
}

/// What a program makes of a tree and a patch.
fn patched(program: &[&str], tree: &Tree, patch: &[u8]) -> Tree {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("tree");
    std::fs::create_dir(&root).expect("a directory");
    write(&root, tree);
    let file = dir.path().join("a.patch");
    std::fs::write(&file, patch).expect("a patch");
    let output = Command::new(program[0])
        .args(&program[1..])
        .arg(&file)
        .current_dir(&root)
        // Not the repository that the tests may run in, nor what the person has set.
        .env("GIT_CEILING_DIRECTORIES", dir.path())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program[0]));
    assert!(
        output.status.success(),
        "{program:?}: {}{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(patch)
    );
    read(&root)
}

const GIT: &[&str] = &["git", "apply", "--whitespace=nowarn"];
const GIT_BACK: &[&str] = &["git", "apply", "--whitespace=nowarn", "-R"];

/// Both patches of some units do what [`Difference::apply`] does.
fn agrees_with_git(old: &Tree, new: &Tree, difference: &Difference, taken: &Subset) {
    if taken.is_empty() {
        assert!(difference.patch(Base::Old, taken).is_empty() && difference.patch(Base::New, taken).is_empty());
        return;
    }
    let wanted = with(old, difference, taken);
    assert_eq!(patched(GIT, old, &difference.patch(Base::Old, taken)), wanted);
    // `git apply -R` makes an ordinary file of whatever comes back.
    let comes_back = |unit: &usize| {
        let what = difference.describe(*unit).to_string();
        what.contains("(of another kind)") || what.contains("(deleted)")
    };
    let is_ordinary = |path: &str| old.get(path).is_none_or(|file| file.mode == Mode::Regular);
    let goes_wrong = |unit: &usize| comes_back(unit) && !difference.paths(*unit).all(is_ordinary);
    if taken.iter().any(goes_wrong) {
        return;
    }
    let rest: Subset = all(difference).difference(taken).copied().collect();
    let without = with(old, difference, &rest);
    assert_eq!(patched(GIT_BACK, new, &difference.patch(Base::New, taken)), without);
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![4 => Just(Mode::Regular), 1 => Just(Mode::Executable), 1 => Just(Mode::Symlink)]
}

/// Lines of few sorts, so that files have much in common; now and then bytes that are no text.
fn contents(binary: bool) -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        8 => "[ab]{0,2}".prop_map(|text| format!("{text}\n").into_bytes()),
        1 => Just(b"\r\n".to_vec()),
        u32::from(binary) => vec(any::<u8>(), 0..6).prop_map(|mut bytes| {
            bytes.push(b'\n');
            bytes
        }),
    ];
    (vec(line, 0..40), any::<bool>()).prop_map(|(lines, ended)| {
        let mut content = lines.concat();
        if !ended {
            content.pop();
        }
        content
    })
}

fn files(binary: bool) -> impl Strategy<Value = File> {
    (modes(), contents(binary)).prop_map(|(mode, content)| match mode {
        // Links point somewhere.
        Mode::Symlink => File {
            mode,
            content: format!("to/{}", content.len()).into_bytes(),
        },
        _ => File { mode, content },
    })
}

/// A file and what became of it: something else, nothing, or the same with some lines changed.
fn pairs() -> impl Strategy<Value = (Option<File>, Option<File>)> {
    prop_oneof![
        1 => (proptest::option::of(files(true)), proptest::option::of(files(true))),
        3 => (contents(true), vec((any::<prop::sample::Index>(), 0..3_u8, "[abc]{0,2}"), 0..6), any::<bool>()).prop_map(
            |(content, edits, executable)| {
                let mut lines: Vec<Vec<u8>> = hunks::lines(&content).into_iter().map(<[u8]>::to_vec).collect();
                for (at, what, text) in edits {
                    let at = at.index(lines.len() + 1);
                    let text = format!("{text}\n").into_bytes();
                    match what {
                        0 => lines.insert(at, text),
                        1 if at < lines.len() => lines[at] = text,
                        _ if at < lines.len() => {
                            lines.remove(at);
                        }
                        _ => {}
                    }
                }
                let mode = if executable { Mode::Executable } else { Mode::Regular };
                let old = File { mode: Mode::Regular, content };
                (Some(old), Some(File { mode, content: lines.concat() }))
            }
        ),
    ]
}

fn trees() -> impl Strategy<Value = (Tree, Tree)> {
    let paths = prop_oneof![
        Just("fs/btrfs/inode.c".to_owned()),
        Just("fs/btrfs/ctree.h".to_owned()),
        Just("Makefile".to_owned()),
        Just("with space/and \"quote\".txt".to_owned()),
        Just("tab\tand\\backslash".to_owned()),
        Just("größe.c".to_owned()),
    ];
    btree_map(paths, pairs(), 0..4).prop_map(|pairs| {
        let (mut old, mut new) = (Tree::new(), Tree::new());
        for (path, (before, after)) in pairs {
            old.extend(before.map(|file| (path.clone(), file)));
            new.extend(after.map(|file| (path, file)));
        }
        (old, new)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn all_units_give_the_new_tree_and_none_the_old((old, new) in trees()) {
        let difference = Difference::between(old.clone(), new.clone()).expect("a difference");
        prop_assert_eq!(difference.is_empty(), old == new);
        prop_assert_eq!(with(&old, &difference, &all(&difference)), new);
        prop_assert_eq!(with(&old, &difference, &Subset::new()), old);
    }

    #[test]
    fn units_are_independent_of_each_other((old, new) in trees(), seed: u64) {
        // Units put on one after another, each on what the ones before gave, come to the same as all at once.
        let difference = Difference::between(old.clone(), new).expect("a difference");
        let taken: Subset = (0..difference.len()).filter(|unit| seed >> (unit % 64) & 1 == 1).collect();
        let at_once = with(&old, &difference, &taken);
        let rest: Subset = all(&difference).difference(&taken).copied().collect();
        // The rest of the difference is what is left between that and the new tree.
        let put_on = with(&old, &difference, &all(&difference));
        let left = Difference::between(at_once.clone(), put_on).expect("a difference");
        prop_assert_eq!(left.is_empty(), rest.is_empty());
        prop_assert_eq!(with(&at_once, &left, &all(&left)), with(&old, &difference, &all(&difference)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn git_makes_the_same_of_every_patch(
        ((old, new), picks) in trees().prop_flat_map(|trees| {
            let units = Difference::between(trees.0.clone(), trees.1.clone()).expect("a difference").len();
            let picks = vec(subsequence((0..units).collect::<Vec<_>>(), 0..=units), 2);
            (Just(trees), picks)
        }),
    ) {
        let difference = Difference::between(old.clone(), new.clone()).expect("a difference");
        agrees_with_git(&old, &new, &difference, &all(&difference));
        for taken in picks {
            agrees_with_git(&old, &new, &difference, &taken.into_iter().collect());
        }
    }
}

/// Numbered lines, some of them others.
fn numbered(changed: &[usize]) -> String {
    (1..=60)
        .map(|n| {
            if changed.contains(&n) {
                format!("other {n}\n")
            } else {
                format!("line {n}\n")
            }
        })
        .collect()
}

#[test]
fn changes_six_lines_apart_are_one_hunk_and_seven_are_two() {
    let units = |changed: &[usize]| {
        let old = tree([("a.c", file(&numbered(&[])))]);
        let new = tree([("a.c", file(&numbered(changed)))]);
        Difference::between(old, new).expect("a difference").len()
    };
    assert_eq!(
        (units(&[10]), units(&[10, 17]), units(&[10, 18]), units(&[10, 18, 50])),
        (1, 1, 2, 3)
    );
}

#[test]
fn a_patch_reads_as_git_writes_it() {
    let old = tree([
        ("a.c", file(&numbered(&[]))),
        ("gone.c", file("x\n")),
        ("run.sh", file("y")),
    ]);
    let mut new = tree([
        ("a.c", file(&numbered(&[10, 50]))),
        ("new.h", file("z\n")),
        ("run.sh", file("y\n")),
    ]);
    if let Some(file) = new.get_mut("run.sh") {
        file.mode = Mode::Executable;
    }
    let difference = Difference::between(old, new).expect("a difference");
    let described: Vec<String> = (0..difference.len())
        .map(|unit| difference.describe(unit).to_string())
        .collect();
    assert_eq!(
        described,
        [
            "new.h (new)",
            "a.c (lines 10 to 10)",
            "a.c (lines 50 to 50)",
            "gone.c (deleted)",
            "run.sh (mode)",
            "run.sh (lines 1 to 1)"
        ]
    );
    assert_eq!(difference.units_of("a.c"), Subset::from([1, 2]));
    let patch = difference.patch(Base::Old, &Subset::from([0, 2, 3, 4, 5]));
    insta::assert_snapshot!(String::from_utf8(patch).expect("text"), @r"
    diff --git a/a.c b/a.c
    --- a/a.c
    +++ b/a.c
    @@ -47,7 +47,7 @@
     line 47
     line 48
     line 49
    -line 50
    +other 50
     line 51
     line 52
     line 53
    diff --git a/gone.c b/gone.c
    deleted file mode 100644
    --- a/gone.c
    +++ /dev/null
    @@ -1 +0,0 @@
    -x
    diff --git a/new.h b/new.h
    new file mode 100644
    --- /dev/null
    +++ b/new.h
    @@ -0,0 +1 @@
    +z
    diff --git a/run.sh b/run.sh
    old mode 100644
    new mode 100755
    --- a/run.sh
    +++ b/run.sh
    @@ -1 +1 @@
    -y
    \ No newline at end of file
    +y
    ");
}

#[test]
fn a_file_that_becomes_a_directory_is_one_unit_with_what_is_below() {
    let old = tree([
        ("a", file("x\n")),
        ("b/c/d", file("y\n")),
        ("b/e", file("z\n")),
        ("other", file("1\n")),
    ]);
    let new = tree([
        ("a/one", file("1\n")),
        ("a/two", file("2\n")),
        ("b", file("w\n")),
        ("other", file("2\n")),
    ]);
    let difference = Difference::between(old.clone(), new.clone()).expect("a difference");
    let described: Vec<String> = (0..difference.len())
        .map(|unit| difference.describe(unit).to_string())
        .collect();
    assert_eq!(
        described,
        [
            "a (deleted), a/one (new), a/two (new)",
            "b (new), b/c/d (deleted), b/e (deleted)",
            "other (lines 1 to 1)"
        ]
    );
    for taken in [[0, 1, 2].into(), [0].into(), [1].into(), [2].into()] {
        agrees_with_git(&old, &new, &difference, &taken);
    }
}

#[test]
fn empty_files_come_and_go() {
    let old = tree([("gone", file("")), ("filled", file("")), ("emptied", file("x\n"))]);
    let new = tree([("come", file("")), ("filled", file("x")), ("emptied", file(""))]);
    let difference = Difference::between(old.clone(), new.clone()).expect("a difference");
    assert_eq!(difference.len(), 4);
    for unit in 0..4 {
        agrees_with_git(&old, &new, &difference, &Subset::from([unit]));
    }
    agrees_with_git(&old, &new, &difference, &all(&difference));
}

#[test]
fn gnu_patch_makes_the_same_of_a_patch() {
    let found = Command::new("patch").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("no patch(1) here");
        return;
    }
    let old = tree([
        ("fs/a.c", file(&numbered(&[]))),
        ("gone.c", file("x\n")),
        ("with space.c", file("1\n2")),
    ]);
    let new = tree([
        ("fs/a.c", file(&numbered(&[1, 10, 30, 60]))),
        ("fs/new.h", file("z\n")),
        ("with space.c", file("1\n3\n")),
    ]);
    let difference = Difference::between(old.clone(), new).expect("a difference");
    for taken in [all(&difference), Subset::from([0, 2]), Subset::from([1, 3, 5])] {
        let patch = difference.patch(Base::Old, &taken);
        let made = patched(&["patch", "-p1", "--no-backup-if-mismatch", "-s", "-i"], &old, &patch);
        assert_eq!(made, with(&old, &difference, &taken));
    }
}

#[test]
fn a_path_out_of_the_tree_is_refused() {
    for path in ["../x", "/etc/passwd", "a//b", "", "a/./b"] {
        let error = Difference::between(tree([(path, file(""))]), Tree::new()).expect_err("an error");
        assert_eq!(error, DiffError::Path { path: path.to_owned() });
    }
}
