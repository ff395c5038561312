//! One event to many listeners: the hub beside tokio's broadcast channel, which
//! keeps no history that a listener could come back to and tells of losses by
//! a count alone.
#![allow(missing_docs, reason = "the macros write an undocumented function")]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on should panic"
)]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mainstay_realtime::{Delivery, Hub, HubConfig};
use mainstay_resilience::system_clock;

const PAYLOAD: Bytes = Bytes::from_static(&[b'x'; 200]);

fn fanout(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one event to all");
    for listeners in [1_usize, 100, 10_000] {
        group.throughput(Throughput::Elements(listeners as u64));
        group.bench_function(BenchmarkId::new("hub", listeners), |bencher| {
            let hub = Hub::new(HubConfig::default(), system_clock());
            let mut all: Vec<_> = (0..listeners)
                .map(|_| hub.subscribe("topic", None).unwrap().1)
                .collect();
            bencher.iter(|| {
                hub.publish("topic", "kind", PAYLOAD).unwrap();
                for listener in &mut all {
                    assert!(matches!(listener.try_next(), Some(Delivery::Event(_))));
                }
            });
        });
        group.bench_function(BenchmarkId::new("tokio broadcast", listeners), |bencher| {
            let (sender, _) = tokio::sync::broadcast::channel(512);
            let mut all: Vec<_> = (0..listeners).map(|_| sender.subscribe()).collect();
            bencher.iter(|| {
                sender.send(PAYLOAD).unwrap();
                for listener in &mut all {
                    assert!(listener.try_recv().is_ok());
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fanout);
criterion_main!(benches);
