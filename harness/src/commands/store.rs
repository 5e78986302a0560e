//! `cargo xtask store`: what kernels are kept, what they were made of, what can go.

use std::path::Path;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use exit::{Exit, ExitError, Failure};
use host::cache::{self, Cache};
use host::places::Places;
use host::progress::Progress;
use host::suggest;
use host::words::counted;
use kernels::Manifest;
use kernels::stock::{self, Why};
use kernels::store::{self, Kept};
use run::prepare;

use crate::flags::ManifestArgs;

/// Changed files that `why` names.
const CHANGED_MAX: usize = 10;

/// `cargo xtask store`.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// What is asked.
    #[command(subcommand)]
    pub(crate) ask: StoreAsk,
}

/// What can be asked of the store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreAsk {
    /// What is in it: kernels and build directories, with sizes and when they were last used.
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
    /// What a kernel of kernels.toml, or an artifact, was made of, and what would rebuild it.
    Why {
        /// The kernel's id, or the first letters of an artifact's hash.
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        manifest: ManifestArgs,
    },
}

/// Runs the command.
///
/// # Errors
/// An unknown id, or a cache that cannot be used.
pub(crate) fn run(args: &StoreArgs) -> Result<Exit, Failure> {
    let cache = prepare::cache()?;
    match &args.ask {
        StoreAsk::List => list(&cache),
        StoreAsk::Gc { days, dry_run } => gc(&cache, *days, *dry_run)?,
        StoreAsk::Why { id, manifest } => {
            why(&cache, id, manifest.manifest.as_deref())?;
        }
    }
    Ok(Exit::Success)
}

fn list(cache: &Cache) {
    let kept = store::all(cache);
    host::out!("{} kernels in {}", kept.len(), cache.root().display());
    for kept in &kept {
        let made = kept.description.made_of.as_ref();
        let of = made.map_or_else(
            || "package or image".to_owned(),
            |made| format!("built of {}, {}", made.source, made.config.join(" ")),
        );
        host::out!(
            "  {}  {:>9}  used {:>8}  {} {}; {of}",
            short(&kept.hash),
            size(cache::size_bytes(&kept.dir)),
            ago(kept.used),
            kept.description.release,
            kept.description.version
        );
    }
    let folders = stock::build_folders(cache);
    host::out!("{} build directories", folders.len());
    for folder in folders {
        host::out!(
            "  {}  {:>9}  used {:>8}  {}",
            short(&folder.name),
            size(cache::size_bytes(&folder.dir)),
            ago(folder.used),
            if folder.what.is_empty() {
                "no build came to its end"
            } else {
                &folder.what
            }
        );
    }
}

fn gc(cache: &Cache, days: u64, dry_run: bool) -> Result<(), Failure> {
    let mut freed = 0;
    for unused in stock::unused(cache, Duration::from_secs(days.saturating_mul(24 * 3600))) {
        let dir = unused.dir.display();
        let bytes = cache::size_bytes(&unused.dir);
        let verb = if dry_run { "would remove" } else { "removed" };
        if !dry_run && !unused.remove(cache)? {
            host::out!("in use, stays: {dir}");
            continue;
        }
        freed += bytes;
        host::out!("{verb} {dir} ({})", size(bytes));
    }
    host::out!("{} {}", size(freed), if dry_run { "would be freed" } else { "freed" });
    Ok(())
}

fn why(cache: &Cache, id: &str, named: Option<&Path>) -> Result<(), Failure> {
    let manifest_path = &Places::find().manifest(named);
    if let Some(kept) = stock::by_hash(cache, id) {
        say(&kept);
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
    let why = stock::why(cache, kernel, &prepare::lock_of(manifest_path), &Progress::stderr());
    match why.map_err(|error| source_is_missing(error, id, named))? {
        Why::Taken { debs, artifact } => {
            for deb in debs {
                host::out!("package {} {}, sha256 {}", deb.name, deb.version, deb.sha256);
            }
            match artifact {
                Some(kept) => say(&kept),
                None => host::out!("{id} is not in the store; the next run fetches it"),
            }
        }
        Why::Built { tree, nearest: None } => {
            host::out!("{id} ({tree}) was never built with this configuration");
        }
        Why::Built {
            tree,
            nearest: Some(nearest),
        } => {
            say_changed(id, &tree, &nearest.changed);
            say(&nearest.artifact);
        }
    }
    Ok(())
}

/// The network is not used to say why: what is missing comes with a build.
fn source_is_missing(error: kernels::Error, id: &str, named: Option<&Path>) -> Failure {
    let Some(what) = error.not_cached() else {
        return error.into();
    };
    let named = named.map_or_else(String::new, |file| format!(" --manifest {}", file.display()));
    let message = format!(
        "{what} is not cached, and this command uses no network; `cargo xtask build {id}{named}` fetches and builds it"
    );
    Failure::new(error.exit(), message)
}

fn say_changed(id: &str, tree: &str, changed: &[String]) {
    if changed.is_empty() {
        host::out!("{id} ({tree}) is built: no file that its build reads differs");
        return;
    }
    host::out!(
        "{id} ({tree}) would be built: the nearest artifact was made of other content in {}:",
        counted(changed.len(), "file")
    );
    for path in changed.iter().take(CHANGED_MAX) {
        host::out!("  {path}");
    }
    if changed.len() > CHANGED_MAX {
        host::out!("  and {} more", changed.len() - CHANGED_MAX);
    }
}

fn say(kept: &Kept) {
    let Kept {
        hash,
        dir,
        description,
        used,
    } = kept;
    host::out!(
        "artifact {hash}\n  kernel    {} ({})\n  in        {} ({}), used {}",
        description.release,
        description.version,
        dir.display(),
        size(cache::size_bytes(dir)),
        ago(*used)
    );
    if let Some(made) = &description.made_of {
        host::out!(
            "  source    {}, tree {}\n  reads     {} files of it, listed in {}\n  \
            config    {}, as it came out in {}\n  with      {}",
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

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
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
