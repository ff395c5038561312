//! The observers that come with the crate.

use mainstay_resilience::{CircuitBreaker, Observer};

#[test]
fn an_observer_need_not_do_anything() {
    #[derive(Debug)]
    struct Deaf;
    impl Observer for Deaf {}
    let breaker = CircuitBreaker::builder("quiet")
        .consecutive_failures(1)
        .observer(std::sync::Arc::new(Deaf))
        .build()
        .unwrap();
    breaker.try_acquire().unwrap().failure();
}

#[test]
fn several_observers_can_listen() {
    let (first, one) = crate::support::Recorder::new();
    let (second, two) = crate::support::Recorder::new();
    let breaker = CircuitBreaker::builder("both")
        .observer(std::sync::Arc::new(vec![one, two]))
        .build()
        .unwrap();
    breaker.force_open();
    assert_eq!((first.events().len(), second.events().len()), (1, 1));
}

#[cfg(feature = "metrics")]
#[test]
fn metrics_carry_the_policy_and_the_kind() {
    use std::{
        collections::BTreeMap,
        sync::{
            Arc, Mutex,
            atomic::{AtomicU64, Ordering},
        },
    };

    use mainstay_resilience::MetricsObserver;
    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    /// Keeps the values by name and labels.
    #[derive(Default)]
    struct Values(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

    impl Values {
        fn value(&self, key: &Key) -> Arc<AtomicU64> {
            let labels: Vec<_> = key
                .labels()
                .map(|l| format!("{}={}", l.key(), l.value()))
                .collect();
            let name = format!("{}{{{}}}", key.name(), labels.join(","));
            self.0.lock().unwrap().entry(name).or_default().clone()
        }
    }

    impl Recorder for Values {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.value(key))
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.value(key))
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    let values = Values::default();
    metrics::with_local_recorder(&values, || {
        let breaker = CircuitBreaker::builder("postgres")
            .consecutive_failures(1)
            .observer(std::sync::Arc::new(MetricsObserver))
            .build()
            .unwrap();
        let old = breaker.try_acquire().unwrap();
        breaker.try_acquire().unwrap().failure();
        assert!(breaker.try_acquire().is_err());
        assert!(breaker.try_acquire().is_err());
        old.success();
    });
    let values: BTreeMap<String, u64> = values
        .0
        .into_inner()
        .unwrap()
        .into_iter()
        .map(|(name, value)| (name, value.load(Ordering::SeqCst)))
        .collect();
    assert_eq!(
        values["resilience_rejections_total{policy=postgres,kind=circuit_open}"],
        2
    );
    assert_eq!(
        values["resilience_state_changes_total{policy=postgres,from=closed,to=open}"],
        1
    );
    assert_eq!(values["resilience_stale_results_total{policy=postgres}"], 1);
    assert_eq!(
        f64::from_bits(values["resilience_state{policy=postgres}"]),
        1.0
    );
}

#[cfg(feature = "tracing")]
#[test]
fn log_lines_name_the_policy_and_the_states() {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use mainstay_resilience::TracingObserver;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let breaker = CircuitBreaker::builder("postgres")
            .consecutive_failures(1)
            .observer(Arc::new(TracingObserver))
            .build()
            .unwrap();
        breaker.try_acquire().unwrap().failure();
        let _ = breaker.try_acquire();
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        text.contains(
            "WARN mainstay_resilience: circuit breaker postgres changed from closed to open"
        ),
        "{text}"
    );
    assert!(text.contains("kind=\"circuit_open\""), "{text}");
}
