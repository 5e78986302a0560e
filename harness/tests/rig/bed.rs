//! Runs of the real harness in a directory of their own, and what is to be known of them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use host::places::Places;
use kernels::{Artifact, Manifest, Options};
use run::prepare;
use verdict::results::{Cell, Results};

/// A kernel that passes everything, so that what fails here is what was done to it.
pub const KERNEL: &str = "debian-6.1.192";
/// How long a run may take before the test gives up on it; a run takes some ten seconds.
pub const RUN_WITHIN: Duration = Duration::from_secs(600);

/// Runs of the harness whose results go to a directory of their own, so that nothing shares `latest`.
pub struct Rig {
    /// The directory.
    pub dir: tempfile::TempDir,
}

impl Rig {
    pub fn new() -> Rig {
        let dir = tempfile::tempdir().expect("a directory");
        Rig { dir }
    }

    pub fn bioscope(&self, args: &[&str]) -> Command {
        let mut command = Command::new(crate::clone::bioscope());
        command
            .args(args)
            .env("BIOSCOPE_RUNS", self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub fn test(&self, args: &[&str]) -> Output {
        let all: Vec<&str> = ["test", "--offline", "--accel", "tcg"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        self.bioscope(&all).output().expect("bioscope runs")
    }

    pub fn start(&self, args: &[&str]) -> Child {
        let all: Vec<&str> = ["test", "--offline", "--accel", "tcg"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        let mut command = self.bioscope(&all);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bioscope runs")
    }

    pub fn cells(&self) -> Vec<Cell> {
        let text = std::fs::read(self.dir.path().join("latest/results.json")).expect("results.json");
        serde_json::from_slice::<Results>(&text).expect("results").cells
    }

    /// Processes whose command line names this run's directory or a program, with their command line.
    pub fn processes(&self, program: &str) -> Vec<(i32, String)> {
        let run = self.dir.path().to_string_lossy().into_owned();
        let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok());
        pids.filter_map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let first = line.split(' ').next().unwrap_or_default();
            (line.contains(&run) && first.ends_with(program)).then_some((pid, line))
        })
        .collect()
    }

    /// Waits until a process of this run exists whose program has this name.
    pub fn until_running(&self, program: &str) -> i32 {
        let deadline = Instant::now() + RUN_WITHIN;
        while Instant::now() < deadline {
            if let Some((pid, _)) = self.processes(program).first() {
                return *pid;
            }
            // A process of somebody else's cannot be awaited, only looked for.
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no {program} came up");
    }

    /// Waits until the guest runs its program: the agent's log says that the run phase began.
    pub fn until_in_the_run_phase(&self) {
        let deadline = Instant::now() + RUN_WITHIN;
        while Instant::now() < deadline {
            let logs = find(self.dir.path(), "agent.log");
            let started = logs.iter().any(|log| {
                std::fs::read_to_string(log).is_ok_and(|text| text.contains(r#""event":"phase-start","phase":"run""#))
            });
            if started {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the guest never got to the run phase");
    }

    pub fn assert_nothing_left(&self) {
        for program in ["qemu-system-x86_64", "vhost-blk"] {
            assert_eq!(self.processes(program), [], "{program} is left running");
        }
    }
}

/// The kernel that passes everything, which an earlier run has fetched.
pub fn stored_kernel(places: &Places) -> Artifact {
    let manifest_path = places.root.join("kernels.toml");
    let manifest = Manifest::load(&manifest_path).expect("kernels.toml");
    let selected = manifest.select(&[KERNEL]).expect("the kernel");
    let offline = Options {
        offline: true,
        ..Options::default()
    };
    let mut artifacts = prepare::kernels(&manifest_path, &selected, &offline).expect("the kernel in the store");
    artifacts.remove(0)
}

pub fn find(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(find(&path, name));
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(path);
        }
    }
    found
}

pub fn chaos(what: &str) -> String {
    format!("{} {what}", Places::find().guest_bins.join("chaos").display())
}

pub fn kill(pid: i32) {
    let status = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .expect("kill runs");
    assert!(status.success());
}

pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
