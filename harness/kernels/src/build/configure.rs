//! A kernel's configuration made by its own tools, and what decides how it comes out.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::super::store::hex;
use super::super::tree::ConfigPart;
use super::closure::is_kconfig;
use super::config::{self, Options};
use super::error::BuildError;
use super::external::Named;
use super::job::{Job, write};
use super::kconfig::{self, Declared};
use super::make::{self, Make};
use host::cache::CacheError;
use host::progress::Progress;
use host::tool;

/// What makefiles call a program that Kconfig asks for its version, and its usual name.
const ASKED: [(&str, &str); 3] = [("PAHOLE", "pahole"), ("RUSTC", "rustc"), ("BINDGEN", "bindgen")];
const ASKED_DEADLINE: Duration = Duration::from_secs(60);

impl Job<'_> {
    /// The sum of all that decides the configuration.
    pub(super) fn config_inputs(&self) -> String {
        let mut files: Vec<&String> = self.all.keys().filter(|path| decides(path)).collect();
        files.sort();
        let mut sum = Sha256::new();
        for path in files {
            sum.update(format!("{path} {}\n", self.all[path]));
        }
        for part in &self.source.config {
            sum.update(format!("{part}\n"));
        }
        for (_, text) in &self.parts {
            sum.update(format!("{}\n{text}", text.len()));
        }
        // What is asked for depends on the version that the tree calls itself.
        let (major, minor, sub) = self.version;
        sum.update(format!("{major}.{minor}.{sub}"));
        sum.update(self.with());
        sum.update(self.asked_tools());
        hex(&sum.finalize())
    }

    /// Programs besides the compiler that Kconfig asks for their versions, and what they say: with one that comes later
    /// options appear.
    fn asked_tools(&self) -> String {
        let said = ASKED.iter().map(|(variable, program)| {
            let program = self.variables.get(*variable).map_or(*program, String::as_str);
            let version = tool::command(program, "")
                .and_then(|mut command| tool::run(command.arg("--version"), ASKED_DEADLINE))
                .map_or_else(|_| String::new(), |finished| finished.text());
            format!("{variable} {}\n", version.lines().next().unwrap_or_default())
        });
        said.collect()
    }

    /// Makes the configuration; gives back its sum.
    pub(super) fn configure(&self, make: &Make<'_>, progress: &Progress) -> Result<String, BuildError> {
        let place = make.objects.join(".config");
        let jobs = make::jobs();
        let mut fragments = self.parts.as_slice();
        match self.source.config.first() {
            Some(ConfigPart::Default) => drop(make.run(&["defconfig"], jobs, None)?),
            Some(ConfigPart::Whole(_)) => {
                if let Some(((_, text), rest)) = self.parts.split_first() {
                    write(&place, text)?;
                    fragments = rest;
                }
            }
            _ => drop(make.run(&["tinyconfig"], jobs, None)?),
        }
        let read = || fs::read_to_string(&place).map_err(|source| CacheError::io("read", &place, source));
        let mut options = Options::parse(&read()?);
        for (_, text) in fragments {
            options.merge(text);
        }
        write(&place, &options.to_text())?;
        make.run(&["olddefconfig"], jobs, None)?;
        let text = read()?;
        let sourced = OnceCell::new();
        let declared = |option: &str| declared(sourced.get_or_init(|| sourced_of(make.source)), option);
        let lost = config::lost(&self.asked, self.version, &Options::parse(&text), declared);
        for gone in &lost.left_out {
            let (major, minor, _) = self.version;
            progress.say(&format!(
                "{}: {gone}, though it calls itself {major}.{minor}: left out",
                self.id
            ));
        }
        for gone in &lost.not_asked {
            let (major, minor, _) = self.version;
            progress.say(&format!(
                "{}: {gone}, which its rule does not ask of {major}.{minor}: left out",
                self.id
            ));
        }
        if !lost.vanished.is_empty() {
            return Err(BuildError::Vanished {
                id: self.id.to_owned(),
                vanished: lost.vanished,
            });
        }
        let named = Named::by(&Options::parse(&text), make.source);
        if !named.outside.is_empty() {
            return Err(BuildError::External {
                id: self.id.to_owned(),
                options: named.outside,
            });
        }
        config_sum(make.objects)
            .ok_or_else(|| CacheError::io("read", &place, std::io::ErrorKind::NotFound.into()).into())
    }
}

/// The texts of the Kconfig files that decide which options a source has.
fn sourced_of(folder: &Path) -> Vec<String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    kconfig::sourced(|path| fs::read(folder.join(path)).ok().map(text))
}

/// What the source says of an option.
fn declared(sourced: &[String], option: &str) -> Option<Declared> {
    let said = sourced.iter().filter_map(|text| kconfig::declaration(text, option));
    said.reduce(Declared::or)
}

/// Whether a file decides how a configuration comes out: which options there are, what the base has, and what the
/// scripts say that Kconfig asks about compiler and linker.
fn decides(path: &str) -> bool {
    is_kconfig(path)
        || path.starts_with("scripts/kconfig/")
        || (path.starts_with("scripts/") && path.ends_with(".sh"))
        || path.ends_with("tiny.config")
        || path.ends_with("tiny-base.config")
        || path.ends_with("x86_64_defconfig")
}

/// The sum of the configuration that stands in a directory of objects, if one does.
pub(super) fn config_sum(objects: &Path) -> Option<String> {
    let text = fs::read_to_string(objects.join(".config")).ok()?;
    let mut sum = Sha256::new();
    // The head comment names the version and the compiler; the options are what counts.
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') || line.ends_with(" is not set"))
    {
        sum.update(line);
        sum.update([b'\n']);
    }
    Some(hex(&sum.finalize()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use host::cache::Cache;

    use super::*;
    use crate::source::{Repo, Tree};
    use crate::tree::{Origin, TreeSource};

    /// A source whose configuration is what fragments ask for.
    const SOURCE: &str = "
        git init -q -b main .
        printf 'tinyconfig olddefconfig:\n\t@touch $(O)/.config\n' > Makefile
        echo 'mainmenu \"Linux\"' > Kconfig
        git add -A; git write-tree
    ";

    struct Bed {
        dir: tempfile::TempDir,
        repo: Repo,
        tree: Tree,
    }

    impl Bed {
        fn new() -> Bed {
            let dir = tempfile::tempdir().expect("a directory");
            let repo = Repo::open(&Cache::at(dir.path().join("cache"))).expect("a repository");
            let source = dir.path().join("source");
            for folder in [&source, &dir.path().join("objects")] {
                fs::create_dir(folder).expect("a directory");
            }
            let output = Command::new("sh").args(["-ec", SOURCE]).current_dir(&source).output();
            let id = String::from_utf8(output.expect("sh").stdout).expect("text");
            let tree = Tree {
                id: id.trim().to_owned(),
                name: "a".to_owned(),
                alternates: vec![source.join(".git/objects")],
            };
            Bed { dir, repo, tree }
        }

        /// What a job for it does, with this fragment and these variables.
        fn job<T>(&self, fragment: &str, variables: &[(&str, &str)], run: impl FnOnce(&Job<'_>) -> T) -> T {
            let path = self.dir.path().join("my.config");
            fs::write(&path, fragment).expect("a file");
            // No compiler is needed for that.
            let variables = [("LD", "sh")].iter().chain(variables);
            let source = TreeSource {
                origin: Origin::Git {
                    repository: "linux".to_owned(),
                    rev: "HEAD".to_owned(),
                    dirty: false,
                },
                patches: Vec::new(),
                config: vec![
                    ConfigPart::Tiny,
                    ConfigPart::Fragment {
                        name: "my".to_owned(),
                        path,
                    },
                ],
                cc: Some("sh".to_owned()),
                make: variables
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect::<BTreeMap<_, _>>(),
            };
            let job = Job::new(&self.repo, "a", &self.tree, &self.tree, &source).expect("a job");
            run(&job)
        }
    }

    #[test]
    fn files_from_outside_of_the_source_are_refused() {
        let bed = Bed::new();
        let place = |name: &str| bed.dir.path().join(name);
        let lock = fs::File::create(place("lock")).expect("a file");
        let configured = |fragment: &str| {
            bed.job(fragment, &[], |job| {
                let make = Make {
                    source: &place("source"),
                    objects: &place("objects"),
                    variables: job.variables.clone(),
                    lock: lock.as_fd(),
                    log: &place("log"),
                    stop: None,
                };
                job.configure(&make, &Progress::hidden())
            })
        };
        configured("CONFIG_EXTRA_FIRMWARE=\"\"\n").expect("a configuration");
        let firmware = "CONFIG_EXTRA_FIRMWARE=\"a.bin\"\nCONFIG_EXTRA_FIRMWARE_DIR=\"/lib/firmware\"\n";
        let error = configured(firmware).expect_err("it is outside");
        assert_eq!(exit::ExitError::exit(&error).code(), 65);
        let said = error.to_string();
        assert!(
            said.contains("no part of its source, so a change in them would go unseen")
                && said.contains("\n  CONFIG_EXTRA_FIRMWARE=\"a.bin\"\n"),
            "{said}"
        );
    }

    #[test]
    fn a_program_that_kconfig_asks_decides_too() {
        let bed = Bed::new();
        let pahole = bed.dir.path().join("pahole");
        let inputs = |says: &str| {
            fs::write(&pahole, format!("#!/bin/sh\necho {says}\n")).expect("a file");
            fs::set_permissions(&pahole, fs::Permissions::from_mode(0o755)).expect("a mode");
            let variables = [("PAHOLE", pahole.to_str().expect("text"))];
            bed.job("", &variables, |job| (job.with(), job.config_inputs()))
        };
        let (old, new) = (inputs("v1.24"), inputs("v1.25"));
        assert_eq!(old, inputs("v1.24"));
        assert_eq!(old.0, new.0);
        assert_ne!(old.1, new.1);
    }

    #[test]
    fn a_kconfig_file_in_another_encoding_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("Kconfig"), b"# M\xfcller\nconfig A\n\tbool \"A\"\n").expect("a file");
        let said = declared(&sourced_of(dir.path()), "A").expect("it is declared");
        assert!(said.has_prompt);
    }

    #[test]
    fn what_kconfig_asks_decides_too() {
        for path in [
            "lib/Kconfig.debug",
            "scripts/kconfig/confdata.c",
            "scripts/gcc-x86_64-has-stack-protector.sh",
            "kernel/configs/tiny-base.config",
            "arch/x86/configs/x86_64_defconfig",
        ] {
            assert!(decides(path), "{path}");
        }
        for path in ["Makefile", "scripts/checkpatch.pl", "fs/open.c", "tools/build/x.sh"] {
            assert!(!decides(path), "{path}");
        }
    }
}
