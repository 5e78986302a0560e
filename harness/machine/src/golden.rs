//! Golden images: freshly made file systems that disks start from, and the check of what is on a disk in the end.

use exit::{Exit, ExitError};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guest_wire::Fs;
use host::cache::{Cache, CacheError};
use host::tool::{self, ToolError};
use kernels::store::hash;

/// Size of every golden image; sparse, so most of it takes no space.
pub(crate) const SIZE_BYTES: u64 = 512 << 20;
/// Changes whenever images would be made differently.
const FORMAT: &str = "1";
const FOLDER: &str = "golden";
/// The same in every image, so that runs can be compared.
const UUID: &str = "b105c09e-0000-4000-8000-000000000001";
const MKFS_DEADLINE: Duration = Duration::from_secs(60);

/// The program that makes a file system, and its package.
fn mkfs(fs: Fs) -> (&'static str, &'static str) {
    match fs {
        Fs::Btrfs => ("mkfs.btrfs", "btrfs-progs"),
        Fs::Ext4 => ("mkfs.ext4", "e2fsprogs"),
        Fs::Xfs => ("mkfs.xfs", "xfsprogs"),
    }
}

/// Options that every mount of a file system gets.
#[must_use]
pub fn mount_options(fs: Fs) -> &'static str {
    match fs {
        Fs::Btrfs | Fs::Ext4 | Fs::Xfs => "",
    }
}

/// Why there is no golden image, or no answer of a check.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// A host tool is missing or failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl ExitError for GoldenError {
    fn exit(&self) -> Exit {
        match self {
            GoldenError::Tool(error) => error.exit(),
            GoldenError::Cache(error) => error.exit(),
        }
    }
}

/// The golden image of a file system; made if the cache has none by this mkfs with these options.
///
/// # Errors
/// mkfs is missing or fails, or the disk is full.
pub fn image(fs: Fs, cache: &Cache) -> Result<PathBuf, GoldenError> {
    let offered = offered(fs)?;
    let options = options(fs, &offered);
    let mut parts = vec![
        FORMAT.to_owned(),
        fs.to_string(),
        SIZE_BYTES.to_string(),
        offered.version,
    ];
    parts.extend(options.iter().cloned());
    let place = cache.folder(FOLDER)?.join(format!("{fs}-{}.img", hash(&parts)));
    if place.is_file() {
        return Ok(place);
    }
    let scratch = cache.scratch(FOLDER)?;
    let made = scratch.path().join("image");
    let file = File::create(&made).map_err(|source| CacheError::io("create", &made, source))?;
    file.set_len(SIZE_BYTES)
        .map_err(|source| CacheError::io("extend", &made, source))?;
    let (program, package) = mkfs(fs);
    tool::run_ok(
        tool::command(program, package)?.args(&options).arg(&made),
        MKFS_DEADLINE,
    )?;
    // Two runs at once make the same; the later one replaces the earlier, whose open files stay valid.
    scratch.publish_file(&made, &place)?;
    Ok(place)
}

/// What the host's mkfs is and can do.
#[derive(Debug, Default)]
struct Offered {
    version: String,
    /// Its own list of features or its usage text.
    features: String,
}

impl Offered {
    fn has(&self, feature: &str) -> bool {
        self.features
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .any(|word| word == feature)
    }
}

fn offered(fs: Fs) -> Result<Offered, ToolError> {
    let (program, package) = mkfs(fs);
    // These answer with an exit code of 1; what counts is what they say.
    let ask = |args: &[&str]| -> Result<String, ToolError> {
        Ok(tool::run(tool::command(program, package)?.args(args), MKFS_DEADLINE)?.text())
    };
    Ok(match fs {
        Fs::Btrfs => Offered {
            version: ask(&["--version"])?,
            features: ask(&["-O", "list-all"])?,
        },
        Fs::Ext4 => Offered {
            version: ask(&["-V"])?,
            features: String::new(),
        },
        Fs::Xfs => Offered {
            version: ask(&["-V"])?,
            features: ask(&["--usage"])?,
        },
    })
}

/// Arguments of mkfs, with every feature named that a later mkfs might switch on: Linux 5.10 has to mount it.
fn options(fs: Fs, offered: &Offered) -> Vec<String> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    match fs {
        Fs::Btrfs => {
            let wanted = ["extref", "skinny-metadata", "no-holes", "free-space-tree"];
            let unwanted = [
                "^block-group-tree",
                "^raid-stripe-tree",
                "^squota",
                "^quota",
                "^extent-tree-v2",
            ];
            let features: Vec<&str> = wanted
                .into_iter()
                .chain(unwanted)
                .filter(|feature| offered.has(feature.trim_start_matches('^')))
                .collect();
            let mut options = words(&format!("-q -U {UUID} -d single -m dup --csum crc32c -n 16384 -s 4096"));
            if !features.is_empty() {
                options.extend(["-O".to_owned(), features.join(",")]);
            }
            options
        }
        // `none` first: what mke2fs.conf switches on by default does not count. No lazy initialisation: it would write
        // behind a test's back for minutes.
        Fs::Ext4 => words(&format!(
            "-q -F -U {UUID} -b 4096 -O none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,\
             metadata_csum,sparse_super,large_file,huge_file,dir_nlink,extra_isize \
             -E lazy_itable_init=0,lazy_journal_init=0,hash_seed={UUID}"
        )),
        Fs::Xfs => {
            let mut options = words(&format!(
                "-q -f -m uuid={UUID},crc=1,finobt=1,reflink=1,rmapbt=0,bigtime=0,inobtcount=0 -b size=4096"
            ));
            let off: Vec<String> = ["nrext64", "exchange"]
                .into_iter()
                .filter(|feature| offered.has(feature))
                .map(|feature| format!("{feature}=0"))
                .collect();
            options.extend([
                "-i".to_owned(),
                ["sparse=1".to_owned()]
                    .into_iter()
                    .chain(off)
                    .collect::<Vec<_>>()
                    .join(","),
            ]);
            if offered.has("parent") {
                options.extend(words("-n parent=0"));
            }
            options
        }
    }
}

/// What a file system checker said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FsckResult {
    /// Whether it found nothing.
    pub clean: bool,
    /// Why its answer says nothing about the image, if so: a feature that it does not know, a failure of its own.
    pub unable: Option<String>,
    /// Standard output and standard error.
    pub output: String,
}

/// Checks an image without changing it.
///
/// # Errors
/// The checker is missing, was killed, or did not end within the deadline.
pub fn check(fs: Fs, image: &Path, deadline: Duration) -> Result<FsckResult, GoldenError> {
    let mut command = match fs {
        Fs::Btrfs => {
            let mut command = tool::command("btrfs", "btrfs-progs")?;
            command.args(["check", "--readonly", "--check-data-csum"]);
            command
        }
        Fs::Ext4 => {
            let mut command = tool::command("e2fsck", "e2fsprogs")?;
            command.arg("-fn");
            command
        }
        Fs::Xfs => {
            let mut command = tool::command("xfs_repair", "xfsprogs")?;
            command.args(["-n", "-f"]);
            command
        }
    };
    // By its name alone, so that what the checker says is the same wherever the image lies.
    match (image.parent(), image.file_name()) {
        (Some(dir), Some(name)) if dir.is_dir() => command.current_dir(dir).arg(name),
        _ => command.arg(image),
    };
    let finished = tool::run(&mut command, deadline)?;
    let Some(code) = finished.status.code() else {
        // Ended by a signal: that is no answer about the image.
        tool::check(&command, finished)?;
        return Ok(FsckResult {
            clean: false,
            unable: Some("it was ended by a signal".to_owned()),
            output: String::new(),
        });
    };
    Ok(answer(fs, code, finished.text()))
}

/// What a checker's exit code and words come to.
fn answer(fs: Fs, code: i32, output: String) -> FsckResult {
    // btrfs check has been seen to exit with 0 after it reported errors.
    let silent = fs != Fs::Btrfs || (output.contains("no error found") && !output.contains("ERROR:"));
    let clean = code == 0 && silent;
    FsckResult {
        clean,
        unable: if clean { None } else { unable(fs, code, &output) },
        output,
    }
}

/// Bits of e2fsck's exit code that say that it could not check: an operational error, usage, cancelled, a library.
const E2FSCK_UNABLE: i32 = 8 | 16 | 32 | 128;

/// What checkers say of an image that they are too old for, or when they lack memory or a file.
const UNABLE: &[&str] = &[
    // btrfs
    "unsupported option features",
    "unsupported optional features",
    "unsupported RO features",
    "unrecognized or unsupported super flag",
    "unsupported checksum algorithm",
    // e2fsck
    "unsupported feature",
    "Get a newer version of e2fsck",
    // xfs_repair
    "found unsupported filesystem features",
    "features enabled in the filesystem",
    "a more recent xfs_repair",
    // all
    "Cannot allocate memory",
];

/// What they say of an image that they cannot open, and why. The reasons alone tell nothing: btrfs check says the same
/// of a tree block or a root that is missing.
const OPENS: &[&str] = &[
    "mount check: cannot open ",
    "could not check mount status",
    "while trying to open ",
    "xfs_repair: cannot open ",
];
const UNOPENED: &[&str] = &["No such file or directory", "Permission denied"];

/// Why a checker's answer says nothing about the image, if so.
fn unable(fs: Fs, code: i32, output: &str) -> Option<String> {
    let any = |words: &[&str], line: &str| words.iter().any(|words| line.contains(words));
    let said = |line: &&str| any(UNABLE, line) || (any(OPENS, line) && any(UNOPENED, line));
    let line = output.lines().find(said).map(|line| line.trim().to_owned());
    line.or_else(|| {
        let last = output.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        (fs == Fs::Ext4 && code & E2FSCK_UNABLE != 0).then(|| format!("e2fsck exited with code {code}: {last}"))
    })
}

/// Versions of the tools that make a file system and check it, as they say them.
///
/// # Errors
/// One of them is missing.
pub fn versions(fs: Fs) -> Result<(String, String), ToolError> {
    let mut checker = match fs {
        Fs::Btrfs => tool::command("btrfs", "btrfs-progs")?,
        Fs::Ext4 => tool::command("e2fsck", "e2fsprogs")?,
        Fs::Xfs => tool::command("xfs_repair", "xfsprogs")?,
    };
    checker.arg(if fs == Fs::Btrfs { "--version" } else { "-V" });
    let first_line = |text: &str| text.lines().next().unwrap_or_default().trim().to_owned();
    let checks = tool::run(&mut checker, MKFS_DEADLINE)?.text();
    Ok((first_line(&offered(fs)?.version), first_line(&checks)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_features_that_mkfs_knows_are_named() {
        let features = "no-holes - x\nblock-group-tree - y\n".to_owned();
        let offered = Offered {
            version: String::new(),
            features,
        };
        assert!(options(Fs::Btrfs, &offered).ends_with(&["-O".to_owned(), "no-holes,^block-group-tree".to_owned()]));
        let old = options(Fs::Xfs, &Offered::default()).join(" ");
        assert!(old.ends_with("-i sparse=1"), "{old}");
        let new = Offered {
            version: String::new(),
            features: "nrext64=0|1,exchange=0|1 parent=0|1".to_owned(),
        };
        assert!(
            options(Fs::Xfs, &new)
                .join(" ")
                .ends_with("-i sparse=1,nrext64=0,exchange=0 -n parent=0")
        );
    }

    #[test]
    fn a_checker_that_cannot_check_says_nothing_of_the_image() {
        let unable = |fs, code, output: &str| answer(fs, code, output.to_owned()).unable;
        let old_btrfs = "Opening filesystem to check...\n\
                         couldn't open because of unsupported option features (0x5000).\n\
                         ERROR: cannot open file system\n";
        assert_eq!(
            unable(Fs::Btrfs, 1, old_btrfs).as_deref(),
            Some("couldn't open because of unsupported option features (0x5000).")
        );
        let old_e2fsck = "e2fsck 1.47.0 (5-Feb-2023)\n/disk.raw has unsupported feature(s): FEATURE_R27\n\
                          e2fsck: Get a newer version of e2fsck!\n";
        assert!(unable(Fs::Ext4, 8, old_e2fsck).is_some_and(|why| why.contains("FEATURE_R27")));
        assert!(
            unable(
                Fs::Ext4,
                8,
                "e2fsck: Input/output error while trying to open /disk.raw\n"
            )
            .is_some()
        );
        let old_xfs = "Phase 1 - find and verify superblock...\nSuperblock has unknown incompat features (0x100) \
                       enabled in the filesystem.\nUsing a more recent xfs_repair is recommended.\n";
        assert!(unable(Fs::Xfs, 1, old_xfs).is_some());
    }

    #[test]
    fn a_missing_image_is_no_missing_tree_block() {
        let unable = |fs, output: &str| answer(fs, 1, output.to_owned()).unable.is_some();
        for missing in [
            "ERROR: mount check: cannot open disk.raw: No such file or directory\n",
            "ERROR: could not check mount status: No such file or directory\n",
        ] {
            assert!(unable(Fs::Btrfs, missing), "{missing}");
        }
        assert!(unable(
            Fs::Xfs,
            "xfs_repair: cannot open disk.raw: No such file or directory\n"
        ));
        assert!(unable(
            Fs::Ext4,
            "e2fsck: Permission denied while trying to open disk.raw\n"
        ));
        for corrupt in [
            "ERROR: failed to load root csum: No such file or directory\nERROR: cannot open file system\n",
            "ERROR: failed to repair root items: No such file or directory\n",
        ] {
            assert!(!unable(Fs::Btrfs, corrupt), "{corrupt}");
        }
    }

    #[test]
    fn a_checker_that_finds_something_did_check() {
        let found = answer(
            Fs::Ext4,
            4,
            "Inode 12, i_blocks is 8, should be 16.  Fix? no\n".to_owned(),
        );
        assert_eq!((found.clean, found.unable), (false, None));
        let found = answer(Fs::Btrfs, 1, "root 5 inode 257 errors 100\n".to_owned());
        assert_eq!((found.clean, found.unable), (false, None));
        let silent = answer(Fs::Btrfs, 0, "ERROR: x\nno error found\n".to_owned());
        assert_eq!((silent.clean, silent.unable), (false, None));
        let clean = answer(Fs::Btrfs, 0, "found 147456 bytes used, no error found\n".to_owned());
        assert_eq!((clean.clean, clean.unable), (true, None));
    }
}
