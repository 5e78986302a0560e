//! What it costs to test a tree again after one file of it was touched, beside plain `make` in the same tree.
//!
//!     cargo bench --package harness --bench tree [-- --rounds N]
//!
//! A git repository is made of the source package that kernels.toml's group `truth` is built of, in the directory
//! `bench` of the cache, and built whole once; both are kept there, for the next time. Each round changes one function
//! of fs/btrfs/inode.c, so that the kernel really is another one, and runs `bioscope build --tree`; and changes it in
//! the same way in the build directory itself and runs plain `make` there, with the arguments that ours gave it. So
//! both have the same source and objects. Which goes first changes from round to round. What ours does besides make is
//! in its time: reading the working copy, checking it out, finding out what was read, keeping the image. Printed are
//! the rounds' ratios, by the clock and by the processors' time (which other work on the machine changes less), and how
//! long ours takes where nothing is to be built.

#[path = "../../tests/common/clone.rs"]
mod clone;
#[path = "../common/cost.rs"]
mod cost;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use cost::{Cost, Meter};
use host::cache::Cache;
use host::places::Places;
use host::progress::Progress;
use kernels::{Manifest, Options, Source, source_tree};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The file that is touched.
const TOUCHED: &str = "fs/btrfs/inode.c";
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    // What nextest and cargo test ask of every target.
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    let rounds = args
        .iter()
        .position(|arg| arg == "--rounds")
        .and_then(|at| args.get(at + 1)?.parse().ok());
    match bench(rounds.unwrap_or(ROUNDS)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Bench {
    /// The developer's tree.
    tree: PathBuf,
    bioscope: PathBuf,
    /// The build directory's source.
    source: PathBuf,
    /// How our build calls make, as its log has it.
    make: Vec<String>,
}

fn bench(rounds: usize) -> Result<()> {
    let cache = Cache::of_user()?;
    let _lock = cache.lock("bench", || eprintln!("waiting for another bench"))?;
    let bench = Bench::new(&cache.folder("bench")?, &cache)?;
    // No two rounds ever are alike: what was built before would only be taken from the store.
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    println!("changing {TOUCHED} of {} each round", bench.tree.display());
    let (mut clock, mut work) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let number = begun + 2 * round as u128;
        let (ours, make) = if round % 2 == 0 {
            let ours = bench.ours(number)?;
            (ours, bench.make(number + 1)?)
        } else {
            let make = bench.make(number + 1)?;
            (bench.ours(number)?, make)
        };
        let again = bench.build()?;
        clock.push(ours.clock.as_secs_f64() / make.clock.as_secs_f64());
        work.push(ours.work.as_secs_f64() / make.work.as_secs_f64());
        println!(
            "  round {}: ours {ours}, make {make}; nothing to build: {again}",
            round + 1
        );
    }
    for (what, mut ratios) in [("by the clock", clock), ("by the processors' time", work)] {
        ratios.sort_by(f64::total_cmp);
        if let (Some(least), Some(median), Some(most)) = (ratios.first(), ratios.get(ratios.len() / 2), ratios.last()) {
            println!("ours / make {what}: median {median:.2} ({least:.2} to {most:.2}); the goal is 1.15 at most");
        }
    }
    Ok(())
}

impl Bench {
    fn new(dir: &Path, cache: &Cache) -> Result<Bench> {
        let places = Places::find();
        let manifest_path = places.root.join("kernels.toml");
        let manifest = Manifest::load(&manifest_path)?;
        let truth = manifest.group("truth");
        let kernel = truth.first().ok_or("kernels.toml has no group truth")?;
        let Source::Tree(source) = &kernel.source else {
            return Err("the group truth is not built from source".into());
        };
        let mut source = source.clone();
        source.patches.clear();
        let (options, progress) = (Options::default(), Progress::stderr());
        let lock = manifest_path.with_extension("lock");
        let (repo, tree) = source_tree(&kernel.id, &source, &lock, cache, &options, &progress)?;
        let (path, whole) = (dir.join("linux"), dir.join("made-of"));
        if fs::read_to_string(&whole).unwrap_or_default() != tree.id {
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            fs::create_dir(&path)?;
            let index = tempfile::NamedTempFile::new_in(dir)?.into_temp_path();
            fs::remove_file(&index)?;
            repo.check_out(&tree, &path, &index)?;
            for args in [
                &["init", "-q"][..],
                &["add", "-A", "-f"],
                &["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "linux"],
            ] {
                run(Command::new("git").args(args).current_dir(&path))?;
            }
            fs::write(&whole, &tree.id)?;
        }
        let mut bench = Bench {
            tree: path,
            bioscope: clone::bioscope(),
            source: PathBuf::new(),
            make: Vec::new(),
        };
        println!("a build of what is there; the first is of all");
        // Something has to be built, for make's arguments are in the log.
        bench.ours(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let log = fs::read_to_string(cache.root().join("logs/linux.log"))?;
        let line = log
            .lines()
            .rfind(|line| line.starts_with("$ ") && line.ends_with(" bzImage"))
            .ok_or("the log has no call of make")?;
        bench.make = arguments(line.trim_start_matches("$ "));
        let at = bench.make.iter().position(|word| word == "-C");
        let folder = at.and_then(|at| bench.make.get(at + 1)).ok_or("make has no -C")?;
        bench.source = PathBuf::from(folder);
        Ok(bench)
    }

    /// Our build after a change.
    fn ours(&self, number: u128) -> Result<Cost> {
        touch(&self.tree, number)?;
        self.build()
    }

    /// Our build of the tree as it is.
    fn build(&self) -> Result<Cost> {
        cost(
            Command::new(&self.bioscope)
                .args(["build", "--offline", "--tree"])
                .arg(&self.tree),
        )
    }

    /// Plain make after a change.
    fn make(&self, number: u128) -> Result<Cost> {
        touch(&self.source, number)?;
        let (program, args) = self.make.split_first().ok_or("make has no name")?;
        cost(Command::new(program).args(args))
    }
}

/// Changes what a function of the file does.
fn touch(tree: &Path, number: u128) -> Result<()> {
    let path = tree.join(TOUCHED);
    let text = fs::read_to_string(&path)?;
    let mark = "/* touched by a benchmark */";
    let text = text.split(mark).next().unwrap_or_default();
    fs::write(
        &path,
        format!(
            "{text}{mark}\nlong bioscope_touched(long a);\nlong bioscope_touched(long a)\n\
            {{\n\treturn a * {number}L;\n}}\n"
        ),
    )?;
    Ok(())
}

/// The words of a command as a log shows them. A variable's value may have spaces: it goes on up to the next variable,
/// option or target.
fn arguments(line: &str) -> Vec<String> {
    let is_variable = |word: &str| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match words.last_mut() {
            Some(last) if is_variable(last) && !is_variable(word) && !word.starts_with('-') && word != "bzImage" => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Runs a command and tells what it took.
fn cost(command: &mut Command) -> Result<Cost> {
    let meter = Meter::start()?;
    run(command)?;
    Ok(meter.stop()?)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
