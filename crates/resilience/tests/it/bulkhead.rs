//! The bulkhead.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use mainstay_resilience::{Bulkhead, Deadline, Error, RejectedKind, TokioClock};

use crate::support::{ms, secs};

#[tokio::test(start_paused = true)]
async fn callers_wait_in_turn_and_no_longer_than_they_may() {
    let bulkhead = Bulkhead::new("reports", 1, 2, ms(100)).unwrap();
    let held = bulkhead.acquire().await.unwrap();
    let order = std::sync::Mutex::new(Vec::new());
    let waiter = |number: u32| {
        let (bulkhead, order) = (&bulkhead, &order);
        async move {
            let permit = bulkhead.acquire().await;
            order
                .lock()
                .unwrap()
                .push((number, permit.as_ref().map_err(|e| e.kind()).is_ok()));
            permit
        }
    };
    let release = async {
        tokio::time::sleep(ms(50)).await;
        drop(held);
        // The first waiter has it now and keeps it.
        tokio::time::sleep(ms(1)).await;
    };
    let (first, second, third, ()) = tokio::join!(waiter(1), waiter(2), waiter(3), release);
    assert!(first.is_ok());
    assert_eq!(second.unwrap_err().kind(), RejectedKind::QueueTimeout);
    assert_eq!(third.unwrap_err().kind(), RejectedKind::QueueFull);
    assert_eq!(*order.lock().unwrap(), [(3, false), (1, true), (2, false)]);
    assert_eq!(bulkhead.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_those_who_wait() {
    let bulkhead = Bulkhead::new("fair", 1, 1, secs(1)).unwrap();
    let held = bulkhead.try_acquire().unwrap();
    let waiting = tokio::spawn({
        let bulkhead = bulkhead.clone();
        async move { bulkhead.acquire().await }
    });
    tokio::task::yield_now().await;
    drop(held);
    // The permit is the waiter's, although he has not run yet.
    assert!(bulkhead.try_acquire().is_err());
    let permit = waiting.await.unwrap().unwrap();
    assert_eq!(bulkhead.snapshot().in_use, 1);
    drop(permit);
    assert!(bulkhead.try_acquire().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_shortens_the_wait() {
    let bulkhead = Bulkhead::new("deadline", 1, 8, secs(60)).unwrap();
    let _held = bulkhead.try_acquire().unwrap();
    let start = tokio::time::Instant::now();
    let deadline = Deadline::after(&TokioClock, ms(20));
    let refused = bulkhead.acquire_within(deadline).await.unwrap_err();
    assert_eq!(refused.kind(), RejectedKind::QueueTimeout);
    assert_eq!(start.elapsed(), ms(20));
}

#[tokio::test]
async fn never_more_than_allowed_at_once() {
    let bulkhead = Bulkhead::new("bound", 3, 1000, secs(60)).unwrap();
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let call = || {
        bulkhead.run(async {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, ()>(())
        })
    };
    let mut calls: Vec<_> = (0..100).map(|_| Box::pin(call())).collect();
    let mut done = 0;
    while done < 100 {
        for mut call in std::mem::take(&mut calls) {
            let ready = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(call.as_mut().poll(cx).is_ready())
            });
            if ready.await {
                done += 1;
            } else {
                calls.push(call);
            }
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn threads_never_hold_more_than_allowed() {
    let bulkhead = Bulkhead::new("threads", 3, 0, Duration::ZERO).unwrap();
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    if let Ok(_permit) = bulkhead.try_acquire() {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::hint::spin_loop();
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(bulkhead.snapshot().in_use, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wakeup_is_lost_under_contention() {
    let bulkhead = Bulkhead::new("wakeups", 2, 1000, secs(600)).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64u64 {
        let bulkhead = bulkhead.clone();
        tasks.spawn(async move {
            for round in 0..50 {
                if (task + round) % 5 == 0 {
                    // Gives up at its first poll, with or without a permit.
                    let mut call = Box::pin(bulkhead.acquire());
                    std::future::poll_fn(|cx| {
                        let _ = call.as_mut().poll(cx);
                        std::task::Poll::Ready(())
                    })
                    .await;
                } else {
                    let permit = bulkhead.acquire().await.unwrap();
                    tokio::task::yield_now().await;
                    drop(permit);
                }
            }
        });
    }
    tasks.join_all().await;
    let snapshot = bulkhead.snapshot();
    assert_eq!((snapshot.in_use, snapshot.waiting), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn new_limits_serve_those_who_wait() {
    let bulkhead = Bulkhead::new("reload", 1, 8, secs(1)).unwrap();
    let first = bulkhead.try_acquire().unwrap();
    let waiting = tokio::spawn({
        let bulkhead = bulkhead.clone();
        async move { bulkhead.acquire().await }
    });
    tokio::task::yield_now().await;
    bulkhead.reconfigure(2, 8, secs(1)).unwrap();
    let second = waiting.await.unwrap().unwrap();
    bulkhead.reconfigure(1, 8, secs(1)).unwrap();
    drop(first);
    assert!(
        bulkhead.try_acquire().is_err(),
        "two were out, and one may be"
    );
    drop(second);
    assert!(bulkhead.try_acquire().is_ok());
    assert!(bulkhead.reconfigure(0, 8, secs(1)).is_err());
}

#[tokio::test]
async fn another_runtimes_timer_can_end_the_wait() {
    let bulkhead = Bulkhead::new("runtime", 1, 1, secs(60)).unwrap();
    let _held = bulkhead.try_acquire().unwrap();
    let stopped = bulkhead.acquire_until(std::future::ready(())).await;
    assert_eq!(stopped.unwrap_err().kind(), RejectedKind::QueueTimeout);
}

#[tokio::test]
async fn the_operations_error_comes_through() {
    let bulkhead = Bulkhead::new("errors", 1, 0, Duration::ZERO).unwrap();
    let result = bulkhead.run(async { Err::<(), _>("broken") }).await;
    assert_eq!(result, Err(Error::Inner("broken")));
    let nested = bulkhead
        .around(bulkhead.run(async { Ok::<_, ()>(1) }))
        .await;
    assert!(nested.unwrap_err().is_rejected(), "flat, not nested");
}

#[test]
fn a_full_bulkhead_refuses_without_a_runtime() {
    let bulkhead = Bulkhead::new("no runtime", 1, 0, Duration::ZERO).unwrap();
    let _held = bulkhead.try_acquire().unwrap();
    let mut call = std::pin::pin!(bulkhead.acquire());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(refused)) = call.as_mut().poll(&mut context) else {
        panic!("refused at once");
    };
    assert_eq!(refused.kind(), RejectedKind::QueueFull);
}
