//! A vhost-user block device that injects faults: the command line.

mod args;
mod ctl;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use args::{Failure, Task};
use exit::ExitError;
use vhost_blk::device::Device;
use vhost_blk::disk::Disk;
use vhost_blk::power::log::Keep;
use vhost_blk::{server, trace};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit().into()
        }
    }
}

fn start() -> Result<(), Failure> {
    let started = Instant::now();
    let settings = match Task::from_command_line()? {
        Task::Serve(settings) => settings,
        Task::Tell(ctl) => return Ok(ctl.run()?),
        Task::Say(text) => {
            let mut out = std::io::stdout().lock();
            return match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                // Nobody listens any more when a pager was left early.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
                _ => Ok(()),
            };
        }
    };
    if settings.die_with_parent {
        die_with_parent()?;
    }
    let disk = Disk::open_in(&settings.image, settings.config.block_size, &settings.storage)?;
    if let Some(bytes_max) = settings.history {
        disk.keep_history(Keep::All { bytes_max });
    }
    if let Some((path, script)) = &settings.replay {
        script.fits(disk.bytes()).map_err(|problem| Failure::Script {
            path: path.clone(),
            problem,
        })?;
    }
    let trace = trace::Writer::create(settings.trace.as_deref(), started)
        .map_err(|source| Failure::trace(settings.trace.as_deref(), source))?;
    let device = Arc::new(Device::new(settings.config, disk, trace, started, &settings.plan));
    if let Some((_, script)) = settings.replay {
        device.replay(script);
    }
    server::run(&device, &settings.listen, || {
        // Whoever started us may not care to listen.
        let _ = writeln!(std::io::stdout(), "ready");
    })?;
    Ok(())
}

/// Asks the kernel to kill this process when the thread that spawned it ends.
fn die_with_parent() -> Result<(), Failure> {
    let parent = rustix::process::getppid();
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| Failure::system("--die-with-parent", error.into()))?;
    // It may have ended between the two calls, and then no signal comes.
    if rustix::process::getppid() == parent {
        Ok(())
    } else {
        Err(Failure::system(
            "--die-with-parent",
            std::io::Error::other("the parent is gone already"),
        ))
    }
}
