//! A git history made of two kernels' source: one commit a folder, or a group of folders that only build together, in an order of chance.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::kernels::source::{Repo, Tree};

use crate::Result;
use crate::glue;

/// What is asked for.
pub struct Wanted<'a> {
    pub old: &'a Tree,
    pub new: &'a Tree,
    /// Where the repository is made.
    pub out: &'a Path,
    pub seed: u64,
    /// How often a commit is put in that does not compile, followed by up to three others and one that mends it.
    pub breaks: usize,
    /// A patch to the new source that is put in as a commit of its own, after those that it needs.
    pub bug: Option<&'a Path>,
}

/// What was made.
pub struct History {
    pub repo: PathBuf,
    /// From the one after the first to the last.
    pub commits: Vec<String>,
}

/// A file that differs. No object id: there is no such file.
struct Change {
    path: String,
    new: Option<(String, String)>,
}

/// One commit.
struct Step {
    subject: String,
    /// Mode and object, or nothing for a file that goes.
    files: Vec<(String, Option<(String, String)>)>,
}

/// Files that a lean kernel is built of and that stable updates leave alone; one that they do not is not taken.
const BREAKABLE: [&str; 6] = [
    "lib/string_helpers.c",
    "lib/kasprintf.c",
    "lib/sort.c",
    "lib/hexdump.c",
    "lib/bitmap.c",
    "lib/rbtree.c",
];

/// Makes the repository.
pub fn make(repo: &Repo, wanted: &Wanted<'_>) -> Result<History> {
    let objects = text(repo.git(&[])?.args(["rev-parse", "--git-path", "objects"]))?;
    let objects = std::path::absolute(objects)?;
    let diff = text(repo.git(&[])?.args([
        "diff-tree",
        "-r",
        "-z",
        "--no-renames",
        "--raw",
        &wanted.old.id,
        &wanted.new.id,
    ]))?;
    let changes = changes(&diff);
    let diff = text(repo.git(&[])?.args([
        "diff",
        "-U0",
        "--no-renames",
        "--no-color",
        &wanted.old.id,
        &wanted.new.id,
    ]))?;
    let files = glue::read_diff(&diff);
    let (added, removed) = glue::candidates(&files);
    let known = in_headers(repo, wanted.old, &added)?;
    let kept = in_headers(repo, wanted.new, &removed)?;
    let groups = glue::groups(&files, &known, &kept);
    let mut rng = fastrand::Rng::with_seed(wanted.seed);
    let mut steps: Vec<Step> = groups.iter().map(|group| step(group, &changes)).collect();
    rng.shuffle(&mut steps);
    if let Some(bug) = wanted.bug {
        put_in_bug(repo, wanted, bug, &mut steps, &mut rng)?;
    }
    put_in_breaks(repo, wanted, &changes, &mut steps, &mut rng)?;
    let commits = import(&objects, wanted, &steps)?;
    Ok(History {
        repo: wanted.out.to_owned(),
        commits,
    })
}

/// Those of some names that a kernel's headers have.
fn in_headers(repo: &Repo, tree: &Tree, names: &BTreeSet<String>) -> Result<HashSet<String>> {
    // All of them in one stream; what the archive says between them does no harm.
    let mut child = repo
        .git(&[])?
        .args(["archive", "--format=tar", &tree.id, "--", ":(glob)**/*.h"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut found = HashSet::new();
    let mut out = BufReader::with_capacity(1 << 20, child.stdout.take().ok_or("git says nothing")?);
    let mut line = Vec::new();
    while out.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        found.extend(
            glue::names(&text)
                .filter(|name| names.contains(*name))
                .map(str::to_owned),
        );
        line.clear();
    }
    if !child.wait()?.success() {
        return Err("git archive fails".into());
    }
    Ok(found)
}

/// Reads `git diff-tree --raw -z`.
fn changes(diff: &str) -> BTreeMap<String, Vec<Change>> {
    let mut folders: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    let mut fields = diff.split('\0');
    while let (Some(what), Some(path)) = (fields.next(), fields.next()) {
        let words: Vec<&str> = what.split(' ').collect();
        let [_, mode, _, id, status] = words[..] else { continue };
        folders.entry(glue::folder(path).to_owned()).or_default().push(Change {
            path: path.to_owned(),
            new: (status != "D").then(|| (mode.to_owned(), id.to_owned())),
        });
    }
    folders
}

fn step(group: &[String], changes: &BTreeMap<String, Vec<Change>>) -> Step {
    let name = |folder: &String| {
        if folder.is_empty() {
            "top".to_owned()
        } else {
            folder.clone()
        }
    };
    let subject = match group {
        [one] => format!("{}: as in the newer kernel", name(one)),
        [first, others @ ..] => format!("{} and {} more: as in the newer kernel", name(first), others.len()),
        [] => String::new(),
    };
    let files = group.iter().filter_map(|folder| changes.get(folder)).flatten();
    Step {
        subject,
        files: files.map(|change| (change.path.clone(), change.new.clone())).collect(),
    }
}

/// Puts the patch in, somewhere behind the commits that bring the files that it changes.
fn put_in_bug(
    repo: &Repo,
    wanted: &Wanted<'_>,
    bug: &Path,
    steps: &mut Vec<Step>,
    rng: &mut fastrand::Rng,
) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let index = scratch.path().join("index");
    let with_index = || -> Result<Command> {
        let mut git = repo.git(&[])?;
        git.env("GIT_INDEX_FILE", &index);
        Ok(git)
    };
    text(with_index()?.args(["read-tree", &wanted.new.id]))?;
    text(with_index()?.args(["apply", "--cached"]).arg(std::path::absolute(bug)?))?;
    let diff = text(with_index()?.args(["diff-index", "--cached", "--raw", "-z", "--no-renames", &wanted.new.id]))?;
    let files: Vec<_> = changes(&diff)
        .into_values()
        .flatten()
        .map(|change| (change.path, change.new))
        .collect();
    let brings = |step: &Step| {
        step.files
            .iter()
            .any(|(path, _)| files.iter().any(|(changed, _)| changed == path))
    };
    let first = steps.iter().rposition(brings).map_or(0, |at| at + 1);
    // Not as the last one, which would be no place of chance.
    let at = rng.usize(first..steps.len().max(first + 1));
    let subject = bug.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    steps.insert(at, Step { subject, files });
    Ok(())
}

/// Puts in commits that do not compile, each mended a few commits later.
fn put_in_breaks(
    repo: &Repo,
    wanted: &Wanted<'_>,
    changes: &BTreeMap<String, Vec<Change>>,
    steps: &mut Vec<Step>,
    rng: &mut fastrand::Rng,
) -> Result<()> {
    let differs = |path: &str| changes.values().flatten().any(|change| change.path == path);
    let files: Vec<&str> = BREAKABLE
        .into_iter()
        .filter(|path| !differs(path))
        .take(wanted.breaks)
        .collect();
    for path in files {
        let Some(content) = repo.file(wanted.old, path)? else {
            continue;
        };
        let mut broken = content.clone();
        broken.extend(b"\n#error put in by a benchmark of bisection\n");
        let at = rng.usize(..steps.len());
        let until = (at + 1 + rng.usize(..3)).min(steps.len());
        let blob = |content: &[u8]| -> Result<_> { Ok(Some(("100644".to_owned(), hash(repo, content)?))) };
        let step = |subject: String, file| Step {
            subject,
            files: vec![(path.to_owned(), file)],
        };
        steps.insert(until, step(format!("{path}: compiles again"), blob(&content)?));
        steps.insert(at, step(format!("{path}: does not compile"), blob(&broken)?));
    }
    Ok(())
}

/// Writes the commits with `git fast-import`; the files' contents are the cache's.
fn import(objects: &Path, wanted: &Wanted<'_>, steps: &[Step]) -> Result<Vec<String>> {
    std::fs::create_dir_all(wanted.out)?;
    let git = || {
        let mut git = Command::new("git");
        git.current_dir(wanted.out).args(["-c", "core.looseCompression=1"]);
        git
    };
    text(git().args(["init", "--quiet", "--initial-branch=main"]))?;
    std::fs::write(
        wanted.out.join(".git/objects/info/alternates"),
        format!("{}\n", objects.display()),
    )?;
    let mut stream = String::new();
    let mut commit = |time: usize, subject: &str, body: &str| {
        let message = format!("{subject}\n");
        stream.push_str("commit refs/heads/main\n");
        stream.push_str(&format!("mark :{}\n", time + 1));
        stream.push_str(&format!(
            "committer bioscope <bioscope@localhost> {} +0000\n",
            1_700_000_000 + time * 60
        ));
        stream.push_str(&format!("data {}\n{message}", message.len()));
        if time > 0 {
            stream.push_str(&format!("from :{time}\n"));
        }
        stream.push_str(body);
        stream.push('\n');
    };
    commit(
        0,
        &format!("{} as it was", wanted.old.name),
        &format!("M 040000 {} \n", wanted.old.id),
    );
    for (at, step) in steps.iter().enumerate() {
        let line = |(path, file): &(String, Option<(String, String)>)| match file {
            Some((mode, id)) => format!("M {mode} {id} {path}\n"),
            None => format!("D {path}\n"),
        };
        let body: String = step.files.iter().map(line).collect();
        commit(at + 1, &step.subject, &body);
    }
    let mut child = git().args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn()?;
    child
        .stdin
        .take()
        .ok_or("git takes nothing")?
        .write_all(stream.as_bytes())?;
    if !child.wait()?.success() {
        return Err("git fast-import fails".into());
    }
    text(git().args(["tag", "old"]).arg(format!("main~{}", steps.len())))?;
    let list = text(git().args(["rev-list", "--reverse", "old..main"]))?;
    if wanted.bug.is_none() {
        let same = text(git().args(["rev-parse", "main^{tree}"]))?;
        if same.trim() != wanted.new.id {
            return Err(format!(
                "the history ends with the tree {}, expected {}",
                same.trim(),
                wanted.new.id
            )
            .into());
        }
    }
    Ok(list.lines().map(str::to_owned).collect())
}

fn hash(repo: &Repo, content: &[u8]) -> Result<String> {
    let mut child = repo
        .git(&[])?
        .args(["hash-object", "-w", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("git takes nothing")?.write_all(content)?;
    let output = child.wait_with_output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Runs a command and gives back what it prints.
pub fn text(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
