//! Answers at the control socket: one thread a client, so that a long export keeps nobody else waiting.

mod obey;
mod wanted;
mod words;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use vhost_blk_api::control::{CLIENTS_MAX, Command, LINE_BYTES_MAX, Reply, parse};

use self::obey::obey;
use self::words::refusal;
use crate::device::Device;
use crate::trace::Heard;

/// How long after a client could not be taken the next is tried: descriptors that have run out come back at no event.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Takes clients for ever; `quit` is called when one says so, after it was answered.
pub fn serve(listener: &UnixListener, device: &Arc<Device>, quit: fn()) {
    // Each client's thread has one of these.
    let clients = Arc::new(());
    let mut failing = false;
    loop {
        let taken = listener.accept().and_then(|(stream, _)| {
            if Arc::strong_count(&clients) > CLIENTS_MAX {
                turn_away(&stream);
                return Ok(());
            }
            let (device, client) = (Arc::clone(device), Arc::clone(&clients));
            let thread = thread::Builder::new().name("control".to_owned()).spawn(move || {
                // A client that goes away in the middle of a line has nobody left to tell of it.
                let _ = talk(&stream, &device, quit);
                drop(client);
            });
            thread.map(drop)
        });
        if let Err(error) = &taken {
            if !failing {
                crate::say!("cannot take a control client: {error}: it is tried again until that is possible");
            }
            thread::sleep(TRY_AGAIN);
        }
        failing = taken.is_err();
    }
}

/// Says to a client why it is not served. It has said nothing yet, and what it will say is not waited for.
fn turn_away(stream: &UnixStream) {
    // It may be gone already.
    let _ = answer(
        stream,
        refusal(format!(
            "{CLIENTS_MAX} clients are connected already, and no more are taken: close one, or send its commands over one connection"
        )),
    );
}

fn answer(mut stream: &UnixStream, reply: Reply) -> io::Result<()> {
    stream.write_all(&reply.into_line()?)
}

fn talk(stream: &UnixStream, device: &Device, quit: fn()) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            // Where its next line begins is not known, and what is left of this one is no command.
            let limit = LINE_BYTES_MAX >> 20;
            return answer(
                stream,
                refusal(format!(
                    "a line of more than {limit} MiB: expected a command of at most that"
                )),
            );
        }
        let (reply, ends) = match parse(&line) {
            Ok(Command::Subscribe) => return subscribe(stream, device),
            Ok(command) => {
                let ends = command == Command::Quit;
                (obey(device, command), ends)
            }
            Err(message) => (refusal(message), false),
        };
        let written = answer(stream, reply);
        if ends {
            quit();
        }
        written?;
    }
}

/// Sends the trace's lines until the client goes away.
fn subscribe(mut stream: &UnixStream, device: &Device) -> io::Result<()> {
    // Before the answer: what happens after it is heard.
    let heard = match device.trace().listen() {
        Ok(heard) => heard,
        Err(error) => return answer(stream, refusal(format!("cannot listen to the trace: {error}"))),
    };
    answer(stream, Reply::Done)?;
    loop {
        while let Some(heard) = heard.next() {
            match heard {
                Heard::Line(line) => stream.write_all(&line)?,
                Heard::Missed(lines) => writeln!(stream, "{{\"ev\":\"missed\",\"lines\":{lines}}}")?,
            }
        }
        // A client that has only closed its own side, as at the end of what a pipe sends, listens still.
        let mut polled = [
            PollFd::new(stream, PollFlags::empty()),
            PollFd::from_borrowed_fd(heard.event(), PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) => return Ok(()),
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
