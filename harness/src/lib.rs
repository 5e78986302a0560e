//! The harness: kernels, images, boots, cells, verdicts, report.

pub mod boot;
pub mod cache;
pub mod cases;
pub mod cli;
pub mod commands;
pub mod device;
pub mod doctor;
pub mod error;
pub mod golden;
pub mod host;
pub mod initramfs;
pub mod job;
pub mod kernels;
pub mod machine;
pub mod modules;
pub mod progress;
pub mod report;
pub mod results;
pub mod run;
pub mod scratch;
pub mod select;
pub mod suggest;
pub mod tool;
pub mod trial;
pub mod verdict;
pub mod vm;
