//! `cargo xtask build`: kernels from source, ready to boot.

use super::prepare;
use crate::cli::BuildArgs;
use crate::error::{Failure, USAGE};
use crate::host::Places;
use crate::kernels::{Kernel, Manifest, Options, Source};

/// Runs the command.
///
/// # Errors
/// An unknown kernel, source that cannot be had, or a build that fails.
pub fn run(args: &BuildArgs) -> Result<u8, Failure> {
    let places = Places::find();
    let path = places.manifest(args.manifest.as_deref());
    let (manifest, given, patched);
    let kernels: Vec<&Kernel> = if let Some(kernel) = prepare::tree_kernel(&args.tree, &[], &places)? {
        given = kernel;
        vec![&given]
    } else {
        manifest = Manifest::load(&path).map_err(|error| Failure::of(error.exit_code(), &error))?;
        let all = ["*".to_owned()];
        let wanted = if args.kernel.is_empty() { &all[..] } else { &args.kernel };
        let selected = manifest
            .select(wanted)
            .map_err(|error| Failure::of(error.exit_code(), &error))?;
        let patches = &args.tree.patch;
        if patches.is_empty() {
            let built = |kernel: &&Kernel| matches!(kernel.source, Source::Tree(_));
            selected.into_iter().filter(built).collect()
        } else {
            patched = prepare::patched(&selected, !args.kernel.is_empty(), patches, &manifest)?;
            patched.iter().collect()
        }
    };
    if kernels.is_empty() {
        return Err(Failure::new(
            USAGE,
            "none of these kernels comes as source: `cargo xtask test` fetches packages by itself; kernels.toml's head shows how to name source",
        ));
    }
    prepare::builders(&kernels, args.yes)?;
    let options = Options {
        offline: args.offline,
        ..Options::default()
    };
    for artifact in prepare::kernels(&path, &kernels, &options)? {
        anstream::println!(
            "{}: {} ({}) in {}",
            artifact.id,
            artifact.release,
            artifact.version,
            artifact.dir.display()
        );
    }
    Ok(0)
}
