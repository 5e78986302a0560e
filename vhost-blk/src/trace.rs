//! Writes the trace, and hands its lines to whoever listens. What a line says is `vhost_blk_api::trace`'s.

mod line;
mod tap;
mod writer;

pub(crate) use tap::Heard;

pub use writer::Writer;
