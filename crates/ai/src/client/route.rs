//! A model's deployments and the order in which a call tries them.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Inner;
use crate::config::{ModelConfig, Strategy};
use crate::deployment::Deployment;
use crate::response::Usage;

#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: String,
    pub(crate) hedge_after: Option<Duration>,
    chain: Vec<(Arc<Deployment>, u32)>,
    strategy: Strategy,
}

impl Route {
    pub(crate) fn new(config: &ModelConfig, chain: Vec<(Arc<Deployment>, u32)>) -> Self {
        Self {
            name: config.name.clone(),
            hedge_after: config.hedge_after_ms.map(Duration::from_millis),
            chain,
            strategy: config.strategy,
        }
    }

    pub(crate) fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.chain.iter().map(|(deployment, _)| deployment)
    }

    /// Everyone, the one to ask first in front.
    pub(crate) fn order(&self, inner: &Inner, affinity: Option<&str>) -> Vec<Arc<Deployment>> {
        let mut order: Vec<Arc<Deployment>> = self.deployments().cloned().collect();
        match self.strategy {
            Strategy::Ordered => {}
            Strategy::LeastLatency => order.sort_by_key(|deployment| deployment.pace.latency()),
            Strategy::Cheapest => {
                // A million tokens each way, as one number to compare.
                let usage = Usage {
                    input_tokens: 100_000,
                    output_tokens: 100_000,
                    ..Usage::default()
                };
                order.sort_by_key(|deployment| {
                    let cost = inner.catalogue.cost(&deployment.model, &usage);
                    (cost.is_none(), cost)
                });
            }
            Strategy::Weighted => {
                let call =
                    affinity.map_or_else(|| inner.calls.fetch_add(1, Ordering::Relaxed), hash);
                let first = self.weighted(call);
                order.sort_by_key(|deployment| {
                    Reverse(first.is_some_and(|first| Arc::ptr_eq(first, deployment)))
                });
            }
        }
        order
    }

    /// Whose turn the call with this number is: the shares come out exactly
    /// over every round, spread by a stride that meets each place once.
    fn weighted(&self, call: u64) -> Option<&Arc<Deployment>> {
        let total: u64 = self
            .chain
            .iter()
            .map(|(_, weight)| u64::from(*weight))
            .sum();
        let mut place = scatter(call % total.max(1), total.max(1));
        for (deployment, weight) in &self.chain {
            if place < u64::from(*weight) {
                return Some(deployment);
            }
            place -= u64::from(*weight);
        }
        None
    }
}

/// FNV-1a: the same in every process and every version, unlike the standard
/// library's, so that a restart does not empty the provider's caches.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A permutation of `0..total`, so that a weight of 9 to 1 does not send nine
/// calls in a row to one and then one to the other by blocks of weights alone.
fn scatter(place: u64, total: u64) -> u64 {
    let golden = ((total as f64 * 0.618) as u64).max(1);
    let stride = (golden..golden + total)
        .find(|stride| gcd(*stride, total) == 1)
        .unwrap_or(1);
    place * stride % total
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattering_meets_every_place_once() {
        for total in 1..60 {
            let mut places: Vec<u64> = (0..total).map(|place| scatter(place, total)).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..total), "{total}");
        }
    }
}
