//! Bisecting a made history (`--example history`) in three ways: with `bioscope bisect`, with `git bisect run` and
//! plain make, and by building every commit that reaches the build, one after the other.
//!
//!     cargo bench --package harness --bench history -- HISTORY --dir DIR [--bad REV] [--good REV]
//!         [--case NAME] [--config PART …] [--only ours|plain|brute …] [--git-first]
//!
//! `HISTORY` is the repository, of which tags `old` and `new` are the ends unless told otherwise. Below `DIR`, which
//! should be empty, each way has build directories of its own, so that ours does not live on what another one built;
//! nothing was built there before. `--git-first` tries them the other way round. What a commit shows is the same for
//! all: the case, once for git and for the brute way, as often as it wants for ours. Which commits reach the build is
//! what the brute way's first build read. Printed are kernels built, runs, time by the clock and of all processors
//! (which other work on the machine changes less), and the commit. The brute way goes over all of them and says if they
//! are not one row that fails and one that passes.

#[path = "../../tests/common/clone.rs"]
mod clone;
#[path = "../common/cost.rs"]
mod cost;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use cost::{Cost, Meter};
use host::places::Places;
use kernels::build::closure::Closure;
use kernels::source::Listing;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    // What nextest and cargo test ask of every target, and a run of all benches.
    if args.is_empty() || args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    match Bench::of(&args).and_then(|bench| bench.compare()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("history: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Bench {
    history: PathBuf,
    dir: PathBuf,
    bad: String,
    good: String,
    case: String,
    config: Vec<String>,
    only: Vec<String>,
    git_first: bool,
}

/// What one way came to.
struct Came {
    kernels: usize,
    runs: usize,
    took: Cost,
    commit: String,
}

/// What a commit shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    Fails,
    Passes,
    /// It does not build, or says nothing.
    Nothing,
}

impl Bench {
    fn of(args: &[String]) -> Result<Bench> {
        let mut bench = Bench {
            history: PathBuf::new(),
            dir: PathBuf::new(),
            bad: "old".to_owned(),
            good: "new".to_owned(),
            case: "partial-write".to_owned(),
            config: Vec::new(),
            only: Vec::new(),
            git_first: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().cloned().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--dir" => bench.dir = std::path::absolute(value()?)?,
                "--bad" => bench.bad = value()?,
                "--good" => bench.good = value()?,
                "--case" => bench.case = value()?,
                "--config" => bench.config.push(value()?),
                "--only" => bench.only.push(value()?),
                "--git-first" => bench.git_first = true,
                _ if !arg.starts_with('-') => bench.history = fs::canonicalize(arg)?,
                _ => return Err(format!("unknown argument {arg}; the head of this file says how it is used").into()),
            }
        }
        if bench.history.as_os_str().is_empty() || bench.dir.as_os_str().is_empty() {
            return Err("name the history and --dir".into());
        }
        if bench.config.is_empty() {
            bench.config = ["tinyconfig", "base", "btrfs"].map(str::to_owned).into();
        }
        fs::create_dir_all(&bench.dir)?;
        Ok(bench)
    }

    fn compare(&self) -> Result<()> {
        let wanted = |way: &str| self.only.is_empty() || self.only.iter().any(|only| only == way);
        let commits = self.commits()?;
        println!("{} commits from {} to {}", commits.len(), self.bad, self.good);
        let mut table = Vec::new();
        if wanted("plain") && self.git_first {
            table.push(("git bisect run", self.plain()?));
        }
        if wanted("ours") {
            table.push(("bioscope bisect", self.ours()?));
        }
        if wanted("plain") && !self.git_first {
            table.push(("git bisect run", self.plain()?));
        }
        if wanted("brute") {
            let (came, reaching) = self.brute(&commits)?;
            println!(
                "{reaching} commits reach the build: both ends and log2 of them are {:.1} kernels; log2 of all {} is \
                {:.1}",
                2.0 + (reaching as f64).log2(),
                commits.len(),
                (commits.len() as f64).log2()
            );
            table.push(("each that reaches", came));
        }
        println!("{:<18} {:>7} {:>5}  time", "", "kernels", "runs");
        for (way, came) in &table {
            let subject = git(&self.history, &["log", "-1", "--format=%h %s", &came.commit])?;
            println!(
                "{way:<18} {:>7} {:>5}  {}: {subject}",
                came.kernels, came.runs, came.took
            );
        }
        let answers: BTreeSet<&str> = table.iter().map(|(_, came)| came.commit.as_str()).collect();
        match answers.len() {
            0 | 1 => Ok(()),
            _ => Err("they did not come to the same commit".into()),
        }
    }

    /// The commits after the older end, oldest first. Which end is the older one is said by the history.
    fn commits(&self) -> Result<Vec<String>> {
        let (old, new) = self.old_and_new()?;
        let list = git(
            &self.history,
            &["rev-list", "--reverse", "--first-parent", &format!("{old}..{new}")],
        )?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    fn old_and_new(&self) -> Result<(String, String)> {
        let mut is_older = Command::new("git");
        is_older
            .arg("-C")
            .arg(&self.history)
            .args(["merge-base", "--is-ancestor", &self.bad, &self.good]);
        Ok(if is_older.status()?.success() {
            (self.bad.clone(), self.good.clone())
        } else {
            (self.good.clone(), self.bad.clone())
        })
    }

    /// What the newer end shows.
    fn looked_for(&self) -> Result<Shows> {
        Ok(if self.old_and_new()?.1 == self.good {
            Shows::Passes
        } else {
            Shows::Fails
        })
    }

    /// `bioscope bisect`, with a cache and runs of its own.
    fn ours(&self) -> Result<Came> {
        let dir = self.dir.join("ours");
        let meter = Meter::start()?;
        let mut bisect = Command::new(program());
        bisect
            .env("BIOSCOPE_CACHE", dir.join("cache"))
            .env("BIOSCOPE_RUNS", dir.join("runs"));
        bisect.args(["bisect", "--tree"]).arg(&self.history);
        bisect.args(["--bad", &self.bad, "--good", &self.good, "--case", &self.case]);
        bisect.args(self.config.iter().flat_map(|part| ["--config", part]));
        bisect.arg("--dir").arg(dir.join("bisection"));
        if !bisect.status()?.success() {
            return Err("bioscope bisect came to no commit".into());
        }
        let took = meter.stop()?;
        let folder = dir.join("bisection");
        let result: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("report/result.json"))?)?;
        let journal = fs::read_to_string(folder.join("journal.jsonl"))?;
        Ok(Came {
            kernels: tried(&journal)?,
            runs: usize::try_from(result["runs"].as_u64().unwrap_or_default())?,
            took,
            commit: result["first_changed"][0][0]
                .as_str()
                .ok_or("no commit in result.json")?
                .to_owned(),
        })
    }

    /// `git bisect run` in a clone, with make and one run of the case a commit.
    fn plain(&self) -> Result<Came> {
        let place = Place::new(self, "plain")?;
        let (old, new) = self.old_and_new()?;
        // What exits with 0 is taken for the older end's.
        let script = place.dir.join("run.sh");
        let turn = if self.looked_for()? == Shows::Passes {
            "exit $((1 - shows))"
        } else {
            "exit $shows"
        };
        fs::write(
            &script,
            format!(
                "sh '{}' '{}' '{}' '{}'\nshows=$?\n[ $shows = 125 ] && exit 125\n{turn}\n",
                step().display(),
                place.dir.display(),
                self.case,
                program().display()
            ),
        )?;
        let meter = Meter::start()?;
        place.configure(self, &new)?;
        place.git(&["bisect", "start", "--term-old=before", "--term-new=after", &new, &old])?;
        let mut run = Command::new("git");
        run.current_dir(place.source())
            .args(["bisect", "run", "sh"])
            .arg(&script);
        if !run.status()?.success() {
            return Err("git bisect run came to no commit".into());
        }
        let (kernels, runs) = place.steps()?;
        Ok(Came {
            kernels,
            runs,
            took: meter.stop()?,
            commit: place.git(&["rev-parse", "refs/bisect/after"])?,
        })
    }

    /// Every commit that reaches the build, and how many those are.
    fn brute(&self, commits: &[String]) -> Result<(Came, usize)> {
        let place = Place::new(self, "brute")?;
        let (old, _) = self.old_and_new()?;
        let looked_for = self.looked_for()?;
        let meter = Meter::start()?;
        place.configure(self, &old)?;
        let first = place.shows(self, &old)?;
        if first == looked_for || first == Shows::Nothing {
            return Err(format!("{old}: {first:?}").into());
        }
        let all = place.git(&["ls-tree", "-r", "--format=%(objectname) %(path)", &old])?;
        let all: Listing = all
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(id, path)| (path.to_owned(), id.to_owned()))
            .collect();
        let mut closure = Closure::of_build(&place.objects(), &place.source(), &all)?;
        let (mut reaching, mut changed, mut row) = (0, None, Vec::new());
        for commit in commits {
            let paths = place.git(&["diff-tree", "-r", "--no-commit-id", "--name-only", commit])?;
            let reach = closure.reach();
            if !paths.lines().any(|path| reach.reads(path) || path.contains("Kconfig")) {
                continue;
            }
            reaching += 1;
            place.git(&["checkout", "--quiet", "--detach", commit])?;
            let shows = place.shows(self, commit)?;
            if shows != Shows::Nothing {
                closure = Closure::of_build(&place.objects(), &place.source(), &all)?;
            }
            println!(
                "{} {shows:?}  {}",
                &commit[..12],
                place.git(&["log", "-1", "--format=%s", commit])?
            );
            std::io::stdout().flush()?;
            if shows == looked_for && changed.is_none() {
                changed = Some(commit.clone());
            }
            row.push(shows);
        }
        row.retain(|shows| *shows != Shows::Nothing);
        row.dedup();
        if row.len() > 2 || row.last() != Some(&looked_for) {
            return Err(format!(
                "the commits are not one row that shows one thing and one that shows another: {row:?}"
            )
            .into());
        }
        let (kernels, runs) = place.steps()?;
        Ok((
            Came {
                kernels,
                runs,
                took: meter.stop()?,
                commit: changed.ok_or("no commit shows what the newer end does")?,
            },
            reaching,
        ))
    }
}

/// How many kernels a journal's bisection made or tried to make. What came to a kernel that was there was not made.
fn tried(journal: &str) -> Result<usize> {
    let (mut begun, mut made, mut kernels) = (0, 0, BTreeSet::new());
    for line in journal.lines() {
        let entry: serde_json::Value = serde_json::from_str(line)?;
        match entry["entry"].as_str() {
            Some("building") => begun += 1,
            Some("built") => {
                made += 1;
                kernels.insert(entry["artifact"].to_string());
            }
            _ => (),
        }
    }
    Ok(begun - (made - kernels.len()))
}

/// A clone with a directory for objects.
struct Place {
    dir: PathBuf,
}

impl Place {
    fn new(bench: &Bench, way: &str) -> Result<Place> {
        let place = Place {
            dir: bench.dir.join(way),
        };
        fs::create_dir_all(place.objects())?;
        let mut clone = Command::new("git");
        clone
            .args(["clone", "--quiet", "--shared", "--no-checkout"])
            .arg(&bench.history)
            .arg(place.source());
        if !clone.status()?.success() {
            return Err(format!(
                "{} cannot be made; --dir should be an empty directory",
                place.source().display()
            )
            .into());
        }
        Ok(place)
    }

    fn source(&self) -> PathBuf {
        self.dir.join("source")
    }

    fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    fn git(&self, args: &[&str]) -> Result<String> {
        git(&self.source(), args)
    }

    /// Checks out a revision and configures it with the parts, by the kernel's own script.
    fn configure(&self, bench: &Bench, revision: &str) -> Result<()> {
        self.git(&["checkout", "--quiet", "--detach", revision])?;
        let mut fragments = Vec::new();
        for part in &bench.config {
            if part == "tinyconfig" || part == "defconfig" {
                let mut make = Command::new("make");
                make.arg("-C")
                    .arg(self.source())
                    .arg(format!("O={}", self.objects().display()))
                    .arg("ARCH=x86_64")
                    .arg(part);
                quietly(&mut make)?;
            } else {
                fragments.push(Places::find().configs().join(format!("{part}.config")));
            }
        }
        let mut merge = Command::new("scripts/kconfig/merge_config.sh");
        merge.current_dir(self.source()).arg("-m").arg("-O").arg(self.objects());
        merge.arg(self.objects().join(".config")).args(fragments);
        quietly(&mut merge)
    }

    /// Makes what is checked out and runs the case.
    fn shows(&self, bench: &Bench, commit: &str) -> Result<Shows> {
        let mut sh = Command::new("sh");
        sh.arg(step()).arg(&self.dir).arg(&bench.case).arg(program());
        match sh.status()?.code() {
            Some(0) => Ok(Shows::Passes),
            Some(1) => Ok(Shows::Fails),
            Some(125) => Ok(Shows::Nothing),
            code => Err(format!("{commit}: the step ended with {code:?}").into()),
        }
    }

    /// Kernels that were made or tried to be, and runs.
    fn steps(&self) -> Result<(usize, usize)> {
        let steps = fs::read_to_string(self.dir.join("steps"))?;
        let runs = steps.lines().filter(|line| !line.ends_with(" 125"));
        Ok((steps.lines().count(), runs.count()))
    }
}

/// What a person without bioscope bisect runs on each commit.
fn step() -> PathBuf {
    clone::package().join("benches/history/step.sh")
}

fn program() -> PathBuf {
    clone::bioscope()
}

fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("git {} failed", args.join(" ")).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn quietly(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}
