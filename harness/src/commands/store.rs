//! `cargo xtask store`: what kernels are kept, what they were made of, what can go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use host::cache::Cache;
use host::error::Failure;
use host::exit::Exit;
use host::places::Places;
use host::progress::Progress;
use host::suggest;
use kernels::build::line;
use kernels::store::{self, Kept};
use kernels::{Kernel, Manifest, Options, Source};
use run::prepare;

/// Changed files that `why` names.
const CHANGED_MAX: usize = 10;

/// `cargo xtask store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// What is asked.
    #[command(subcommand)]
    pub ask: StoreAsk,
}

/// What can be asked of the store.
#[derive(Debug, Subcommand)]
pub enum StoreAsk {
    /// What is in it: kernels and build folders, with sizes and when they were last used.
    List,
    /// Remove what nobody used for a time; what runs need again is made or fetched again.
    Gc {
        /// Days that something may lie unused.
        #[arg(long, value_name = "N", default_value_t = 30)]
        days: u64,
        /// Only say what would go.
        #[arg(long)]
        dry_run: bool,
    },
    /// What a kernel of kernels.toml, or an artifact, was made of, and what would make it anew.
    Why {
        /// The kernel's id, or the first letters of an artifact's hash.
        #[arg(value_name = "ID")]
        id: String,
        /// The list of kernels [default: kernels.toml of this repository].
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
}

/// Runs the command.
///
/// # Errors
/// An unknown id, or a cache that cannot be used.
pub fn run(args: &StoreArgs) -> Result<Exit, Failure> {
    let cache = prepare::cache()?;
    match &args.ask {
        StoreAsk::List => list(&cache),
        StoreAsk::Gc { days, dry_run } => gc(&cache, *days, *dry_run)?,
        StoreAsk::Why { id, manifest } => {
            let path = manifest
                .clone()
                .unwrap_or_else(|| Places::find().root.join("kernels.toml"));
            why(&cache, id, &path)?;
        }
    }
    Ok(Exit::Success)
}

fn list(cache: &Cache) {
    let kept = store::all(cache);
    anstream::println!("{} kernels in {}", kept.len(), cache.root().display());
    for kept in &kept {
        let made = kept.description.made_of.as_ref();
        let of = made.map_or_else(
            || "package or image".to_owned(),
            |made| format!("built of {}, {}", made.source, made.config.join(" ")),
        );
        anstream::println!(
            "  {}  {:>9}  used {:>8}  {} {}; {of}",
            short(&kept.hash),
            size(bytes(&kept.dir)),
            ago(kept.used),
            kept.description.release,
            kept.description.version
        );
    }
    let lines = line::all(cache);
    anstream::println!("{} build folders", lines.len());
    for (dir, state) in lines {
        anstream::println!(
            "  {}  {:>9}  used {:>8}  {}",
            short(&name_of(&dir)),
            size(bytes(&dir)),
            ago(used(&dir)),
            if state.what.is_empty() {
                "no build came to its end"
            } else {
                &state.what
            }
        );
    }
}

fn gc(cache: &Cache, days: u64, dry_run: bool) -> Result<(), Failure> {
    let limit = Duration::from_secs(days * 24 * 3600);
    let old = |used: SystemTime| SystemTime::now().duration_since(used).is_ok_and(|age| age >= limit);
    let kernels = store::all(cache)
        .into_iter()
        .filter(|kept| old(kept.used))
        .map(|kept| (kept.dir, format!("store-{}", kept.hash)));
    let lines = line::all(cache)
        .into_iter()
        .filter(|(dir, _)| old(used(dir)))
        .map(|(dir, _)| {
            let lock = format!("build-{}", name_of(&dir));
            (dir, lock)
        });
    let mut freed = 0;
    for (dir, lock) in kernels.chain(lines) {
        let bytes = bytes(&dir);
        let verb = if dry_run { "would remove" } else { "removed" };
        if !dry_run && !store::remove(cache, &dir, &lock)? {
            anstream::println!("in use, stays: {}", dir.display());
            continue;
        }
        freed += bytes;
        anstream::println!("{verb} {} ({})", dir.display(), size(bytes));
    }
    anstream::println!("{} {}", size(freed), if dry_run { "would be freed" } else { "freed" });
    Ok(())
}

fn why(cache: &Cache, id: &str, manifest_path: &Path) -> Result<(), Failure> {
    let kept = store::all(cache);
    let by_hash: Vec<&Kept> = kept
        .iter()
        .filter(|kept| id.len() >= 6 && kept.hash.starts_with(id))
        .collect();
    if let [kept] = by_hash[..] {
        say(kept);
        return Ok(());
    }
    let manifest = Manifest::load(manifest_path)?;
    let Some(kernel) = manifest.kernels().iter().find(|kernel| kernel.id == id) else {
        let names: Vec<&str> = manifest.kernels().iter().map(|kernel| kernel.id.as_str()).collect();
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "no kernel and no artifact is called `{id}`; {}",
                suggest::hint(id, "kernels", &names)
            ),
        ));
    };
    match &kernel.source {
        Source::Tree(_) => why_built(cache, kernel, &kept, manifest_path),
        Source::Package(_) | Source::Image { .. } => why_taken(cache, kernel, &kept, manifest_path),
    }
}

fn why_taken(cache: &Cache, kernel: &Kernel, kept: &[Kept], manifest_path: &Path) -> Result<(), Failure> {
    let lock = kernels::Lock::load(&prepare::lock_of(manifest_path))?;
    let ready = kernels::ready(kernel, &lock, cache)?;
    for deb in lock.get(&kernel.id).into_iter().flat_map(|pinned| &pinned.debs) {
        anstream::println!("package {} {}, sha256 {}", deb.name, deb.version, deb.sha256);
    }
    match ready.and_then(|artifact| kept.iter().find(|kept| kept.hash == artifact.hash)) {
        Some(kept) => say(kept),
        None => anstream::println!("{} is not in the store; the next run fetches it", kernel.id),
    }
    Ok(())
}

/// Compares the source as it is now with what artifacts were built of.
fn why_built(cache: &Cache, kernel: &Kernel, kept: &[Kept], manifest_path: &Path) -> Result<(), Failure> {
    let Source::Tree(source) = &kernel.source else {
        return Ok(());
    };
    let options = Options {
        offline: true,
        ..Options::default()
    };
    let lock = prepare::lock_of(manifest_path);
    let (repo, tree) = kernels::source_tree(&kernel.id, source, &lock, cache, &options, &Progress::stderr())?;
    let now = repo.listing(&tree)?;
    let config: Vec<String> = source.config.iter().map(ToString::to_string).collect();
    let mut nearest: Option<(Vec<String>, &Kept)> = None;
    for kept in kept.iter().filter(|kept| {
        kept.description
            .made_of
            .as_ref()
            .is_some_and(|made| made.config == config)
    }) {
        let inputs = inputs(&kept.dir);
        let mut changed: Vec<String> = inputs
            .iter()
            .filter(|(path, id)| now.get(*path) != Some(id))
            .map(|(path, _)| path.clone())
            .collect();
        changed.sort();
        if nearest.as_ref().is_none_or(|(least, _)| changed.len() < least.len()) {
            nearest = Some((changed, kept));
        }
    }
    let Some((changed, kept)) = nearest else {
        anstream::println!("{} ({}) was never built with this configuration", kernel.id, tree.name);
        return Ok(());
    };
    if changed.is_empty() {
        anstream::println!(
            "{} ({}) is built: no file that its build reads differs",
            kernel.id,
            tree.name
        );
    } else {
        anstream::println!(
            "{} ({}) would be built: the nearest artifact was made of other content in {}:",
            kernel.id,
            tree.name,
            counted(changed.len())
        );
        for path in changed.iter().take(CHANGED_MAX) {
            anstream::println!("  {path}");
        }
        if changed.len() > CHANGED_MAX {
            anstream::println!("  and {} more", changed.len() - CHANGED_MAX);
        }
    }
    say(kept);
    Ok(())
}

fn say(kept: &Kept) {
    let Kept {
        hash,
        dir,
        description,
        used,
    } = kept;
    anstream::println!(
        "artifact {hash}\n  kernel    {} ({})\n  in        {} ({}), used {}",
        description.release,
        description.version,
        dir.display(),
        size(bytes(dir)),
        ago(*used)
    );
    if let Some(made) = &description.made_of {
        anstream::println!(
            "  source    {}, tree {}\n  reads     {} files of it, listed in {}\n  config    {}, as it came out in {}\n  with      {}",
            made.source,
            made.tree,
            made.files,
            dir.join("inputs").display(),
            made.config.join(" + "),
            dir.join("config").display(),
            made.with
        );
    }
}

fn counted(files: usize) -> String {
    if files == 1 {
        "1 file".to_owned()
    } else {
        format!("{files} files")
    }
}

/// Paths and content of what an artifact was built of.
fn inputs(dir: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(dir.join("inputs")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(id, path)| (path.to_owned(), id.to_owned())).collect()
}

fn name_of(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn used(dir: &Path) -> SystemTime {
    let state: PathBuf = dir.join("state.json");
    // One in which no build came to its end has no state.
    std::fs::metadata(state)
        .or_else(|_| std::fs::metadata(dir))
        .and_then(|state| state.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Bytes on disk of all below a folder.
fn bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

fn ago(when: SystemTime) -> String {
    match SystemTime::now().duration_since(when).unwrap_or_default().as_secs() / 3600 {
        0 => "just now".to_owned(),
        hours @ 1..48 => format!("{hours} h ago"),
        hours => format!("{} d ago", hours / 24),
    }
}
