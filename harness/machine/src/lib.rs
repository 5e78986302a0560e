//! Machines: QEMU, the processes of the block device, and the line to the program in the guest.
//!
//! There is one [`Machine`], and every command gets its own here:
//!
//! - a [`MachineSpec`] says what the machine is to its guest: kernel, command line, memory, CPUs, console, disks. It is
//!   plain data and can be compared; QEMU's arguments follow from it (in `vm/args.rs` and nowhere else), and so does
//!   the key of its snapshot. [`MachineSpec::for_test`], [`for_shell`](MachineSpec::for_shell) and
//!   [`for_soak`](MachineSpec::for_soak) make the three that there are;
//! - a [`Launch`] says where on the host its parts lie: the device's binary, logs, sockets, where exports may go;
//! - [`Assembled`] is the machine with its devices running and the power off, so that rules can be in force before the
//!   guest's first request;
//! - [`Machine`] is the running one. It owns QEMU, the [`Device`] of each disk and the [`Line`]. What goes wrong with
//!   it is an [`Outage`].
//!
//! [`provision`] hands out machines whose agent takes jobs: from a [`snapshot`] of the booted guest where it can, else
//! from a boot. [`accel`] decides on the accelerator, by booting a machine if need be. [`golden`] makes the file
//! systems that disks start from, [`initramfs`] what the guest boots into, [`shell`] that of a guest with a prompt.
//!
//! A new option of QEMU is a field of [`MachineSpec`] and a line in `vm/args.rs`. A new option of the device is a field
//! of [`DiskSpec`] and a line in `device.rs`.
//!
//! This crate knows kernels as artifacts to boot, and of the guest's programs how their agent greets and which of them
//! a prompt needs. It knows nothing of what is tested, of which faults are injected, or of what makes a kernel good or
//! bad.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! golden initramfs line registers spec tsc vitals
//! shell vm
//! launch outage
//! agent device
//! clock snapshot start symbols
//! cpus
//! machine
//! accel restore
//! provision
//! ```

pub mod accel;
mod agent;
mod clock;
mod cpus;
mod device;
pub mod golden;
pub mod initramfs;
mod launch;
mod line;
mod machine;
mod outage;
pub mod provision;
mod registers;
mod restore;
pub mod shell;
pub mod snapshot;
mod spec;
mod start;
mod symbols;
mod tsc;
mod vitals;
mod vm;

pub use agent::Incoming;
pub use cpus::CpuView;
pub use device::{Device, DeviceError};
pub use launch::Launch;
pub use line::{Arrival, Line};
pub use machine::{Assembled, Machine};
pub use outage::Outage;
pub use spec::{Accel, Console, DiskShape, DiskSpec, MEMORY_MIB, MachineSpec, Storage, test_command_line};
pub use start::StartError;
pub use vitals::Vitals;
pub use vm::args::QEMU;
pub use vm::process::VmEnd;
pub use vm::qmp::{Qmp, QmpError};
