//! What a deployment has let us know of its speed: when it wants to be asked
//! again, and how soon it answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use mainstay_resilience::Clock;
use reqwest::header::HeaderMap;

/// No header makes us stay away longer than this; who means longer will say
/// so again.
const LONGEST: Duration = Duration::from_secs(600);

/// Shared by all calls of a deployment.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Reading of the clock, in nanoseconds, until which it is not asked.
    cool_until: AtomicU64,
    /// Moving average of the time to the first token, in nanoseconds; 0 is unknown.
    latency: AtomicU64,
}

impl Pace {
    /// Stays away for `wait`. A longer wait that is already running stays.
    pub(crate) fn cool_for(&self, clock: &dyn Clock, wait: Duration) {
        let until = clock.now().saturating_add(wait.min(LONGEST));
        self.cool_until.fetch_max(nanos(until), Ordering::Relaxed);
    }

    /// The clock's reading until which it is not to be asked.
    pub(crate) fn cool_until(&self) -> Duration {
        Duration::from_nanos(self.cool_until.load(Ordering::Relaxed))
    }

    /// Learns from the rate-limit headers of any answer: what has no request or
    /// token left is not asked before its reset, without waiting for the 429.
    pub(crate) fn learn(&self, clock: &dyn Clock, headers: &HeaderMap) {
        if let Some(wait) = exhausted_for(headers, clock.unix_time()) {
            self.cool_for(clock, wait);
        }
    }

    pub(crate) fn answered_after(&self, latency: Duration) {
        let newest = nanos(latency).max(1);
        let before = self.latency.load(Ordering::Relaxed);
        // A lost update under a race loses one sample of an average.
        let average = if before == 0 {
            newest
        } else {
            before / 4 * 3 + newest / 4
        };
        self.latency.store(average.max(1), Ordering::Relaxed);
    }

    /// The usual time to an answer; zero while unknown, so that everyone is
    /// tried once.
    pub(crate) fn latency(&self) -> Duration {
        Duration::from_nanos(self.latency.load(Ordering::Relaxed))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn exhausted_for(headers: &HeaderMap, unix_time: Duration) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let openai = ["requests", "tokens"].into_iter().filter_map(|what| {
        let none_left = text(&format!("x-ratelimit-remaining-{what}"))? == "0";
        none_left.then(|| go_duration(text(&format!("x-ratelimit-reset-{what}"))?))?
    });
    let anthropic = ["requests", "tokens", "input-tokens", "output-tokens"]
        .into_iter()
        .filter_map(|what| {
            let none_left = text(&format!("anthropic-ratelimit-{what}-remaining"))? == "0";
            none_left.then(|| {
                until(
                    text(&format!("anthropic-ratelimit-{what}-reset"))?,
                    unix_time,
                )
            })?
        });
    openai.chain(anthropic).max()
}

/// How long until an RFC 3339 time.
fn until(time: &str, unix_time: Duration) -> Option<Duration> {
    let at: Timestamp = time.parse().ok()?;
    let at = Duration::try_from(at.as_duration()).ok()?;
    Some(at.saturating_sub(unix_time))
}

/// Reads `1s`, `6m0s`, `12ms`, `1h2m3.5s`, as OpenAI writes its resets.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let (unit, length) = [("ms", 0.001), ("h", 3600.0), ("m", 60.0), ("s", 1.0)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        seconds += number * length;
        rest = &rest[unit.len()..];
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|_| !text.is_empty())
}

/// What a refusal asks us to wait: `retry-after-ms`, else `retry-after` in
/// seconds or as an HTTP date.
pub(crate) fn retry_after(headers: &HeaderMap, unix_time: Duration) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let number =
        |text: &str, unit: f64| Duration::try_from_secs_f64(text.parse::<f64>().ok()? * unit).ok();
    if let Some(wait) = text("retry-after-ms").and_then(|text| number(text, 0.001)) {
        return Some(wait);
    }
    let value = text("retry-after")?;
    number(value, 1.0).or_else(|| {
        let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
        let at = Duration::try_from(at.as_duration()).ok()?;
        Some(at.saturating_sub(unix_time))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_resilience::ManualClock;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn every_form_of_retry_after_is_understood() {
        let now = Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        for (pairs, seconds) in [
            (&[("retry-after", "7")][..], Some(7.0)),
            (&[("retry-after", "0.5")], Some(0.5)),
            (
                &[("retry-after-ms", "250"), ("retry-after", "7")],
                Some(0.25),
            ),
            (
                &[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")],
                Some(10.0),
            ),
            (
                &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")],
                Some(0.0),
            ),
            (&[("retry-after", "-3")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ] {
            let wait = retry_after(&headers(pairs), now).map(|wait| wait.as_secs_f64());
            assert_eq!(wait, seconds, "{pairs:?}");
        }
    }

    #[test]
    fn a_shorter_wait_does_not_replace_a_longer_one() {
        let clock = ManualClock::new();
        let pace = Pace::default();
        pace.cool_for(&clock, Duration::from_secs(30));
        pace.cool_for(&clock, Duration::from_secs(1));
        assert_eq!(pace.cool_until(), Duration::from_secs(30));
    }

    #[test]
    fn both_families_of_headers_are_respected_before_the_429() {
        let clock = ManualClock::new();
        clock.set_unix_time(Duration::from_secs(1_000));
        let pace = Pace::default();
        pace.learn(
            &clock,
            &headers(&[
                ("x-ratelimit-remaining-requests", "1"),
                ("x-ratelimit-reset-requests", "6m0s"),
            ]),
        );
        assert_eq!(pace.cool_until(), Duration::ZERO);
        pace.learn(
            &clock,
            &headers(&[
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "1m2.5s"),
            ]),
        );
        assert_eq!(pace.cool_until(), Duration::from_millis(62_500));
        pace.learn(
            &clock,
            &headers(&[
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
                (
                    "anthropic-ratelimit-input-tokens-reset",
                    "1970-01-01T00:18:20Z",
                ),
            ]),
        );
        assert_eq!(pace.cool_until(), Duration::from_secs(100));
    }

    #[test]
    fn an_absurd_wait_is_bounded() {
        let clock = ManualClock::new();
        let pace = Pace::default();
        pace.cool_for(&clock, Duration::MAX);
        assert_eq!(pace.cool_until(), LONGEST);
    }
}
