//! Answers a guest whose harness runs no cases: a shell's.

use std::path::Path;
use std::time::{Duration, Instant};

use guest_wire::{GuestMessage, HostMessage, Want};
use vhost_blk_api::control::Client;

use machine::{Incoming, Line};

/// How long the device may take for a command.
const DEVICE_WITHIN: Duration = Duration::from_secs(10);
/// How long one wait for the guest is; there is always another.
const WAIT: Duration = Duration::from_secs(3600);

/// Does what the guest says to the device at the socket `control`, until QEMU closes the line.
pub fn serve(line: &mut Line, control: &Path) {
    loop {
        match line.next(Instant::now() + WAIT) {
            Some(Incoming::Message(GuestMessage::Ask { id, want })) => {
                // A guest that cannot be answered is on its way out, and the line's end follows.
                let _ = line.send(&HostMessage::answer(id, obey(&want, control)));
            }
            Some(Incoming::Closed) => return,
            Some(Incoming::Message(_) | Incoming::Noise(_)) | None => {}
        }
    }
}

fn obey(want: &Want, control: &Path) -> Result<String, String> {
    let Want::Command { words } = want else {
        return Err("no case runs here".to_owned());
    };
    let command = super::parse_in_guest(words)?;
    let mut client = Client::connect(control, DEVICE_WITHIN).map_err(|error| error.to_string())?;
    let reply = client.call(&command).map_err(|error| error.to_string())?;
    Ok(super::say(&command, &reply))
}
