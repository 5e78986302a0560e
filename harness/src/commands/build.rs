//! `cargo xtask build`: kernels from source, ready to boot.

use std::path::Path;

use clap::Args;
use exit::{Exit, Failure};
use host::places::Places;
use kernels::{Kernel, Manifest, Options, Source};
use run::prepare;

use super::kernel_choice::{self, KernelChoice};
use crate::flags::{HostArgs, ManifestArgs, OF_TREE, TreeArgs};

/// `cargo xtask build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Kernels to build, by id, glob or group (truth) [default: all that come as source].
    #[arg(value_name = "ID", conflicts_with_all = OF_TREE)]
    pub(crate) kernel: Vec<String>,
    #[command(flatten)]
    pub(crate) tree: TreeArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
}

/// Runs the command.
///
/// # Errors
/// An unknown kernel, source that cannot be had, or a build that fails.
pub(crate) fn run(args: &BuildArgs) -> Result<Exit, Failure> {
    let places = Places::find();
    let path = places.manifest(args.manifest.manifest.as_deref());
    let choice = choose(args, &places, &path)?;
    let kernels: Vec<&Kernel> = choice.kernels.iter().collect();
    if kernels.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "none of these kernels comes as source: `cargo xtask test` fetches packages by itself; kernels.toml's \
            head shows how to name source",
        ));
    }
    prepare::kernel_tools(&kernels, args.host.install.yes)?;
    let options = Options {
        offline: args.host.offline,
        ..Options::default()
    };
    for artifact in prepare::kernels(&path, &kernels, &options)? {
        host::out!(
            "{}: {} ({}) in {}",
            artifact.id,
            artifact.release,
            artifact.version,
            artifact.dir.display()
        );
    }
    Ok(Exit::Success)
}

/// The kernels that the flags ask for: those that come as source, where none is named.
fn choose(args: &BuildArgs, places: &Places, path: &Path) -> Result<KernelChoice, Failure> {
    if let Some(choice) = kernel_choice::of_tree(&args.tree, &[], &places.configs())? {
        return Ok(choice);
    }
    let manifest = Manifest::load(path)?;
    let all = ["*".to_owned()];
    let is_named = !args.kernel.is_empty();
    let wanted = if is_named { &args.kernel } else { &all[..] };
    let mut selected = manifest.select(wanted)?;
    let patches = &args.tree.patch;
    if patches.is_empty() {
        selected.retain(|kernel| matches!(kernel.source, Source::Tree(_)));
    }
    kernel_choice::of_manifest(&manifest, &selected, is_named, patches, args.manifest.manifest.as_ref())
}
