//! Front ends that are told, and those that are not.

use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use vhost::VhostBackend;
use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, FrontendReqHandler, HandlerResult, VhostUserFrontend, VhostUserFrontendReqHandler};
use vhost_blk_api::control::{FrontEnd, Reply};

use crate::common::helpers::until_gone;
use crate::common::{DeviceProcess, Driver, SOON};
use crate::{IMAGE, MIB, capacity, resize, resized, rollback, write};

/// A front end that listens, and asks for the size before it answers, as QEMU does.
struct Listener {
    frontend: Mutex<Frontend>,
    sizes: Sender<u64>,
    refuses: bool,
}

impl VhostUserFrontendReqHandler for Listener {
    fn handle_config_change(&self) -> HandlerResult<u64> {
        if self.refuses {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let mut frontend = self.frontend.lock().expect("a front end");
        let flags = VhostUserConfigFlags::WRITABLE;
        let (_, bytes) = frontend.get_config(0, 8, flags, &[0; 8]).expect("config");
        let sectors = u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        self.sizes.send(sectors * 512).expect("a test");
        Ok(0)
    }
}

/// Gives the device a channel, and listens there until it is closed.
fn listen(driver: &mut Driver, acknowledges: bool, refuses: bool) -> (Receiver<u64>, JoinHandle<()>) {
    let (sizes, heard) = channel();
    let listener = Listener {
        frontend: Mutex::new(driver.frontend.clone()),
        sizes,
        refuses,
    };
    let mut handler = FrontendReqHandler::new(Arc::new(listener)).expect("a channel");
    handler.set_reply_ack_flag(acknowledges);
    let fd = handler.get_tx_raw_fd();
    driver
        .frontend
        .set_backend_request_fd(&fd)
        .expect("the device takes it");
    let listening = std::thread::spawn(move || {
        while !matches!(
            handler.handle_request(),
            Err(vhost::vhost_user::Error::Disconnected | vhost::vhost_user::Error::SocketBroken(_))
        ) {}
    });
    (heard, listening)
}

/// The front end goes; the device has noticed.
fn leave(driver: &Driver, device: &DeviceProcess) {
    // The listener has the connection, too, and waits at its channel: to drop the driver ends nothing.
    // SAFETY: the front end outlives this call, which does not close it.
    let front = unsafe { BorrowedFd::borrow_raw(driver.frontend.as_raw_fd()) };
    rustix::net::shutdown(front, rustix::net::Shutdown::Both).expect("it is connected");
    until_gone(device);
}

#[test]
fn a_front_end_with_a_channel_is_told_and_its_answer_is_awaited() {
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::stopped(&device, 1, VhostUserProtocolFeatures::BACKEND_REQ);
    let (heard, _) = listen(&mut driver, true, false);
    driver.start_ring();
    assert_eq!(resize(&device, MIB), resized(IMAGE, MIB, FrontEnd::Told));
    // It had asked before the command was answered.
    assert_eq!(heard.try_recv(), Ok(MIB));
    assert_eq!(rollback(&device, None), resized(MIB, IMAGE, FrontEnd::Told));
    assert_eq!(heard.try_recv(), Ok(IMAGE));
    assert_eq!(rollback(&device, None), Reply::Done);
    for number in 1..=50 {
        write(&mut driver, 0, number);
        let bytes = MIB * u64::from(number);
        assert!(matches!(
            resize(&device, bytes),
            Reply::Resized {
                front_end: FrontEnd::Told,
                ..
            }
        ));
        assert_eq!(heard.try_recv(), Ok(bytes));
    }
    driver.frontend.get_vring_base(0).expect("it stops");
    assert_eq!(resize(&device, MIB), resized(50 * MIB, MIB, FrontEnd::Later));
    assert!(heard.try_recv().is_err(), "without a ring it is left alone");
    driver.start_ring();
    assert_eq!(heard.recv_timeout(SOON), Ok(MIB), "and told when one starts");
    assert_eq!(write(&mut driver, 0, 1), 0);
}

#[test]
fn a_front_end_can_refuse_and_one_that_is_gone_is_none() {
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::stopped(&device, 1, VhostUserProtocolFeatures::BACKEND_REQ);
    listen(&mut driver, true, true);
    driver.start_ring();
    assert_eq!(resize(&device, MIB), resized(IMAGE, MIB, FrontEnd::Refused));
    assert_eq!(capacity(&mut driver), MIB, "it has that size all the same");
    leave(&driver, &device);
    assert_eq!(resize(&device, IMAGE), resized(MIB, IMAGE, FrontEnd::None));
}

#[test]
fn a_channel_that_breaks_ends_neither_connection_nor_device() {
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::stopped(&device, 1, VhostUserProtocolFeatures::BACKEND_REQ);
    let (mut ours, theirs) = UnixStream::pair().expect("a channel");
    driver
        .frontend
        .set_backend_request_fd(&theirs)
        .expect("the device takes it");
    driver.start_ring();
    ours.write_all(b"what no device was ever told").expect("written");
    assert_eq!(resize(&device, MIB), resized(IMAGE, MIB, FrontEnd::NoChannel));
    assert_eq!(write(&mut driver, 0, 1), 0);
    // Another one, that is closed at once.
    let (ours, theirs) = UnixStream::pair().expect("a channel");
    driver
        .frontend
        .set_backend_request_fd(&theirs)
        .expect("the device takes it");
    drop((ours, theirs));
    assert_eq!(resize(&device, IMAGE), resized(MIB, IMAGE, FrontEnd::NoChannel));
    // And none: a file.
    let file = tempfile::tempfile().expect("a file");
    driver
        .frontend
        .set_backend_request_fd(&file)
        .expect("the device takes it");
    assert_eq!(resize(&device, MIB), resized(IMAGE, MIB, FrontEnd::NoChannel));
    assert_eq!(write(&mut driver, 0, 1), 0);
    // At last one that works.
    let (heard, _) = listen(&mut driver, true, false);
    assert_eq!(resize(&device, IMAGE), resized(MIB, IMAGE, FrontEnd::Told));
    assert_eq!(heard.try_recv(), Ok(IMAGE));
}

#[test]
fn a_front_end_that_comes_again_with_an_old_size_in_mind_is_told() {
    let device = DeviceProcess::start(&[]);
    let features = VhostUserProtocolFeatures::BACKEND_REQ;
    let mut driver = Driver::stopped(&device, 1, features);
    let (heard, _) = listen(&mut driver, true, false);
    driver.start_ring();
    leave(&driver, &device);
    assert!(
        heard.try_recv().is_err(),
        "a disk that kept its size is nothing to talk of"
    );
    assert_eq!(resize(&device, MIB), resized(IMAGE, MIB, FrontEnd::None));
    let mut driver = Driver::stopped(&device, 1, features);
    let (heard, _) = listen(&mut driver, true, false);
    driver.start_ring();
    assert_eq!(heard.recv_timeout(SOON), Ok(MIB));
    leave(&driver, &device);
    let mut driver = Driver::stopped(&device, 1, features);
    let (heard, _) = listen(&mut driver, true, false);
    assert_eq!(capacity(&mut driver), MIB);
    driver.start_ring();
    assert_eq!(write(&mut driver, 0, 1), 0);
    driver.frontend.get_features().expect("an answer");
    assert!(heard.try_recv().is_err(), "one that has asked knows");
}
