//! Lines in the kernel's log, so that the console tells by itself which case and phase a kernel message belongs to.

use std::io::Write;

/// Writes `bioscope: TEXT` to `/dev/kmsg`. Nothing depends on it, so a failure is nothing.
pub fn write(text: &str) {
    // Level 6 (info): shown on the console with `loglevel=7`, and no warning.
    let line = format!("<6>bioscope: {}\n", text.replace('\n', " "));
    if let Ok(mut kmsg) = std::fs::OpenOptions::new().write(true).open("/dev/kmsg") {
        let _ = kmsg.write_all(line.as_bytes());
    }
}
