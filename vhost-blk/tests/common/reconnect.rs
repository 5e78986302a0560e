//! A driver whose front end comes again, with its rings as they are and its record of requests in flight.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vhost::vhost_user::message::{VhostUserInflight, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};

use super::{DeviceProcess, Driver, QUEUE_SIZE, Used};

/// What a front end keeps for its device.
pub struct Record {
    info: VhostUserInflight,
    file: File,
}

impl Record {
    /// The memory that it lies in.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Driver {
    /// Connects, asks for a record of requests in flight, and starts an empty ring.
    pub fn connect_with_record(device: &DeviceProcess) -> (Driver, Record) {
        let mut driver = Driver::connect(device);
        driver.frontend = driver.handshake(device);
        let wanted = VhostUserInflight {
            num_queues: 1,
            queue_size: QUEUE_SIZE,
            ..VhostUserInflight::default()
        };
        let (info, file) = driver.frontend.get_inflight_fd(&wanted).expect("a record");
        let record = Record { info, file };
        driver.give(&record);
        driver.start_ring();
        (driver, record)
    }

    /// Connects again and goes on with the ring, as QEMU does: from the used index.
    pub fn reconnect(&mut self, device: &DeviceProcess, record: &Record) {
        self.frontend = self.handshake(device);
        self.give(record);
        let used = self.used_index();
        self.resume_ring(u32::from(used));
        // As after a reconnection QEMU kicks, for there may be something.
        self.kick();
    }

    fn give(&mut self, record: &Record) {
        self.frontend
            .set_inflight_fd(&record.info, record.file.as_raw_fd())
            .expect("the record");
    }

    fn handshake(&self, device: &DeviceProcess) -> Frontend {
        // The device serves one front end at a time: this one goes before the next one comes.
        // SAFETY: it outlives this call, which does not close it.
        let old = unsafe { BorrowedFd::borrow_raw(self.frontend.as_raw_fd()) };
        // It may be at its end already.
        let _ = rustix::net::shutdown(old, rustix::net::Shutdown::Both);
        super::handshake(device, &self.mem, VhostUserProtocolFeatures::INFLIGHT_SHMFD)
    }

    /// Puts a request into the ring, in a slot that is free.
    pub fn queue_in(&mut self, slot: u16, kind: u32, sector: u64, len: u32) {
        self.next_slot = slot;
        self.queue(kind, sector, len, kind == 0);
    }

    /// Waits until the device has hung up.
    pub fn until_hung_up(&self) {
        // SAFETY: it outlives this call, which does not close it.
        let frontend = unsafe { BorrowedFd::borrow_raw(self.frontend.as_raw_fd()) };
        let limit = Timespec::try_from(super::SOON).expect("a short time");
        let mut polled = [PollFd::new(&frontend, PollFlags::IN)];
        assert_eq!(poll(&mut polled, Some(&limit)), Ok(1), "it never hung up");
    }

    /// The next entry of the used ring; nothing once the device has hung up and there is none.
    pub fn next_used_or_end(&mut self, timeout: Duration) -> Option<Used> {
        loop {
            if self.unseen() > 0 {
                return self.next_used(Duration::ZERO);
            }
            // SAFETY: both outlive this call, which closes neither.
            let frontend = unsafe { BorrowedFd::borrow_raw(self.frontend.as_raw_fd()) };
            // SAFETY: as above.
            let call = unsafe { BorrowedFd::borrow_raw(self.call.as_raw_fd()) };
            let mut polled = [PollFd::new(&frontend, PollFlags::IN), PollFd::new(&call, PollFlags::IN)];
            let limit = Timespec::try_from(timeout).expect("a short time");
            assert!(
                poll(&mut polled, Some(&limit)).expect("poll") > 0,
                "neither a completion nor an end"
            );
            let [ended, called] = polled.map(|fd| !fd.revents().is_empty());
            if called {
                let _ = self.call.read();
            } else if ended && self.unseen() == 0 {
                return None;
            }
        }
    }
}
