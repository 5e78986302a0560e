//! Locks taken in their order, in another one, and by others at the same time.

use std::sync::mpsc;
use std::thread;

use super::*;

/// A device without anything else.
struct Locks {
    gate: Gate<u32>,
    ring: OrderedMutex<u32>,
    history: OrderedMutex<u32>,
    overlay: OrderedRwLock<u32>,
}

fn locks() -> Locks {
    Locks {
        gate: Gate::new(0),
        ring: OrderedMutex::new(Rank::Ring, 0),
        history: OrderedMutex::new(Rank::History, 0),
        overlay: OrderedRwLock::new(Rank::Overlay, 0),
    }
}

#[test]
fn all_locks_can_be_held_at_once_in_their_order() {
    let locks = locks();
    for _ in 0..2 {
        let no_export = locks.gate.no_export(|| false);
        let power = locks.gate.power_exclusive();
        let ring = locks.ring.lock();
        let mut state = locks.gate.state();
        let mut history = locks.history.lock();
        let mut overlay = locks.overlay.write();
        (*state, *history, *overlay) = (1, 2, 3);
        drop((no_export, power, ring, state, history, overlay));
    }
    let power = locks.gate.power();
    assert!(power.on);
    assert_eq!((*locks.gate.state(), *locks.overlay.read()), (1, 3));
}

/// What a thread says that makes this mistake.
#[cfg(debug_assertions)]
fn mistake(make: impl FnOnce(&Locks) + Send + 'static) -> String {
    let ended = thread::spawn(move || make(&locks())).join();
    let said = ended.expect_err("locks were taken in a wrong order, and nobody saw it");
    said.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
#[cfg(debug_assertions)]
fn a_wrong_order_is_a_panic_before_it_is_a_deadlock() {
    type Mistake = fn(&Locks);
    let planted: [(&str, Mistake); 7] = [
        ("Power", |locks| {
            let _state = locks.gate.state();
            let _power = locks.gate.power();
        }),
        ("Power", |locks| {
            let _history = locks.history.lock();
            let _ = locks.gate.power_unless(|| false);
        }),
        ("Exports", |locks| {
            let _power = locks.gate.power();
            locks.gate.recheck_waits();
        }),
        ("Ring", |locks| {
            let _state = locks.gate.state();
            let _ring = locks.ring.lock();
        }),
        ("State", |locks| {
            let _overlay = locks.overlay.read();
            let _state = locks.gate.state();
        }),
        ("History", |locks| {
            let _overlay = locks.overlay.write();
            let _history = locks.history.lock();
        }),
        ("State", |locks| {
            let _state = locks.gate.state();
            let _again = locks.gate.state();
        }),
    ];
    for (rank, make) in planted {
        let said = mistake(make);
        assert!(
            said.starts_with(&format!("locks in the wrong order: {rank} is taken")),
            "{rank}: {said}"
        );
    }
}

#[test]
fn what_one_thread_holds_is_no_matter_of_another() {
    let locks = locks();
    let _overlay = locks.overlay.read();
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let state = locks.gate.state();
            *state + *locks.overlay.read()
        });
        assert_eq!(other.join().expect("it is in order"), 0);
    });
}

#[test]
fn an_export_is_seen_and_waited_for_and_ends() {
    let locks = locks();
    let gate = &locks.gate;
    let (tell, told) = mpsc::channel::<()>();
    let (began, begins) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            gate.standing_still(|| {
                began.send(()).expect("somebody waits");
                told.recv().expect("somebody tells");
            });
        });
        begins.recv().expect("it begins");
        assert!(matches!(
            gate.power_seen(),
            PowerSeen::Exported(Power { on: true, .. }, _)
        ));
        assert!(gate.power_unless(|| true).is_none(), "there is no reason to wait");
        tell.send(()).expect("it listens");
        assert!(gate.power_unless(|| false).is_some());
        drop(gate.no_export(|| false).expect("it has ended"));
        assert!(matches!(gate.power_seen(), PowerSeen::Shared(_)));
    });
}

#[test]
fn a_wait_gives_the_state_up_and_has_it_again() {
    let locks = locks();
    let gate = &locks.gate;
    thread::scope(|scope| {
        let state = gate.state();
        scope.spawn(|| {
            *gate.state() = 1;
            gate.wake_settled();
        });
        let state = gate.settle(state, Duration::from_secs(60), |state| *state == 0);
        assert_eq!(*state, 1);
        let state = gate.wait_timer(state, Some(Duration::from_millis(1)));
        assert_eq!((*state, *locks.history.lock()), (1, 0));
    });
}
