//! `cargo xtask update`: moves kernels.lock to what the archive holds now.

use clap::Args;
use exit::{Exit, Failure};
use host::places::Places;
use host::progress::Progress;
use kernels::Manifest;
use run::prepare;

use crate::flags::ManifestArgs;

/// `cargo xtask update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Kernels to move, by id or glob [default: all].
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
}

/// Runs the command.
///
/// # Errors
/// An unknown kernel, no network, or nothing in the archive that fits.
pub(crate) fn run(args: &UpdateArgs) -> Result<Exit, Failure> {
    let path = Places::find().manifest(args.manifest.manifest.as_deref());
    let manifest = Manifest::load(&path)?;
    let all = ["*".to_owned()];
    let wanted = if args.ids.is_empty() { &all[..] } else { &args.ids };
    let kernels = manifest.select(wanted)?;
    let changes = kernels::update(
        &kernels,
        &prepare::lock_of(&path),
        &prepare::cache()?,
        &Progress::stderr(),
    )?;
    for change in &changes {
        let before = change.before.as_deref().unwrap_or("not pinned");
        host::out!("{}: {before} -> {}", change.id, change.after);
    }
    if changes.is_empty() {
        host::out!("kernels.lock is up to date");
    }
    Ok(Exit::Success)
}
