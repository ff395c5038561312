//! Limits by address and by principal, and the headers that tell about them.

use crate::{
    operation::Operation,
    problem::{Code, Problem},
    settings::Limits,
};
use actix_web::{
    HttpResponse,
    http::header::{HeaderName, HeaderValue},
};
use mainstay_domain::{Principal, UserId};
use mainstay_resilience::{
    ConfigError, KeyedRateLimiter, Quota, RateLimitState, Rejected, SharedClock,
};
use std::{hash::Hash, net::IpAddr, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);
const QUARTER: Duration = Duration::from_secs(15 * 60);
const HOUR: Duration = Duration::from_secs(3600);

/// Every limit, built once per process.
#[derive(Debug)]
pub(crate) struct Quotas {
    anonymous: Limit<IpAddr>,
    per_minute: Limit<UserId>,
    per_hour: Limit<UserId>,
    agents: Limit<UserId>,
    cache_administration: Limit<UserId>,
    registrations: Limit<IpAddr>,
    login_failures_by_account: Limit<(IpAddr, [u8; 32])>,
    login_failures_by_address: Limit<IpAddr>,
}

/// A limiter with its ready-made policy header.
#[derive(Debug)]
struct Limit<K> {
    limiter: KeyedRateLimiter<K>,
    name: &'static str,
    policy: HeaderValue,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(
        name: &'static str,
        calls: u32,
        period: Duration,
        max_keys: usize,
        clock: &SharedClock,
    ) -> Result<Self, ConfigError> {
        let limiter = KeyedRateLimiter::builder(name, Quota::per(period, calls))
            .max_keys(max_keys)
            .clock(clock.clone())
            .build()?;
        let policy = format!("\"{name}\";q={calls};w={}", period.as_secs());
        Ok(Self {
            limiter,
            name,
            policy: HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("")),
        })
    }

    fn check(&self, key: &K, shown: &mut Shown) -> Result<(), Problem> {
        match self.limiter.check(key) {
            Ok(state) => {
                shown.offer(self.name, &self.policy, state);
                Ok(())
            }
            Err(rejected) => {
                shown.exhausted(self.name, &self.policy, self.limiter.quota(), &rejected);
                Err(limited(self.name, &rejected))
            }
        }
    }
}

fn limited(name: &str, rejected: &Rejected) -> Problem {
    Problem::new(
        Code::RateLimited,
        format!("the limit \"{name}\" is used up"),
    )
    .retry_after(rejected.retry_after().unwrap_or(MINUTE))
}

impl Quotas {
    /// The limits that `settings` ask for.
    ///
    /// # Errors
    /// When a limit is out of range, which the settings' own rules exclude.
    pub(crate) fn new(settings: &Limits, clock: &SharedClock) -> Result<Self, ConfigError> {
        let keys = settings.max_keys;
        Ok(Self {
            anonymous: Limit::new(
                "address",
                settings.unauthenticated_per_minute,
                MINUTE,
                keys,
                clock,
            )?,
            per_minute: Limit::new(
                "minute",
                settings.authenticated_per_minute,
                MINUTE,
                keys,
                clock,
            )?,
            per_hour: Limit::new("hour", settings.authenticated_per_hour, HOUR, keys, clock)?,
            agents: Limit::new("agents", settings.agents_per_minute, MINUTE, keys, clock)?,
            cache_administration: Limit::new(
                "cache",
                settings.cache_administration_per_minute,
                MINUTE,
                keys,
                clock,
            )?,
            registrations: Limit::new(
                "registrations",
                settings.registrations_per_hour,
                HOUR,
                keys,
                clock,
            )?,
            login_failures_by_account: Limit::new(
                "login",
                settings.login_failures_per_account,
                QUARTER,
                keys,
                clock,
            )?,
            login_failures_by_address: Limit::new(
                "login-address",
                settings.login_failures_per_address,
                QUARTER,
                keys,
                clock,
            )?,
        })
    }

    /// Charges an address for a request without an identity.
    pub(super) fn anonymous(&self, address: IpAddr, shown: &mut Shown) -> Result<(), Problem> {
        self.anonymous.check(&address, shown)
    }

    /// Charges a principal.
    pub(super) fn principal(
        &self,
        principal: &Principal,
        operation: &Operation,
        shown: &mut Shown,
    ) -> Result<(), Problem> {
        let user = &principal.user_id;
        self.per_hour.check(user, shown)?;
        self.per_minute.check(user, shown)?;
        match operation.tag {
            "agents" => self.agents.check(user, shown),
            "cache" => self.cache_administration.check(user, shown),
            _ => Ok(()),
        }
    }

    /// Charges a principal for a question over a socket, as for a request.
    ///
    /// # Errors
    /// RATE_LIMITED when it has used up its requests.
    pub(crate) fn question(&self, principal: &Principal) -> Result<(), Problem> {
        let mut shown = Shown::default();
        self.per_hour.check(&principal.user_id, &mut shown)?;
        self.per_minute.check(&principal.user_id, &mut shown)
    }

    /// Charges an address for a registration.
    ///
    /// # Errors
    /// RATE_LIMITED when it has used up its registrations.
    pub(crate) fn registration(&self, address: IpAddr) -> Result<(), Problem> {
        self.registrations.check(&address, &mut Shown::default())
    }

    /// Charges a login attempt in advance; a success gives it back with
    /// [`Quotas::login_succeeded`]. Charging first leaves no gap in which a
    /// hundred attempts at once pass the check together.
    ///
    /// # Errors
    /// RATE_LIMITED when too many have failed.
    pub(crate) fn login(&self, address: IpAddr, account: [u8; 32]) -> Result<(), Problem> {
        let mut shown = Shown::default();
        self.login_failures_by_account
            .check(&(address, account), &mut shown)?;
        self.login_failures_by_address.check(&address, &mut shown)
    }

    /// Forgets the failures of an account that has logged in.
    pub(crate) fn login_succeeded(&self, address: IpAddr, account: [u8; 32]) {
        self.login_failures_by_account
            .limiter
            .forget(&(address, account));
    }
}

/// The limit that is told to the client: the one with the least left.
#[derive(Debug, Default)]
pub(super) struct Shown {
    policies: Vec<HeaderValue>,
    tightest: Option<Tightest>,
}

#[derive(Debug)]
struct Tightest {
    name: &'static str,
    limit: u32,
    remaining: u32,
    reset: u64,
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const OLD_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const OLD_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const OLD_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

impl Shown {
    fn offer(&mut self, name: &'static str, policy: &HeaderValue, state: RateLimitState) {
        let tightest = Tightest {
            name,
            limit: state.limit,
            remaining: state.remaining,
            reset: state.reset_after.as_millis().div_ceil(1000) as u64,
        };
        self.keep(policy, tightest);
    }

    fn exhausted(
        &mut self,
        name: &'static str,
        policy: &HeaderValue,
        quota: Quota,
        rejected: &Rejected,
    ) {
        let wait = rejected.retry_after().unwrap_or(MINUTE);
        let tightest = Tightest {
            name,
            limit: quota.burst_size(),
            remaining: 0,
            reset: wait.as_millis().div_ceil(1000) as u64,
        };
        self.keep(policy, tightest);
    }

    fn keep(&mut self, policy: &HeaderValue, offered: Tightest) {
        self.policies.push(policy.clone());
        if self
            .tightest
            .as_ref()
            .is_none_or(|known| offered.remaining < known.remaining)
        {
            self.tightest = Some(offered);
        }
    }

    /// Writes the headers, new and old.
    pub(super) fn write(&self, response: &mut HttpResponse) {
        let Some(tightest) = &self.tightest else {
            return;
        };
        let headers = response.headers_mut();
        for policy in &self.policies {
            headers.append(POLICY, policy.clone());
        }
        let Tightest {
            name,
            limit,
            remaining,
            reset,
        } = tightest;
        if let Ok(value) = HeaderValue::try_from(format!("\"{name}\";r={remaining};t={reset}")) {
            headers.insert(LIMIT, value);
        }
        headers.insert(OLD_LIMIT, HeaderValue::from(*limit));
        headers.insert(OLD_REMAINING, HeaderValue::from(*remaining));
        headers.insert(OLD_RESET, HeaderValue::from(*reset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_resilience::ManualClock;

    fn quotas(clock: &ManualClock) -> Quotas {
        let settings = Limits {
            unauthenticated_per_minute: 2,
            login_failures_per_account: 2,
            ..Limits::default()
        };
        Quotas::new(&settings, &clock.shared()).unwrap()
    }

    #[test]
    fn an_address_that_asks_too_often_waits_and_comes_back() {
        let clock = ManualClock::new();
        let quotas = quotas(&clock);
        let address = IpAddr::from([1, 2, 3, 4]);
        let mut shown = Shown::default();
        assert!(quotas.anonymous(address, &mut shown).is_ok());
        assert!(quotas.anonymous(address, &mut shown).is_ok());
        let problem = quotas.anonymous(address, &mut shown).unwrap_err();
        assert_eq!(problem.code(), Code::RateLimited);
        assert!(problem.retry_after_seconds().unwrap() <= 60);
        let stranger = IpAddr::from([5, 6, 7, 8]);
        assert!(quotas.anonymous(stranger, &mut shown).is_ok());
        clock.advance(MINUTE);
        assert!(quotas.anonymous(address, &mut Shown::default()).is_ok());
    }

    #[test]
    fn the_headers_tell_the_tightest_limit() {
        let clock = ManualClock::new();
        let quotas = quotas(&clock);
        let mut shown = Shown::default();
        quotas
            .anonymous(IpAddr::from([1, 2, 3, 4]), &mut shown)
            .unwrap();
        let mut response = HttpResponse::Ok().finish();
        shown.write(&mut response);
        let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!(header("ratelimit-policy"), "\"address\";q=2;w=60");
        assert!(header("ratelimit").starts_with("\"address\";r=1;t="));
        assert_eq!(header("x-ratelimit-limit"), "2");
        assert_eq!(header("x-ratelimit-remaining"), "1");
    }

    #[test]
    fn failed_logins_are_counted_per_account_and_forgotten_on_success() {
        let clock = ManualClock::new();
        let quotas = quotas(&clock);
        let address = IpAddr::from([1, 2, 3, 4]);
        let (ada, bob) = ([1; 32], [2; 32]);
        assert!(quotas.login(address, ada).is_ok());
        assert!(quotas.login(address, ada).is_ok());
        assert!(quotas.login(address, ada).is_err());
        assert!(quotas.login(address, bob).is_ok());
        quotas.login_succeeded(address, ada);
        assert!(quotas.login(address, ada).is_ok());
    }
}
