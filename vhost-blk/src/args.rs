//! Command line to settings. Everything that can be wrong is found here, before a socket or a file is made.

mod values;

use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand};
use exit::{Exit, ExitError};
use thiserror::Error;
use vhost_blk::backend::QUEUES_MAX;
use vhost_blk::config::{Config, Offer, serial};
use vhost_blk::disk::{DiskError, Storage};
use vhost_blk::rulebook::replay::{Script, ScriptError};
use vhost_blk::server::{Options, ServeError};
use vhost_blk_api::control;
use vhost_blk_api::op::Op;
use vhost_blk_api::plan::explain::explain;
use vhost_blk_api::plan::{Plan, PlanError, Rule, RuleError, file, reference};
use vhost_blk_api::trace::show::{Filter, NoMark, NoRule, listing};
use vhost_blk_api::trace::summary::summary;
use vhost_blk_api::trace::{self, Status};

use crate::ctl::{Ctl, NotDone};
use values::{block_size, directory, history_bytes, op, queue_size, sectors, serial_text, size_max, status};

/// A vhost-user block device that injects faults.
///
/// Serves a raw image to a vhost-user front end (QEMU and others). The image is never written: what the guest writes
/// lives in memory, or in a file without a name, and ends with this process. Prints `ready` when it listens. When it
/// ends it names the rules that never fired.
///
/// Once it listens it keeps no more rights than it needs (landlock, seccomp): it opens no file but for exports, and a
/// system call that it has no need of ends it by the signal SIGSYS, with a word on what it was.
///
/// Exit codes: 0 ended in order, 64 bad usage or a rule that does not parse, 65 a plan or trace with something wrong in
/// it, or a trace that cannot be replayed, 66 a file or directory that was named does not exist, cannot be read or is
/// of the wrong kind, 69 no device answers (ctl), 71 the system refuses something, 73 a socket or a file cannot be
/// made.
#[derive(Debug, Parser)]
#[command(
    name = "vhost-blk",
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
struct Args {
    #[command(subcommand)]
    command: Option<Question>,
    #[command(flatten)]
    serve: Option<Serve>,
}

/// What can be asked without a disk.
#[derive(Debug, Subcommand)]
enum Question {
    /// Say in a sentence what a rule will do
    Explain {
        /// The rule: 'fail write nth=3', or its words one by one
        #[arg(required = true)]
        rule: Vec<String>,
    },
    /// Tell a running device what to do: add a rule, list rules, cut the power, resize the disk, …
    Ctl(Ctl),
    /// Print a trace, a line a request, or what it comes to
    Trace(ShowTrace),
    /// Print a reference page, in Markdown
    Reference {
        /// Of what: the rule language, or the commands of the control socket
        #[arg(default_value = "rules", value_parser = ["rules", "control"])]
        of: String,
    },
}

#[derive(Debug, clap::Args)]
struct ShowTrace {
    /// The trace
    file: PathBuf,
    /// Only what it comes to: latencies, faults by rule, queue depth over time
    #[arg(long)]
    summary: bool,
    /// Only requests of this operation
    #[arg(long, value_name = "OP", value_parser = op)]
    op: Option<Op>,
    /// Only requests to which this rule was applied
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only requests that ended so: ok, ioerr, unsupp or dropped
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<Status>,
    /// Only requests that touch these sectors of 512 bytes, A..B, and what changes the whole disk
    #[arg(long, value_name = "A..B", value_parser = sectors)]
    sectors: Option<Range<u64>>,
    /// Only from this mark on, the last of the name
    #[arg(long, value_name = "MARK")]
    from: Option<String>,
    /// Only up to this mark
    #[arg(long, value_name = "MARK")]
    to: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// Socket for the front end
    #[arg(long, value_name = "PATH", required = true)]
    socket: PathBuf,
    /// Raw image to serve
    #[arg(long, value_name = "FILE", required = true)]
    image: PathBuf,
    /// Plan in TOML: `seed` and `rules`
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// A rule, after those of the plan; can be given more than once
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Make the decisions of this trace again, request by request, instead of following rules
    #[arg(long, value_name = "TRACE", conflicts_with_all = ["plan", "rules", "seed"])]
    replay: Option<PathBuf>,
    /// Seed of all random choices, in place of the plan's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Socket for commands
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// File for the trace, JSON lines
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Keep up to this many bytes of history, to roll back to marks (k, M, G as suffix); it costs two copies of what is
    /// written
    #[arg(long, value_name = "BYTES", value_parser = history_bytes)]
    history: Option<u64>,
    /// Where what the guest writes lives: memory, or a file without a name that is read and written, like the image,
    /// through io_uring
    #[arg(long, value_name = "WHERE", default_value = "memory", value_parser = ["memory", "file"])]
    storage: String,
    /// For --storage file: where the file is made; the system's directory for temporary files if not given
    #[arg(long, value_name = "DIR")]
    storage_dir: Option<PathBuf>,
    /// Number of queues offered
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(QUEUES_MAX))
    )]
    num_queues: u16,
    /// Largest queue size that a front end may choose, a power of two
    #[arg(long, value_name = "N", default_value = "1024", value_parser = queue_size)]
    queue_size: u16,
    /// Most data buffers of one request
    #[arg(long, value_name = "N", default_value_t = 126, value_parser = clap::value_parser!(u32).range(1..=1024))]
    seg_max: u32,
    /// Largest data buffer in bytes; with --seg-max it decides where the guest splits its requests
    #[arg(long, value_name = "BYTES", value_parser = size_max)]
    size_max: Option<u32>,
    /// Logical block size in bytes
    #[arg(long, value_name = "BYTES", default_value = "512", value_parser = block_size)]
    block_size: u32,
    /// Refuses all writing
    #[arg(long)]
    read_only: bool,
    /// Serial number, at most 20 bytes
    #[arg(long, value_name = "TEXT", default_value = "bioscope", value_parser = serial_text)]
    serial: String,
    /// Offers no write cache (no flushes)
    #[arg(long)]
    no_flush: bool,
    /// Offers no discard
    #[arg(long)]
    no_discard: bool,
    /// Offers no write-zeroes
    #[arg(long)]
    no_write_zeroes: bool,
    /// Offers no indirect descriptors
    #[arg(long)]
    no_indirect: bool,
    /// Offers no event index
    #[arg(long)]
    no_event_idx: bool,
    /// Where control clients may have files written (`export`, `export-log`): below this directory; can be given more
    /// than once [default: the current directory, unless that is /, and that of the control socket]
    #[arg(long = "export-dir", value_name = "DIR", value_parser = directory)]
    export_dirs: Vec<PathBuf>,
    /// Keeps all rights of the user that started it
    #[arg(long)]
    no_sandbox: bool,
    /// Is killed when the thread that started it ends
    #[arg(long)]
    die_with_parent: bool,
    /// Ends when the first front end is gone
    #[arg(long)]
    once: bool,
}

/// What the command line comes to.
pub struct Settings {
    pub history: Option<u64>,
    /// A trace, and its script.
    pub replay: Option<(PathBuf, Script)>,
    pub image: PathBuf,
    pub storage: Storage,
    pub trace: Option<PathBuf>,
    pub config: Config,
    pub plan: Plan,
    pub listen: Options,
    pub die_with_parent: bool,
}

/// Why the device does not run.
#[derive(Debug, Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(clap::Error),
    #[error("bad rule: {}", .0.render())]
    Rule(#[from] RuleError),
    /// A rule of `--rule`, with its place.
    #[error(transparent)]
    RuleOption(PlanError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    ReadTrace(#[from] trace::ReadError),
    #[error("cannot replay {}: {problem}", path.display())]
    Script { path: PathBuf, problem: ScriptError },
    #[error(transparent)]
    NoMark(#[from] NoMark),
    #[error(transparent)]
    NoRule(#[from] NoRule),
    #[error("cannot create the trace {}: {source}", path.display())]
    Trace { path: PathBuf, source: io::Error },
    #[error("the trace would be written over {}, the file of `{option}`: expected another name for `--trace`", path.display())]
    TraceOver { path: PathBuf, option: &'static str },
    #[error(transparent)]
    NotDone(#[from] NotDone),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("{what}: {source}")]
    System { what: &'static str, source: io::Error },
}

/// What the command line asks for.
pub enum Task {
    /// Serve a disk.
    Serve(Box<Settings>),
    /// Tell a running device something.
    Tell(Ctl),
    /// Say this.
    Say(String),
}

impl Task {
    pub fn from_command_line() -> Result<Task, Failure> {
        let args = Args::try_parse().map_err(Failure::Usage)?;
        match (args.command, args.serve) {
            (Some(Question::Explain { rule }), _) => {
                let rule: Rule = rule.join(" ").parse()?;
                Ok(Task::Say(format!("{}\n", explain(&rule))))
            }
            (Some(Question::Ctl(ctl)), _) => Ok(Task::Tell(ctl)),
            (Some(Question::Trace(wanted)), _) => wanted.text().map(Task::Say),
            (Some(Question::Reference { of }), _) => Ok(Task::Say(match of.as_str() {
                "control" => control::reference(),
                _ => reference(),
            })),
            (None, Some(serve)) if serve.storage_dir.is_some() && serve.storage != "file" => {
                Err(Failure::Usage(Args::command().error(
                    clap::error::ErrorKind::ArgumentConflict,
                    "--storage-dir is for --storage file: give both or neither",
                )))
            }
            (None, Some(serve)) => Settings::of(serve).map(|settings| Task::Serve(Box::new(settings))),
            (None, None) => {
                let missing = Args::command().error(
                    clap::error::ErrorKind::MissingRequiredArgument,
                    "expected --socket PATH and --image FILE, or one of the commands explain, ctl, trace and reference",
                );
                Err(Failure::Usage(missing))
            }
        }
    }
}

/// Whether two names are of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some() && identity(one) == identity(other)
}

/// The script of a trace.
fn script(path: PathBuf) -> Result<(PathBuf, Script), Failure> {
    match Script::of(&trace::read(&path)?) {
        Ok(script) => Ok((path, script)),
        Err(problem) => Err(Failure::Script { path, problem }),
    }
}

impl ShowTrace {
    fn text(self) -> Result<String, Failure> {
        let records = trace::read(&self.file)?;
        let filter = Filter {
            op: self.op,
            rule: self.rule,
            status: self.status,
            sectors: self.sectors,
            from: self.from,
            to: self.to,
        };
        filter.check(&records)?;
        Ok(if self.summary {
            summary(&records, &filter)?
        } else {
            listing(filter.part(&records)?, &filter)
        })
    }
}

impl Settings {
    fn of(args: Serve) -> Result<Settings, Failure> {
        if let Some(trace) = &args.trace {
            let read = [
                ("--image", Some(&args.image)),
                ("--replay", args.replay.as_ref()),
                ("--plan", args.plan.as_ref()),
            ];
            for (option, file) in read {
                if file.is_some_and(|file| is_same(file, trace)) {
                    let path = trace.clone();
                    return Err(Failure::TraceOver { path, option });
                }
            }
        }
        let mut plan = args.plan.as_deref().map(file::read).transpose()?.unwrap_or_default();
        for text in &args.rules {
            let rule = file::parse_option(text, &plan).map_err(Failure::RuleOption)?;
            plan.rules.push(rule);
        }
        plan.seed = args.seed.unwrap_or(plan.seed);
        let replay = args.replay.map(script).transpose()?;
        if let Some((_, script)) = &replay {
            plan.seed = script.seed();
        }
        let config = Config {
            num_queues: args.num_queues,
            queue_size: args.queue_size,
            seg_max: args.seg_max,
            size_max: args.size_max,
            block_size: args.block_size,
            read_only: args.read_only,
            serial: serial(&args.serial),
            offer: Offer {
                flush: !args.no_flush,
                discard: !args.no_discard,
                write_zeroes: !args.no_write_zeroes,
                indirect: !args.no_indirect,
                event_idx: !args.no_event_idx,
            },
        };
        Ok(Settings {
            image: args.image,
            storage: match args.storage.as_str() {
                "file" => Storage::File {
                    dir: args.storage_dir.unwrap_or_else(std::env::temp_dir),
                },
                _ => Storage::Memory,
            },
            history: args.history,
            replay,
            trace: args.trace,
            config,
            plan,
            listen: Options {
                socket: args.socket,
                control: args.control,
                once: args.once,
                sandbox: !args.no_sandbox,
                export_dirs: args.export_dirs,
            },
            die_with_parent: args.die_with_parent,
        })
    }
}

impl Failure {
    pub fn trace(path: Option<&Path>, source: io::Error) -> Failure {
        Failure::Trace {
            path: path.unwrap_or(Path::new("")).to_owned(),
            source,
        }
    }

    pub fn system(what: &'static str, source: io::Error) -> Failure {
        Failure::System { what, source }
    }

    pub fn print(&self) {
        match self {
            // clap knows colours, and whether it is help for stdout.
            Failure::Usage(error) => {
                let _ = error.print();
            }
            other => vhost_blk::say!("{other}"),
        }
    }
}

impl ExitError for Failure {
    fn exit(&self) -> Exit {
        match self {
            Failure::Usage(error) if !error.use_stderr() => Exit::Success,
            Failure::Usage(_)
            | Failure::Rule(_)
            | Failure::RuleOption(_)
            | Failure::NoMark(_)
            | Failure::NoRule(_)
            | Failure::TraceOver { .. } => Exit::Usage,
            Failure::NotDone(error) => error.exit(),
            Failure::ReadTrace(trace::ReadError::Line { .. } | trace::ReadError::Version { .. })
            | Failure::Script { .. } => Exit::Data,
            Failure::ReadTrace(trace::ReadError::Read { .. }) => Exit::NoInput,
            Failure::Plan(PlanError::Read { .. }) => Exit::NoInput,
            Failure::Plan(PlanError::Text { .. }) => Exit::Data,
            Failure::Disk(DiskError::Written { dir, .. }) if dir.is_dir() => Exit::CannotCreate,
            Failure::Disk(_) => Exit::NoInput,
            Failure::System { .. } | Failure::Serve(ServeError::System { .. } | ServeError::Sandbox(_)) => Exit::System,
            Failure::Trace { .. } | Failure::Output(_) | Failure::Serve(_) => Exit::CannotCreate,
        }
    }
}
