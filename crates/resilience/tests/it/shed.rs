//! Shedding by priority.

use mainstay_resilience::{Priority, RejectedKind, Shedder};

#[test]
fn the_least_important_goes_first() {
    let shedder = Shedder::builder("api", 10).build().unwrap();
    assert_eq!(shedder.admits(), Some(Priority::Background));
    let mut permits = Vec::new();
    for (priority, most) in [
        (Priority::Background, 5),
        (Priority::Low, 7),
        (Priority::Normal, 9),
        (Priority::High, 10),
    ] {
        while let Ok(permit) = shedder.try_acquire(priority) {
            permits.push(permit);
        }
        assert_eq!(permits.len(), most, "{priority:?}");
    }
    let refused = shedder.try_acquire(Priority::Critical).unwrap_err();
    assert_eq!(refused.kind(), RejectedKind::Shed);
    assert_eq!(shedder.admits(), None);
    permits.truncate(6);
    assert_eq!(shedder.admits(), Some(Priority::Low));
}

#[test]
fn reported_pressure_counts_as_load() {
    let shedder = Shedder::builder("api", 1000).build().unwrap();
    for (pressure, admits) in [
        (0.0, Some(Priority::Background)),
        (0.6, Some(Priority::Low)),
        (0.99, Some(Priority::Critical)),
        (7.0, None),
        (f64::NAN, Some(Priority::Background)),
        (-3.0, Some(Priority::Background)),
    ] {
        shedder.set_pressure(pressure);
        assert_eq!(shedder.admits(), admits, "{pressure}");
    }
}

#[tokio::test]
async fn a_call_counts_until_it_is_over() {
    let shedder = Shedder::builder("api", 2).build().unwrap();
    let result = shedder
        .run(Priority::Normal, async {
            assert!(shedder.load() == 0.5);
            Err::<(), _>("broken")
        })
        .await;
    assert_eq!(result.unwrap_err().into_inner(), Some("broken"));
    assert!(shedder.load() == 0.0);
}
