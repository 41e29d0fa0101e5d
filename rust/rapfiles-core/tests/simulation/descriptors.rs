//! The descriptors of all trees: how long somebody who finds none tries again, and who is admitted when.

use std::sync::Arc;
use std::time::Duration;

use super::faults::Faults;
use super::world::{World, world};
use crate::engine::configuration::Configuration;
use crate::engine::runtime;
use crate::engine::ticket::Ticket;
use crate::limits::{DESCRIPTORS_AWAITED, DESCRIPTORS_PAUSE};
use crate::platform;
use crate::verbs::descriptors::{Admission, Descriptors, Patience};

/// Runs it in a world of its own, whose clock goes on when all have to wait.
fn in_a_world(work: impl FnOnce() + 'static) {
    let configuration = Configuration { max_workers: 3, usable_cpus: 2 };
    let world = World::new(1, Faults::default(), configuration, false);
    assert_eq!(world.run(work), None);
}

/// Whether somebody who has just found none may try again, and how long ago they began.
fn tries(patience: &mut Patience, descriptors: &Descriptors) -> (bool, Duration) {
    let began = runtime::now();
    (patience.lasts(descriptors, 1), runtime::elapsed(began))
}

#[test]
fn the_error_is_told_when_nobody_has_given_anything_back_for_a_time() {
    in_a_world(|| {
        let descriptors = Arc::new(Descriptors::default());
        let (_own, mut other) = (descriptors.read(), descriptors.read());
        other.opened();
        let mut patience = Patience::default();
        let began = runtime::now();
        while patience.lasts(&descriptors, 1) {}
        let waited = runtime::elapsed(began);
        assert!(waited >= DESCRIPTORS_AWAITED, "{waited:?}");
        assert!(waited < DESCRIPTORS_AWAITED + 10 * DESCRIPTORS_PAUSE, "{waited:?}");
    });
}

#[test]
fn what_is_given_back_begins_the_time_anew() {
    in_a_world(|| {
        let descriptors = Arc::new(Descriptors::default());
        let (_own, _paused) = (descriptors.read(), descriptors.read());
        let mut patience = Patience::default();
        let began = runtime::now();
        let world = world().expect("a world");
        for _ in 0..10 {
            // Somebody else opens and closes one within the time.
            let until = runtime::now() + DESCRIPTORS_AWAITED - 2 * DESCRIPTORS_PAUSE;
            while runtime::now() < until {
                assert!(tries(&mut patience, &descriptors).0);
                world.sleep(DESCRIPTORS_AWAITED / 8);
            }
            descriptors.read().opened();
        }
        assert!(runtime::elapsed(began) > 8 * DESCRIPTORS_AWAITED);
        while patience.lasts(&descriptors, 1) {}
        // Those who only try give nobody a reason to go on.
        let began = runtime::now();
        let mut patience = Patience::default();
        while patience.lasts(&descriptors, 1) {
            drop(descriptors.read());
        }
        assert!(runtime::elapsed(began) < DESCRIPTORS_AWAITED + 10 * DESCRIPTORS_PAUSE);
    });
}

#[test]
fn nobody_waits_for_themselves() {
    in_a_world(|| {
        let descriptors = Arc::new(Descriptors::default());
        let _own = descriptors.read();
        assert_eq!(tries(&mut Patience::default(), &descriptors), (false, Duration::ZERO));
        descriptors.opened(1);
        assert!(tries(&mut Patience::default(), &descriptors).0);
        descriptors.closed(1);
    });
}

/// What has to be waited for, if anything.
fn asked(admission: &Arc<Admission>) -> Option<Arc<Ticket>> {
    admission.ask(Ticket::unique)
}

#[test]
fn whoever_sees_to_a_report_lets_others_begin() {
    let descriptors = Arc::new(Descriptors::default());
    let all = platform::most_descriptors();
    let [first, second, third] = [all, all, 1].map(|needs| Admission::new(&descriptors, needs));
    assert!(asked(&first).is_none());
    let waits = asked(&second).expect("there is no room for two");
    let behind = asked(&third).expect("the one before it waits");
    assert!(!waits.is_done() && !behind.is_done());
    // It would wait for the second one in its callback, which would wait for it.
    first.lend();
    assert!(waits.is_done() && !behind.is_done());
    assert!(asked(&second).is_none());
    // It has what it has open, and must go on.
    assert!(asked(&first).is_none());
    second.end();
    assert!(!behind.is_done());
    first.end();
    assert!(behind.is_done());
    assert!(asked(&third).is_none());
    third.end();
    // What is over asks for nothing, and nothing is left of any of them.
    assert!(asked(&first).is_none());
    first.lend();
    assert!(asked(&Admission::new(&descriptors, all)).is_none());
}

#[test]
fn whoever_gives_up_waiting_is_passed_over() {
    let descriptors = Arc::new(Descriptors::default());
    let all = platform::most_descriptors();
    let [first, second, third] = [all; 3].map(|needs| Admission::new(&descriptors, needs));
    assert!(asked(&first).is_none());
    let given_up = asked(&second).expect("there is no room for two");
    let before = asked(&third).expect("the one before it waits");
    // The task that waits is another one now.
    let waits = asked(&third).expect("it still waits");
    second.end();
    first.end();
    assert!(waits.is_done() && !before.is_done() && !given_up.is_done());
    third.end();
}
