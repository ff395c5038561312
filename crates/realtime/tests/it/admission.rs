//! Who is let in, and that slots always come back.

use mainstay_realtime::{Admission, AdmissionConfig, Reason, Slot};
use mainstay_resilience::ManualClock;
use proptest::prelude::*;
use std::{collections::HashMap, panic, time::Duration};

type Gate = Admission<u32, u8>;

fn gate(config: AdmissionConfig) -> (Gate, ManualClock) {
    let clock = ManualClock::new();
    (Admission::new(config, clock.shared()), clock)
}

fn small() -> AdmissionConfig {
    AdmissionConfig {
        max_connections: 10,
        per_principal: 2,
        ..AdmissionConfig::default()
    }
}

#[test]
fn the_process_takes_as_many_as_it_may() {
    let (gate, _clock) = gate(small());
    let mut slots: Vec<_> = (0..10)
        .map(|address| gate.admit(address).unwrap())
        .collect();
    let refused = gate.admit(99).unwrap_err();
    assert_eq!(refused.reason, Reason::Capacity);
    assert!(refused.retry_after >= Duration::from_secs(2));
    slots.pop();
    assert!(gate.admit(99).is_ok());
}

#[test]
fn a_principal_has_as_many_as_it_may_and_others_are_not_touched() {
    let (gate, _clock) = gate(small());
    let mut slots: Vec<_> = (0..4).map(|address| gate.admit(address).unwrap()).collect();
    assert!(slots[0].identify(7).is_ok());
    assert!(slots[1].identify(7).is_ok());
    assert_eq!(
        slots[2].identify(7).unwrap_err().reason,
        Reason::PerPrincipal
    );
    assert!(slots[2].identify(8).is_ok());
    slots.remove(0);
    assert!(slots[2].identify(7).is_ok());
    assert_eq!(gate.count_of(&7), 2);
}

#[test]
fn refreshing_a_token_at_the_limit_is_no_new_connection() {
    let (gate, _clock) = gate(AdmissionConfig {
        per_principal: 1,
        ..small()
    });
    let mut slot = gate.admit(1).unwrap();
    slot.identify(7).unwrap();
    assert!(slot.identify(7).is_ok());
    assert_eq!(gate.count_of(&7), 1);
    slot.identify(8).unwrap();
    assert_eq!((gate.count_of(&7), gate.count_of(&8)), (0, 1));
}

#[test]
fn a_slot_returns_even_from_a_panic() {
    let (gate, _clock) = gate(small());
    let inside = gate.clone();
    let result = panic::catch_unwind(panic::AssertUnwindSafe(move || {
        let mut slot = inside.admit(1).unwrap();
        slot.identify(7).unwrap();
        panic!("the connection's task fails");
    }));
    assert!(result.is_err());
    assert_eq!((gate.count(), gate.count_of(&7)), (0, 0));
}

#[test]
fn an_address_that_comes_too_fast_waits_and_others_do_not() {
    let (gate, clock) = gate(AdmissionConfig {
        per_address_per_second: 2,
        per_address_burst: 3,
        ..AdmissionConfig::default()
    });
    for _ in 0..3 {
        assert!(gate.admit(1).is_ok());
    }
    assert_eq!(gate.admit(1).unwrap_err().reason, Reason::Rate);
    assert!(gate.admit(2).is_ok());
    clock.advance(Duration::from_millis(499));
    assert!(gate.admit(1).is_err());
    clock.advance(Duration::from_millis(1));
    assert!(gate.admit(1).is_ok());
    assert!(gate.admit(1).is_err());
}

#[test]
fn a_flood_of_addresses_takes_no_memory_and_shares_one_allowance() {
    let (gate, clock) = gate(AdmissionConfig {
        per_address_per_second: 1,
        per_address_burst: 2,
        max_addresses: 100,
        ..AdmissionConfig::default()
    });
    let admitted = (0..10_000)
        .filter(|address| gate.admit(*address).is_ok())
        .count();
    assert_eq!(admitted, 100 + 2);
    // Those who were seen keep their own allowance.
    assert!(gate.admit(5).is_ok());
    clock.advance(Duration::from_secs(60));
    assert!(gate.admit(20_000).is_ok(), "old addresses make room");
}

#[test]
fn a_paused_gate_takes_nobody_and_says_when_to_come_back() {
    let (gate, _clock) = gate(small());
    let held = gate.admit(1).unwrap();
    gate.pause(true);
    let refused = gate.admit(2).unwrap_err();
    assert_eq!(refused.reason, Reason::Paused);
    assert!(refused.retry_after >= Duration::from_secs(2));
    assert_eq!(gate.count(), 1);
    gate.pause(false);
    assert!(gate.admit(2).is_ok());
    drop(held);
}

#[test]
fn a_storm_only_lengthens_the_delays() {
    let (gate, clock) = gate(AdmissionConfig::default());
    let longest = |gate: &Gate| (0..100).map(|_| gate.reconnect_delay()).max().unwrap();
    assert!(longest(&gate) < Duration::from_secs(1));
    let slots: Vec<_> = (0..2000)
        .map(|address| gate.admit(address).unwrap())
        .collect();
    assert_eq!(slots.len(), 2000, "nobody was refused");
    let stormy = longest(&gate);
    assert!(stormy > Duration::from_secs(15) && stormy < Duration::from_secs(20));
    clock.advance(Duration::from_secs(2));
    assert!(longest(&gate) < Duration::from_secs(1), "it passes");
}

#[derive(Debug, Clone)]
enum Step {
    Admit(u32),
    Identify(usize, u8),
    Leave(usize),
    Advance(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u32).prop_map(Step::Admit),
        4 => (0..12_usize, 0..4_u8).prop_map(|(slot, who)| Step::Identify(slot, who)),
        3 => (0..12_usize).prop_map(Step::Leave),
        1 => (0..2000_u16).prop_map(Step::Advance),
    ]
}

proptest! {
    /// The gate against a plain list of who is in.
    #[test]
    fn the_counts_are_always_those_of_the_slots_that_are_held(steps in prop::collection::vec(step(), 0..200)) {
        let config = AdmissionConfig { per_address_per_second: 5, per_address_burst: 5, ..small() };
        let (gate, clock) = gate(config);
        let mut slots: Vec<Slot<u32, u8>> = Vec::new();
        for step in steps {
            match step {
                Step::Admit(address) => match gate.admit(address) {
                    Ok(slot) => slots.push(slot),
                    Err(refused) => prop_assert!(
                        refused.reason == Reason::Rate
                            || (refused.reason == Reason::Capacity && slots.len() == 10)
                    ),
                },
                Step::Identify(index, who) => if let Some(slot) = slots.get_mut(index) {
                    let before = slot.principal().copied();
                    let result = slot.identify(who);
                    let after = slot.principal().copied();
                    prop_assert_eq!(after, if result.is_ok() { Some(who) } else { before });
                },
                Step::Leave(index) => if index < slots.len() {
                    slots.swap_remove(index);
                },
                Step::Advance(millis) => clock.advance(Duration::from_millis(millis.into())),
            }
            let mut counts: HashMap<u8, usize> = HashMap::new();
            for who in slots.iter().filter_map(Slot::principal) {
                *counts.entry(*who).or_default() += 1;
            }
            prop_assert_eq!(gate.count(), slots.len());
            for who in 0..4 {
                let count = counts.get(&who).copied().unwrap_or(0);
                prop_assert_eq!(gate.count_of(&who), count);
                prop_assert!(count <= 2);
            }
        }
        slots.clear();
        prop_assert_eq!(gate.count(), 0);
    }
}
