//! `cargo xtask update`: moves kernels.lock to what the archive holds now.

use crate::cli::UpdateArgs;
use crate::error::Failure;
use crate::host::Places;
use crate::kernels::Manifest;

/// Runs the command.
///
/// # Errors
/// An unknown kernel, no network, or nothing in the archive that fits.
pub fn run(args: &UpdateArgs) -> Result<u8, Failure> {
    let path = args
        .manifest
        .clone()
        .unwrap_or_else(|| Places::find().root.join("kernels.toml"));
    let manifest = Manifest::load(&path).map_err(|error| Failure::of(error.exit_code(), &error))?;
    let all = ["*".to_owned()];
    let wanted = if args.ids.is_empty() { &all[..] } else { &args.ids };
    let kernels = manifest
        .select(wanted)
        .map_err(|error| Failure::of(error.exit_code(), &error))?;
    super::prepare::update(&path, &kernels)?;
    Ok(0)
}
