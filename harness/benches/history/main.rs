//! Bisection over a git history of several hundred commits, made of two source packages of Debian's.
//!
//!     cargo bench --package harness --bench history -- make --out DIR [--seed N] [--breaks N] [--bug PATCH]
//!
//! The newer kernel differs from the older one in some 2,000 files; each folder's is one commit, in an order that the seed chooses, and what only builds together is one
//! commit. A few commits are put in that do not compile.

mod glue;
mod make;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use harness::cache::Cache;
use harness::kernels::source::{Repo, Tree};
use harness::kernels::{Manifest, Options, Source, source_tree};
use harness::progress::Progress;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Bisection over a git history made of two source packages.
#[derive(Debug, Parser)]
struct Command {
    #[command(subcommand)]
    what: What,
    /// Given by cargo
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make the repository: tag `old`, branch `main`
    Make(Make),
}

#[derive(Debug, Args)]
struct Make {
    /// Where the repository goes; a folder that is not there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The package linux-source-6.1 to begin with: Debian suite and version
    #[arg(long, value_name = "SUITE/VERSION", default_value = "bookworm/6.1.176-1")]
    old: String,
    /// The one to end with
    #[arg(long, value_name = "SUITE/VERSION", default_value = "bookworm-security/6.1.187-1")]
    new: String,
    /// Chooses the commits' order
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Commits that are put in and do not compile
    #[arg(long, value_name = "N", default_value_t = 3)]
    breaks: usize,
    /// A patch to the newer source, put in at a place of chance
    #[arg(long, value_name = "PATCH")]
    bug: Option<PathBuf>,
}

fn main() -> ExitCode {
    // What nextest and cargo test ask of every target.
    if std::env::args().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    let What::Make(args) = Command::parse().what;
    match make(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(args: &Make) -> Result<()> {
    if args.out.exists() {
        return Err(format!("{} is there already; name a folder that is not", args.out.display()).into());
    }
    let cache = Cache::of_user()?;
    let (repo, old) = package(&cache, &args.old)?;
    let (_, new) = package(&cache, &args.new)?;
    let history = make::make(
        &repo,
        &make::Wanted {
            old: &old,
            new: &new,
            out: &args.out,
            seed: args.seed,
            breaks: args.breaks,
            bug: args.bug.as_deref(),
        },
    )?;
    println!(
        "{} commits in {}, from the tag `old` to the branch `main`",
        history.commits.len(),
        history.repo.display()
    );
    Ok(())
}

/// A source package's tree in the cache.
fn package(cache: &Cache, name: &str) -> Result<(Repo, Tree)> {
    let (suite, version) = name
        .split_once('/')
        .ok_or_else(|| format!("{name} is no SUITE/VERSION, like bookworm/6.1.176-1"))?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("kernels.toml");
    let id = format!("source-{version}");
    std::fs::write(
        &path,
        format!(
            "[[kernel]]\nid = \"{id}\"\nsource-package = \"linux-source-6.1\"\nsuite = \"{suite}\"\nversion = \"{version}\"\nfs = [\"btrfs\"]\n"
        ),
    )?;
    let manifest = Manifest::load(&path)?;
    let selected = manifest.select(&[&id])?;
    let Some(Source::Tree(source)) = selected.first().map(|kernel| &kernel.source) else {
        return Err("no source package".into());
    };
    let tree = source_tree(
        &id,
        source,
        &path.with_extension("lock"),
        cache,
        &Options::default(),
        &Progress::stderr(),
    )?;
    Ok(tree)
}
