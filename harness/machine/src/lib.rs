//! Machines: QEMU, our block device, and the line to the agent in the guest.
//!
//! [`provision`] hands out a machine whose agent takes jobs: it goes on from a snapshot of the booted guest where it can, and
//! boots otherwise. [`boot`] is one machine from power-on to its end; [`vm`] is QEMU (its arguments, process, monitor), [`device`]
//! the process of the block device. [`golden`] makes the file systems that disks start from, [`initramfs`] what the guest boots into.
//!
//! This crate knows kernels as artifacts to boot. It knows no case, no fault plan and no verdict.

pub mod boot;
pub mod device;
pub mod golden;
pub mod initramfs;
pub mod outage;
pub mod provision;
pub mod vm;
