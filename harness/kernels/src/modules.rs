//! Which modules a guest has to load, in which order: kmod's own answer.

use exit::{Exit, ExitError};
use guest_wire::Fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Artifact;
use host::tool::{self, ToolError};

const DEADLINE: Duration = Duration::from_secs(30);

/// Why a driver cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The kernel neither has it built in nor as a module.
    #[error(
        "kernel {release} has no module {module} (looked in {}), and it is not built in: name the package or directory \
        that has it with `--modules`{}",
        looked_in.display(), or_build(module)
    )]
    Missing {
        /// Name of the driver, as modprobe takes it: `virtio_blk`.
        module: String,
        /// The kernel's release.
        release: String,
        /// The directory searched.
        looked_in: PathBuf,
    },
    /// kmod is missing or failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl ExitError for ModuleError {
    fn exit(&self) -> Exit {
        match self {
            ModuleError::Missing { .. } => Exit::NoInput,
            ModuleError::Tool(error) => error.exit(),
        }
    }
}

/// The module files that give a guest these drivers, in load order, each once; what is built in needs none.
///
/// A kernel that came without modules gets an empty list: all has to be built in, and the guest will tell.
///
/// # Errors
/// A driver is neither built in nor there as a module.
pub fn closure(artifact: &Artifact, wanted: &[&str]) -> Result<Vec<PathBuf>, ModuleError> {
    let Some(root) = &artifact.modules_root else {
        return Ok(Vec::new());
    };
    // Nearly always all of them are modules, and one question is enough.
    if let Some(files) = show_depends(root, &artifact.release, wanted)? {
        return Ok(unique(files));
    }
    let mut files = Vec::new();
    for module in wanted {
        let Some(listed) = show_depends(root, &artifact.release, &[module])? else {
            let looked_in = root.join("lib/modules").join(&artifact.release);
            if is_built_in(artifact, &looked_in, module) {
                continue;
            }
            let (module, release) = ((*module).to_owned(), artifact.release.clone());
            return Err(ModuleError::Missing {
                module,
                release,
                looked_in,
            });
        };
        files.extend(listed);
    }
    Ok(unique(files))
}

fn unique(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    for file in files {
        if !kept.contains(&file) {
            kept.push(file);
        }
    }
    kept
}

/// kmod's list for these modules; `None` if it does not know one of them.
fn show_depends(root: &Path, release: &str, modules: &[&str]) -> Result<Option<Vec<PathBuf>>, ToolError> {
    let mut command = tool::command("modprobe", "kmod")?;
    // An empty configuration: blacklists and options of the host are about the host.
    command
        .args(["-C", "/dev/null", "-S", release, "--show-depends", "-a"])
        .arg("-d")
        .arg(root)
        .args(modules);
    let finished = tool::run(&mut command, DEADLINE)?;
    if !finished.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&finished.stdout);
    Ok(Some(
        text.lines()
            .filter_map(|line| Some(PathBuf::from(line.strip_prefix("insmod ")?.trim())))
            .collect(),
    ))
}

/// Packages without modules.builtin leave the kernel's configuration as the witness.
fn is_built_in(artifact: &Artifact, modules: &Path, module: &str) -> bool {
    let listed = std::fs::read_to_string(modules.join("modules.builtin")).unwrap_or_default();
    let file = format!("/{module}.ko");
    let same = |line: &str| line.replace('-', "_").ends_with(&file.replace('-', "_"));
    if listed.lines().any(same) {
        return true;
    }
    let configs = [artifact.dir.join("config"), modules.join("config")];
    let config = configs
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let Some(option) = option_of(module) else { return false };
    config.lines().any(|line| line == format!("{option}=y"))
}

/// The other way to have a module.
fn or_build(module: &str) -> String {
    let option = option_of(module);
    option.map_or_else(String::new, |option| {
        format!(", or build the kernel with {option}=m or =y")
    })
}

/// The option that builds a module, for those that a guest needs.
fn option_of(module: &str) -> Option<String> {
    let name = module.replace('-', "_");
    match name.as_str() {
        "crc32c" => Some("CONFIG_CRYPTO_CRC32C".to_owned()),
        "virtio_pci" | "virtio_blk" => Some(format!("CONFIG_{}", name.to_uppercase())),
        _ => {
            let fs: Fs = name.parse().ok()?;
            Some(format!("CONFIG_{}_FS", fs.as_str().to_uppercase()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_system_has_its_option() {
        let options: Vec<String> = Fs::ALL.into_iter().filter_map(|fs| option_of(fs.as_str())).collect();
        assert_eq!(options.len(), Fs::ALL.len());
        assert_eq!(options[..3], ["CONFIG_BTRFS_FS", "CONFIG_EXT4_FS", "CONFIG_XFS_FS"]);
        assert_eq!(option_of("virtio-blk").as_deref(), Some("CONFIG_VIRTIO_BLK"));
        assert_eq!(option_of("crc32c").as_deref(), Some("CONFIG_CRYPTO_CRC32C"));
        assert_eq!(option_of("floppy"), None);
        let missing = ModuleError::Missing {
            module: "xfs".to_owned(),
            release: "6.1.9".to_owned(),
            looked_in: PathBuf::from("lib/modules/6.1.9"),
        };
        let said = missing.to_string();
        assert!(
            said.ends_with("with `--modules`, or build the kernel with CONFIG_XFS_FS=m or =y"),
            "{said}"
        );
        assert_eq!(missing.exit().code(), 66);
    }
}
