//! Slots, taken, put, given back and made nobody's, by one and by many.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;

#[test]
fn every_slot_is_taken_once_until_all_are_nobodys_again() {
    let arena = Arena::new(8).expect("memory");
    for _ in 0..3 {
        assert_eq!(arena.take(5).expect("slots"), 0..5);
        let mut taken = 5;
        while let Ok(run) = arena.take(1000) {
            assert_eq!(run.start, taken);
            taken = run.end;
        }
        assert_eq!(taken, arena.slots);
        arena.give_back(3..5);
        arena.forget(vec![9, 7, 8, 1]);
        assert_eq!(arena.take(2).expect("spare ones"), 7..9);
        assert_eq!(arena.take(2).expect("a spare one"), 9..10);
        assert_eq!(arena.take(2).expect("a spare one"), 1..2);
        assert_eq!(arena.take(2).expect("spare ones"), 3..5);
        let full = Err(AccessError::Storage(io::ErrorKind::StorageFull));
        assert_eq!(arena.take(1), full);
        arena.renew();
    }
}

#[test]
fn slots_that_are_there_ahead_are_taken_once_too_over_rollbacks() {
    let arena = Arc::new(Arena::new(8192).expect("memory"));
    let ahead = Arc::clone(&arena);
    // It ends with the test's process.
    std::thread::spawn(move || ahead.keep_ahead());
    for round in 0..400 {
        // A few chunks, so that one may be under way as all become nobody's; then more, so that it would come twice.
        for chunks in [3 + round % 3, 16] {
            let mut seen = BTreeSet::new();
            for _ in 0..chunks {
                for slot in arena.take(CHUNK).expect("slots") {
                    assert!(seen.insert(slot), "slot {slot} was taken twice");
                }
            }
            arena.renew();
        }
    }
}

#[test]
fn what_a_rollback_leaves_is_bounded() {
    let slots = WARM * CHUNK;
    let arena = Arena::new(u64::from(slots) * 2).expect("memory");
    let first = |slot| {
        let mut byte = [0u8];
        arena.slice(slot, 0, 1).expect("a slot").copy_to(&mut byte);
        byte[0]
    };
    let mut taken = 0;
    while taken < slots + CHUNK {
        for slot in arena.take(CHUNK).expect("slots") {
            arena.slice(slot, 0, 1).expect("a slot").copy_from(&[7u8]);
            taken += 1;
        }
    }
    arena.renew();
    // Memory that was given back reads as zeros.
    assert_eq!(
        [first(0), first(slots - 1), first(slots), first(taken - 1)],
        [7, 7, 0, 0]
    );
}

/// Bytes of a few blocks, in memory as a guest's is.
fn bytes(blocks: u32, first: u8) -> Vec<u8> {
    (0..blocks * BLOCK_BYTES as u32)
        .map(|at| (at / 7) as u8 ^ first)
        .collect()
}

fn put(arena: &Arena, bytes: &mut [u8]) -> Range<u32> {
    arena.put(&VolatileSlice::from(bytes)).expect("slots")
}

fn holds(arena: &Arena, slots: &Range<u32>, bytes: &[u8]) -> bool {
    let mut found = vec![0; slots.len() * BLOCK_BYTES as usize];
    let slice = arena.slice(slots.start, 0, found.len()).expect("slots");
    slice.copy_to(&mut found);
    bytes.starts_with(&found)
}

#[test]
fn bytes_that_are_put_are_there_whatever_comes_between() {
    put_and_give_back(false);
}

#[test]
fn bytes_that_are_put_are_there_with_memory_ahead() {
    put_and_give_back(true);
}

fn put_and_give_back(ahead: bool) {
    let arena = Arc::new(Arena::new(u64::from(WARM * CHUNK) * 2).expect("memory"));
    let filler = !ahead && arena.state().filler.is_some();
    if ahead {
        let arena = Arc::clone(&arena);
        // It ends with the test's process.
        std::thread::spawn(move || arena.keep_ahead());
    }
    for round in 0..4u8 {
        let mut kept = Vec::new();
        // Short ones, long ones, and some that end in the middle of a block, over many chunks.
        for number in 0..200u32 {
            let mut source = bytes(1 + number % 70, round ^ number as u8);
            let cut = if number % 5 == 0 { 100 } else { 0 };
            let len = source.len() - cut;
            let slots = put(&arena, &mut source[..len]);
            source.truncate(slots.len() * BLOCK_BYTES as usize);
            source.truncate(len);
            kept.push((slots, source));
        }
        assert!(arena.state().covered || !filler || round > 0);
        for (slots, source) in &kept {
            let mut found = vec![0; source.len()];
            let slice = arena.slice(slots.start, 0, found.len()).expect("slots");
            slice.copy_to(&mut found);
            assert!(found == *source, "slots {slots:?} of round {round}");
        }
        // What is given back may be of the filler's chunks; it is used again as any other, and the rest stays.
        let (given, stay) = kept.split_at(100);
        arena.forget(given.iter().flat_map(|(slots, _)| slots.clone()).collect());
        let mut again = bytes(40, 99);
        for _ in 0..50 {
            let slot = arena.take(1).expect("a slot").start;
            arena.slice(slot, 0, 1).expect("a slot").copy_from(&[1u8]);
            let slots = put(&arena, &mut again);
            assert!(holds(&arena, &slots, &again));
        }
        for (slots, source) in stay.iter().filter(|(_, source)| source.len() % 4096 == 0) {
            assert!(holds(&arena, slots, source), "slots {slots:?} of round {round}");
        }
        if round % 2 == 1 {
            arena.renew();
        }
    }
}

#[test]
fn where_the_filler_fails_bytes_go_the_other_way() {
    let arena = Arena::new(8192).expect("memory");
    let mut source = bytes(64, 5);
    let first = put(&arena, &mut source);
    let state = arena.state();
    let Some(filler) = state.filler.clone() else { return };
    let covered = 0..state.fresh * CHUNK;
    drop(state);
    // As if the kernel would not do it for the next ones.
    filler
        .release(&arena.range(&covered).expect("a range"))
        .expect("released");
    let second = put(&arena, &mut source);
    assert_eq!(second.start, first.end);
    assert!(holds(&arena, &first, &source) && holds(&arena, &second, &source));
    assert!(!arena.state().covered);
    // And as if it kept no more ranges.
    arena.state().crowded = true;
    let third = put(&arena, &mut source);
    assert!(holds(&arena, &third, &source));
}

#[test]
fn many_put_at_once() {
    let arena = Arena::new(65536).expect("memory");
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let arena = &arena;
            scope.spawn(move || {
                let mut mine = Vec::new();
                for number in 0..100 {
                    let mut source = bytes(1 + number % 40, thread ^ number as u8);
                    let slots = put(arena, &mut source);
                    mine.push((slots, source));
                }
                for (slots, source) in mine {
                    assert!(holds(arena, &slots, &source));
                }
            });
        }
    });
}
