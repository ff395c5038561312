//! The fallback chain.

use mainstay_resilience::{Chain, CircuitBreaker, Error, Found, State, StepOutcome, timeout};

use crate::support::{Recorder, ms};

async fn find(answer: Option<&'static str>) -> Result<Option<&'static str>, &'static str> {
    Ok(answer)
}

#[tokio::test]
async fn the_first_hit_answers_and_later_steps_are_not_begun() {
    let answer = Chain::new("names")
        .step("cache", find(Some("cached")))
        .step("database", async {
            panic!("begun") as Result<Option<&str>, &str>
        })
        .run()
        .await
        .unwrap();
    assert_eq!((answer.source(), *answer.value()), ("cache", "cached"));
    assert!(answer.earlier().is_empty());
    assert!(!answer.is_degraded());
}

#[tokio::test]
async fn misses_and_errors_are_told_apart_and_told_in_order() {
    let (recorder, observer) = Recorder::new();
    let answer = Chain::new("names")
        .step("cache", find(None))
        .step("replica", async { Err::<Option<&str>, _>("down") })
        .step("primary", async { Ok(Found::Hit("row")) })
        .observer(observer)
        .run()
        .await
        .unwrap();
    assert_eq!(answer.source(), "primary");
    let steps: Vec<_> = answer
        .earlier()
        .iter()
        .map(|earlier| earlier.step.as_str())
        .collect();
    assert_eq!(steps, ["cache", "replica"]);
    assert_eq!(answer.earlier()[0].outcome, StepOutcome::Miss);
    assert_eq!(
        answer.earlier()[1].outcome,
        StepOutcome::Failed(Error::Inner("down"))
    );
    assert!(answer.is_degraded());
    assert_eq!(recorder.events().len(), 1);
    assert_eq!(recorder.count("Fallback"), 1);
}

#[tokio::test]
async fn the_default_comes_last_and_says_so() {
    let answer = Chain::new("names")
        .step("cache", find(None))
        .default(|| "nobody")
        .run()
        .await
        .unwrap();
    assert_eq!((answer.source(), *answer.value()), ("default", "nobody"));
}

#[tokio::test]
async fn without_a_default_the_error_tells_every_step() {
    let nothing = Chain::new("names")
        .step("cache", find(None))
        .step("database", async { Err::<Option<&str>, _>("down") })
        .run()
        .await
        .unwrap_err();
    assert_eq!(
        nothing.to_string(),
        "no step answered; cache: nothing found; database: down"
    );
    assert_eq!(nothing.config_error(), None);
    assert_eq!(nothing.into_last_error(), Some(Error::Inner("down")));
}

#[tokio::test(start_paused = true)]
async fn steps_carry_policies_of_their_own() {
    let breaker = CircuitBreaker::builder("cache")
        .consecutive_failures(1)
        .build()
        .unwrap();
    for round in 0..2 {
        let answer = Chain::<_, &str>::new("names")
            .guarded(
                "cache",
                breaker.around(timeout(
                    ms(5),
                    std::future::pending::<Result<Option<u32>, _>>(),
                )),
            )
            .default(|| 7)
            .run()
            .await
            .unwrap();
        let StepOutcome::Failed(error) = &answer.earlier()[0].outcome else {
            panic!("the cache hangs");
        };
        assert_eq!(
            (error.is_timeout(), error.is_rejected()),
            (round == 0, round == 1)
        );
    }
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test]
async fn steps_borrow_what_they_need_and_can_be_spawned() {
    let local = String::from("borrowed");
    let answer = Chain::new("names")
        .step("local", async { Ok::<_, ()>(Some(local.as_str())) })
        .run()
        .await
        .unwrap();
    assert_eq!(answer.into_value(), "borrowed");
    let spawned = tokio::spawn(async {
        Chain::new("names")
            .step("a", find(Some("b")))
            .run()
            .await
            .is_ok()
    });
    assert!(spawned.await.unwrap());
}
