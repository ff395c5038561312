//! `[limits]`: how much one address or one principal may ask for, and how
//! much the process takes on at once.

use super::Findings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rate limits and load shedding.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests per minute and address without authentication. Default 60.
    pub unauthenticated_per_minute: u32,
    /// Requests per minute and principal. Default 600.
    pub authenticated_per_minute: u32,
    /// Requests per hour and principal. Default 20000.
    pub authenticated_per_hour: u32,
    /// Failed logins per 15 minutes for one account from one address. Default 5.
    pub login_failures_per_account: u32,
    /// Failed logins per 15 minutes from one address. Default 30.
    pub login_failures_per_address: u32,
    /// Registrations per hour and address. Default 10.
    pub registrations_per_hour: u32,
    /// Requests to agents per minute and principal. Default 10.
    pub agents_per_minute: u32,
    /// Cache administration per minute and principal. Default 100.
    pub cache_administration_per_minute: u32,
    /// Requests in the process at once; more are refused with 503
    /// OVERLOADED, which is kinder than answering all of them late. Default 2048.
    pub max_in_flight: usize,
    /// Addresses and principals that are remembered at once, per limit.
    /// Default 100000.
    pub max_keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unauthenticated_per_minute: 60,
            authenticated_per_minute: 600,
            authenticated_per_hour: 20_000,
            login_failures_per_account: 5,
            login_failures_per_address: 30,
            registrations_per_hour: 10,
            agents_per_minute: 10,
            cache_administration_per_minute: 100,
            max_in_flight: 2_048,
            max_keys: 100_000,
        }
    }
}

impl Limits {
    pub(super) fn validate(&self, findings: &mut Findings) {
        for (key, value) in [
            (
                "unauthenticated_per_minute",
                self.unauthenticated_per_minute,
            ),
            ("authenticated_per_minute", self.authenticated_per_minute),
            ("authenticated_per_hour", self.authenticated_per_hour),
            (
                "login_failures_per_account",
                self.login_failures_per_account,
            ),
            (
                "login_failures_per_address",
                self.login_failures_per_address,
            ),
            ("registrations_per_hour", self.registrations_per_hour),
            ("agents_per_minute", self.agents_per_minute),
            (
                "cache_administration_per_minute",
                self.cache_administration_per_minute,
            ),
        ] {
            findings.check(
                (1..=1_000_000_000).contains(&value),
                key,
                "must be from 1 to 1000000000",
            );
        }
        findings.check(
            (1..=1_000_000).contains(&self.max_in_flight),
            "max_in_flight",
            "must be from 1 to 1000000",
        );
        findings.check(
            (1_000..=10_000_000).contains(&self.max_keys),
            "max_keys",
            "must be from 1000 to 10000000",
        );
    }
}
