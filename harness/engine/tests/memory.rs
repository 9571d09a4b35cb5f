//! Peak memory, alone in a process: other tests' memory would be counted.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use rave_engine::latency::memory::peak_of;

/// The known size: above every threshold of the C library, so that it is returned when it is freed.
const SIZE: usize = 256 << 20;

#[test]
fn a_known_allocation_is_seen_and_a_freed_one_is_not() {
    let ((), peak) = peak_of(|| drop(std::hint::black_box(vec![1_u8; SIZE])));
    let peak = peak.unwrap() as usize;
    // The kernel adds pages up in batches, a few dozen behind.
    assert!(
        (SIZE - (1 << 20)..SIZE + (8 << 20)).contains(&peak),
        "{peak}"
    );
    // What was there before does not count, nor what the last measurement's peak was.
    let held = std::hint::black_box(vec![1_u8; SIZE]);
    let ((), peak) = peak_of(|| drop(std::hint::black_box(vec![1_u8; SIZE / 4])));
    let peak = peak.unwrap() as usize;
    assert!((SIZE / 4 - (1 << 20)..SIZE / 2).contains(&peak), "{peak}");
    drop(held);
    // Memory that is asked for and never written to is nobody's.
    let ((), peak) = peak_of(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(SIZE))));
    assert!(peak.unwrap() < 8 << 20);
}
