//! `cargo xtask shell`: a kernel with a prompt on the serial line and the fault-injecting disk at /dev/vda; the second
//! serial line is that of the guest's `inject`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vhost_blk_api::control::{Command, Reply};

use clap::{ArgGroup, Args};
use exit::{Exit, Failure};
use guest_wire::Fs;
use host::atomic;
use host::places::Places;
use host::scratch;
use kernels::{Artifact, Kernel, Manifest, Options};
use machine::{Assembled, Device, Launch, MachineSpec, shell};
use run::inject;
use run::{exec, prepare};

use super::kernel_choice::{self, KernelChoice};
use crate::flags::{AccelArgs, HostArgs, ImageArgs, ManifestArgs, OF_TREE, TreeArgs, file_system};

/// Where a running shell says how to reach its device.
const CURRENT: &str = "shell.json";

/// A running shell.
#[derive(Debug, Serialize, Deserialize)]
struct Current {
    /// The device's control socket.
    control: PathBuf,
    /// Process id of the harness that runs it.
    pid: u32,
}

/// The control socket of the shell that runs now, if one does.
pub(crate) fn current(places: &Places) -> Option<PathBuf> {
    let current: Current = serde_json::from_slice(&std::fs::read(places.runs().join(CURRENT)).ok()?).ok()?;
    let alive = Path::new("/proc").join(current.pid.to_string()).exists() && current.control.exists();
    alive.then_some(current.control)
}

/// `cargo xtask shell`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["kernel", "image", "tree"]))]
pub(crate) struct ShellArgs {
    /// The kernel to boot: one of kernels.toml, by its id.
    #[arg(long, value_name = "ID", conflicts_with_all = OF_TREE)]
    pub(crate) kernel: Option<String>,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    #[command(flatten)]
    pub(crate) tree: TreeArgs,
    /// File system of the disk.
    #[arg(long, value_name = "FS", default_value = "btrfs", value_parser = file_system)]
    pub(crate) fs: Fs,
    /// Rules that are in force from the start; may be given more than once.
    #[arg(long, value_name = "RULE")]
    pub(crate) rule: Vec<String>,
    /// Where `inject export` and `inject log` may write: below this directory; may be given more than once [default:
    /// the current directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) export_dir: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) accel: AccelArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
}

/// Runs the command until the person powers the guest off or ends QEMU.
///
/// # Errors
/// The kernel cannot be had, or device or QEMU cannot be started.
pub(crate) fn run(args: &ShellArgs) -> Result<Exit, Failure> {
    let places = Places::find();
    let manifest_path = places.manifest(args.manifest.manifest.as_deref());
    let kernel = &choose(args, &places, &manifest_path)?;
    for rule in &args.rule {
        exec::check_rule(rule)?;
    }
    prepare::host(args.host.install.yes)?;
    prepare::kernel_tools(&[kernel], args.host.install.yes)?;
    let options = Options {
        offline: args.host.offline,
        ..Options::default()
    };
    let artifacts = prepare::kernels(&manifest_path, &[kernel], &options)?;
    let images = prepare::images(&[args.fs].into())?;
    let accel = prepare::accel(args.accel.into(), &places, &artifacts, &images)?;
    let (Some(artifact), Some(image)) = (artifacts.first(), images.get(&args.fs)) else {
        return Err(Failure::new(Exit::Internal, "the kernel or its disk was not prepared"));
    };
    let scratch = scratch::make().map_err(|error| Failure::cannot_create("a temporary directory", &error))?;
    let initramfs = shell::pack(&exec::busybox()?, &places.guest_bins, artifact, args.fs, scratch.path())?;
    let spec = MachineSpec::for_shell(accel, artifact, initramfs, image.clone());
    let launch = Launch {
        exports: args.export_dir.clone(),
        ..Launch::new(&places.vhost_blk, scratch.path(), scratch.path())
    };
    let mut assembled = Assembled::new(spec, launch)?;
    for rule in &args.rule {
        assembled.device().call("add", &Command::Add { rule: rule.clone() })?;
    }
    let control = assembled.device().control.clone();
    announce(&places, &control, artifact)?;
    let ran = assembled.power_on().map_err(Failure::from).and_then(|mut machine| {
        machine
            .in_foreground(|line| inject::serve(line, &control))
            .map_err(|error| Failure::foreign(Exit::Unavailable, &error))?;
        Ok(machine)
    });
    let _ = std::fs::remove_file(places.runs().join(CURRENT));
    tell_unfired(ran?.device());
    Ok(Exit::Success)
}

/// The one kernel that the flags ask for.
fn choose(args: &ShellArgs, places: &Places, manifest_path: &Path) -> Result<Kernel, Failure> {
    if let Some(choice) = args.image.chosen()? {
        return only(choice, "--image");
    }
    if let Some(choice) = kernel_choice::of_tree(&args.tree, &[args.fs], &places.configs())? {
        return only(choice, "--tree");
    }
    let id = args.kernel.as_deref().unwrap_or_default();
    let manifest = Manifest::load(manifest_path)?;
    let selected = manifest.select(&[id])?;
    let named = args.manifest.manifest.as_ref();
    let choice = kernel_choice::of_manifest(&manifest, &selected, true, &args.tree.patch, named)?;
    only(choice, id)
}

fn only(choice: KernelChoice, what: &str) -> Result<Kernel, Failure> {
    let matching = choice.kernels.len();
    let mut kernels = choice.kernels.into_iter();
    match (kernels.next(), kernels.next()) {
        (Some(kernel), None) => Ok(kernel),
        _ => Err(Failure::new(
            Exit::Usage,
            format!("a shell boots one kernel; `{what}` matches {matching}"),
        )),
    }
}

/// Says which of the rules that are in force did nothing. A device that is gone is past saying.
fn tell_unfired(device: &mut Device) {
    let command = Command::List;
    let Ok(Reply::Rules { mut rules }) = device.call("list", &command) else {
        return;
    };
    rules.retain(|rule| rule.hits == 0);
    if !rules.is_empty() {
        let rules = inject::say(&command, &Reply::Rules { rules });
        host::note!("rules that never fired:\n{rules}");
    }
}

/// Says how to get out and how to inject, and leaves word for `inject`.
fn announce(places: &Places, control: &Path, artifact: &Artifact) -> Result<(), Failure> {
    let current = Current {
        control: control.to_path_buf(),
        pid: std::process::id(),
    };
    let json = serde_json::to_vec(&current).map_err(|error| Failure::foreign(Exit::Internal, &error))?;
    let path = places.runs().join(CURRENT);
    let written = std::fs::create_dir_all(places.runs()).and_then(|()| atomic::write(&path, &json));
    written.map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))?;
    host::note!(
        "booting {} ({}); `poweroff` (which unmounts; `poweroff -f` does not) or Ctrl-A X ends it\n\
         from another terminal: cargo xtask inject 'fail write limit=1' | list | clear | stats\n\
         and inside the guest:  inject 'fail write limit=1' | list | clear | stats",
        artifact.id,
        artifact.release
    );
    Ok(())
}
