//! Old trees that today's compiler or linker refuses, mended as upstream mended them.
//!
//! What is mended are programs of the build and its boot loader, nothing that a test looks at. A tree that has a fix,
//! or does not have what it mends, is left as it is.

use std::time::Duration;

use super::error::SourceError;
use super::repo::{Repo, Tree, digest};
use host::cache::{Cache, CacheError};
use host::tool;

const DEADLINE: Duration = Duration::from_secs(600);
const FOLDER: &str = "patched";
/// No tree from this version on lacks any of them.
const NONE_FROM: (u32, u32) = (5, 18);

/// A change upstream without which a tree does not build today.
struct Fix {
    /// The commit's title.
    title: &'static str,
    /// The commit.
    commit: &'static str,
    path: &'static str,
    /// What is in the file without it.
    without: &'static str,
    /// What is there instead with it.
    with: &'static str,
}

const FIXES: [Fix; 3] = [
    Fix {
        // binutils since 2.36 give an object without symbols no table of them.
        title: "objtool: Don't fail on missing symbol table",
        commit: "1d489151e9f9",
        path: "tools/objtool/elf.c",
        without: "\t\tWARN(\"missing symbol table\");\n\t\treturn -1;\n",
        with: "\t\treturn 0;\n",
    },
    Fix {
        // gcc since 12 warns, and the build of this library takes a warning for an error.
        title: "libsubcmd: Fix use-after-free for realloc(..., 0)",
        commit: "52a9dab6d892",
        path: "tools/lib/subcmd/subcmd-util.h",
        without: "\tif (!ret && !size)\n\t\tret = realloc(ptr, 1);\n\tif (!ret) {\n\t\tret = realloc(ptr, size);\n\
            \t\tif (!ret && !size)\n\t\t\tret = realloc(ptr, 1);\n\t\tif (!ret)\n\
            \t\t\tdie(\"Out of memory, realloc failed\");\n\t}\n",
        with: "\tif (!ret)\n\t\tdie(\"Out of memory, realloc failed\");\n",
    },
    Fix {
        // gcc since 10 takes a variable that two files declare for two.
        title: "x86/boot/compressed: Don't declare __force_order in kaslr_64.c",
        commit: "df6d4f9db79c",
        path: "arch/x86/boot/compressed/kaslr_64.c",
        without: "\nunsigned long __force_order;\n",
        with: "\n",
    },
];

/// A tree with the fixes that it lacks, and which these are, for people.
///
/// # Errors
/// git fails, or the disk is full.
pub(crate) fn mend(
    repo: &Repo,
    cache: &Cache,
    tree: &Tree,
    version: (u32, u32),
) -> Result<Option<(Tree, Vec<String>)>, SourceError> {
    if version >= NONE_FROM {
        return Ok(None);
    }
    let mut lacking = Vec::new();
    for fix in &FIXES {
        let text = repo.file(tree, fix.path)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        if text.contains(fix.without) {
            lacking.push((fix, text.replace(fix.without, fix.with)));
        }
    }
    if lacking.is_empty() {
        return Ok(None);
    }
    let said = lacking
        .iter()
        .map(|(fix, _)| format!("{} (\"{}\")", fix.commit, fix.title))
        .collect();
    let mut parts = vec![tree.id.as_bytes(), b"fixes"];
    parts.extend(lacking.iter().map(|(_, text)| text.as_bytes()));
    let reference = format!("refs/patched/{}", digest(&parts));
    let mended = |id| Tree { id, ..tree.clone() };
    if let Some(id) = repo.named(&reference)? {
        return Ok(Some((mended(id), said)));
    }
    let scratch = cache.scratch(FOLDER)?;
    let git = |args: &[&str]| {
        let mut command = repo.git(&tree.alternates)?;
        command.args(args).env("GIT_INDEX_FILE", scratch.path().join("index"));
        Ok::<_, tool::ToolError>(command)
    };
    tool::run_ok(&mut git(&["read-tree", &tree.id])?, DEADLINE)?;
    for (fix, text) in &lacking {
        let file = scratch.path().join("file");
        std::fs::write(&file, text).map_err(|source| CacheError::io("write", &file, source))?;
        let blob = repo.line(git(&["hash-object", "-w", "--no-filters"])?.arg(&file))?;
        let entry = format!("100644,{blob},{}", fix.path);
        tool::run_ok(&mut git(&["update-index", "--cacheinfo", &entry])?, DEADLINE)?;
    }
    let id = repo.line(&mut git(&["write-tree"])?)?;
    repo.name(&reference, &id, &tree.alternates)?;
    Ok(Some((mended(id), said)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use host::progress::Progress;

    use super::super::working_copy;
    use super::*;

    #[test]
    fn an_old_tree_gets_the_fixes_that_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("cache"));
        let repo = Repo::open(&cache).unwrap();
        let linux = dir.path().join("linux");
        let write = |path: &str, text: &str| {
            let file = linux.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        for path in ["Kconfig", "Makefile"] {
            write(path, "\n");
        }
        for fix in &FIXES[..2] {
            write(fix.path, &format!("before\n{}after\n", fix.without));
        }
        write(FIXES[2].path, &format!("before{}after\n", FIXES[2].with));
        let read = || working_copy::as_it_is(&repo, &cache, &linux, &Progress::hidden()).unwrap();
        let tree = read();
        assert!(mend(&repo, &cache, &tree, (5, 18)).unwrap().is_none());
        let (mended, said) = mend(&repo, &cache, &tree, (5, 10)).unwrap().unwrap();
        assert_eq!(
            said,
            [
                "1d489151e9f9 (\"objtool: Don't fail on missing symbol table\")",
                "52a9dab6d892 (\"libsubcmd: Fix use-after-free for realloc(..., 0)\")"
            ]
        );
        // As if somebody had mended it there.
        for fix in &FIXES[..2] {
            write(fix.path, &format!("before\n{}after\n", fix.with));
        }
        assert_eq!(mended.id, read().id);
        assert!(mend(&repo, &cache, &mended, (5, 10)).unwrap().is_none());
        let again = mend(&repo, &cache, &tree, (5, 10)).unwrap().unwrap().0;
        assert_eq!((again.id, again.name), (mended.id, tree.name));
    }
}
