//! What it costs to test a tree again after one file of it was touched, beside plain `make` in the same tree.
//!
//!     cargo bench --package harness --bench tree [-- --rounds N]
//!
//! A git repository is made of the source package that kernels.toml's group `truth` is built of, outside of the project. Each round changes one
//! function of fs/btrfs/inode.c there, so that the kernel really is another one, then runs `bioscope build --tree`, and `make` with the same
//! configuration, compiler and variables in a folder of objects of its own: which goes first changes from round to round. What ours does
//! besides make is in its time: reading the working copy, checking it out, finding out what was read, keeping the image. Printed are the rounds' ratios, and how long
//! ours takes where nothing is to be built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use harness::cache::Cache;
use harness::host::Places;
use harness::kernels::{Manifest, Options, Source, source_tree};
use harness::progress::Progress;

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
    tree: PathBuf,
    objects: PathBuf,
    bioscope: PathBuf,
    /// make's own arguments, as the log of our build has them.
    make: Vec<String>,
}

fn bench(rounds: usize) -> Result<()> {
    let cache = Cache::of_user()?;
    let dir = tempfile::tempdir_in(cache.folder("bench")?)?;
    let bench = Bench::new(dir.path(), &cache)?;
    println!("changing {TOUCHED} of {} each round", bench.tree.display());
    let mut ratios = Vec::new();
    for round in 0..rounds {
        bench.touch(round)?;
        let (ours, make) = if round % 2 == 0 {
            let ours = bench.ours()?;
            (ours, bench.make()?)
        } else {
            let make = bench.make()?;
            (bench.ours()?, make)
        };
        let ratio = ours.as_secs_f64() / make.as_secs_f64();
        let again = bench.ours()?;
        println!(
            "  round {}: ours / make = {ratio:.2} ({ours:.1?} / {make:.1?}); nothing to build: {again:.1?}",
            round + 1
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    if let (Some(least), Some(median), Some(most)) = (ratios.first(), ratios.get(ratios.len() / 2), ratios.last()) {
        println!("ours / make: median {median:.2} ({least:.2} to {most:.2}); the goal is 1.15 at most");
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
        let path = dir.join("linux");
        fs::create_dir(&path)?;
        repo.check_out(&tree, &path, &dir.join("index"))?;
        for args in [
            &["init", "-q"][..],
            &["add", "-A", "-f"],
            &["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "linux"],
        ] {
            run(Command::new("git").args(args).current_dir(&path))?;
        }
        let mut bench = Bench {
            objects: dir.join("objects"),
            bioscope: PathBuf::from(env!("CARGO_BIN_EXE_bioscope")),
            make: Vec::new(),
            tree: path,
        };
        fs::create_dir(&bench.objects)?;
        println!("the first build of each, from nothing");
        bench.ours()?;
        let log = fs::read_to_string(cache.root().join("logs/linux.log"))?;
        let line = log
            .lines()
            .find(|line| line.contains(" bzImage"))
            .ok_or("the log has no call of make")?;
        let theirs = |word: &str| word.contains('=') && !word.starts_with("O=");
        // A value may have spaces: they are put together again up to the next NAME=.
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ').skip_while(|word| !word.starts_with("ARCH=")) {
            match words.last_mut() {
                _ if theirs(word) && word.chars().next().is_some_and(char::is_uppercase) => words.push(word.to_owned()),
                Some(last) if !word.starts_with("-j") && word != "bzImage" => {
                    last.push(' ');
                    last.push_str(word);
                }
                _ => {}
            }
        }
        bench.make = words;
        let artifact = bench.artifact()?;
        fs::copy(artifact.join("config"), bench.objects.join(".config"))?;
        bench.make()?;
        Ok(bench)
    }

    /// Changes what a function of the file does.
    fn touch(&self, round: usize) -> Result<()> {
        let path = self.tree.join(TOUCHED);
        let text = fs::read_to_string(&path)?;
        let mark = "/* touched by a benchmark */";
        let text = text.split(mark).next().unwrap_or_default();
        fs::write(
            &path,
            format!(
                "{text}{mark}\nint bioscope_touched(int a);\nint bioscope_touched(int a)\n{{\n\treturn a * {};\n}}\n",
                round + 3
            ),
        )?;
        Ok(())
    }

    fn ours(&self) -> Result<Duration> {
        let begun = Instant::now();
        run(Command::new(&self.bioscope)
            .args(["build", "--offline", "--tree"])
            .arg(&self.tree))?;
        Ok(begun.elapsed())
    }

    fn artifact(&self) -> Result<PathBuf> {
        let output = Command::new(&self.bioscope)
            .args(["build", "--offline", "--tree"])
            .arg(&self.tree)
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        Ok(PathBuf::from(text.trim().rsplit(" in ").next().unwrap_or_default()))
    }

    fn make(&self) -> Result<Duration> {
        let jobs = std::thread::available_parallelism()?;
        let begun = Instant::now();
        run(Command::new("make")
            .arg("-C")
            .arg(&self.tree)
            .arg(format!("O={}", self.objects.display()))
            .args(&self.make)
            .arg(format!("-j{jobs}"))
            .arg("bzImage"))?;
        Ok(begun.elapsed())
    }
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
