//! Trees as files, and with some hunks on them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use crate::trees::Trees;
use bisect::delta::Subset;
use bisect::diff::{Difference, File, Mode, Tree as Files};
use exit::Failure;
use host::tool;
use host::words::counted;
use kernels::source::Tree;

/// Long enough to read a kernel's tree on a busy machine.
const DEADLINE: Duration = Duration::from_secs(600);

impl Trees {
    /// Some files of a tree.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn files(&self, tree: &Tree, paths: &[String]) -> Result<Files, Failure> {
        let mut files = BTreeMap::new();
        let modes = self.git(tree, None, &["ls-tree", "-r", &tree.id], None)?;
        let modes = String::from_utf8_lossy(&modes).into_owned();
        let of: BTreeMap<&str, &str> = modes
            .lines()
            .filter_map(|line| Some((line.split_once('\t')?.1, line.split(' ').next()?)))
            .collect();
        for path in paths {
            let mode = match of.get(path.as_str()).copied() {
                Some("100755") => Mode::Executable,
                Some("120000") => Mode::Symlink,
                Some(_) => Mode::Regular,
                None => continue,
            };
            let content = self.repo.file(tree, path)?;
            if let Some(content) = content {
                files.insert(path.clone(), File { mode, content });
            }
        }
        Ok(files)
    }

    /// The bad end with some hunks of the good one.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn with(&self, bad: &Tree, difference: &Difference, taken: &Subset) -> Result<Tree, Failure> {
        let scratch = self.cache.scratch("indexes")?;
        let index = scratch.path().join("index");
        self.git(bad, Some(&index), &["read-tree", &bad.id], None)?;
        let touched: BTreeSet<&str> = taken.iter().flat_map(|unit| difference.paths(*unit)).collect();
        let mut lines = String::new();
        for (path, file) in difference.apply(taken) {
            if !touched.contains(path) {
                continue;
            }
            match file {
                None => lines.push_str(&format!("0 {}\t{path}\n", "0".repeat(40))),
                Some(file) => {
                    let blob = self.git(bad, None, &["hash-object", "-w", "--stdin"], Some(&file.content))?;
                    let blob = String::from_utf8_lossy(&blob).trim().to_owned();
                    lines.push_str(&format!("{} {blob}\t{path}\n", file.mode.octal()));
                }
            }
        }
        self.git(
            bad,
            Some(&index),
            &["update-index", "--index-info"],
            Some(lines.as_bytes()),
        )?;
        let id = self.git(bad, Some(&index), &["write-tree"], None)?;
        let id = String::from_utf8_lossy(&id).trim().to_owned();
        Ok(Tree {
            name: format!("{} with {}", bad.name, counted(taken.len(), "hunk")),
            id,
            alternates: bad.alternates.clone(),
        })
    }

    /// git in the cache's repository, with an index and standard input.
    fn git(&self, tree: &Tree, index: Option<&Path>, args: &[&str], input: Option<&[u8]>) -> Result<Vec<u8>, Failure> {
        let failed = |error: tool::ToolError| Failure::from(error);
        let mut command = self.repo.git(&tree.alternates).map_err(failed)?;
        command.args(["-c", "core.quotePath=false"]).args(args);
        if let Some(index) = index {
            command.env("GIT_INDEX_FILE", index);
        }
        if let Some(input) = input {
            let cannot = |error| Failure::cannot_create("a temporary file", &error);
            let mut file = tempfile::tempfile().map_err(cannot)?;
            std::io::Write::write_all(&mut file, input)
                .and_then(|()| std::io::Seek::rewind(&mut file))
                .map_err(cannot)?;
            command.stdin(file);
        }
        let finished = tool::run_ok(&mut command, DEADLINE).map_err(failed)?;
        Ok(finished.stdout)
    }
}
