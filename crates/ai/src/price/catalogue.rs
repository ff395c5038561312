//! The price list as data, with the day each price began.

use std::collections::HashMap;
use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::NanoUsd;
use crate::response::Usage;

/// The prices this crate was published with.
const BUILT_IN: &str = include_str!("prices.toml");

/// Why a price list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueError(String);

impl CatalogueError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the price list is wrong: {}", self.0)
    }
}

impl std::error::Error for CatalogueError {}

/// Prices per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Input that no cache had and none was given.
    pub input: NanoUsd,
    /// Output, reasoning included.
    pub output: NanoUsd,
    /// Input read from the provider's prompt cache.
    pub cache_read: NanoUsd,
    /// Input written to the short-lived prompt cache.
    pub cache_write: NanoUsd,
    /// Input written to the one-hour prompt cache.
    pub cache_write_long: NanoUsd,
}

impl Price {
    fn cost(&self, usage: &Usage) -> NanoUsd {
        let special = usage
            .cached_input_tokens
            .saturating_add(usage.cache_write_tokens)
            .saturating_add(usage.long_cache_write_tokens);
        let plain = usage.input_tokens.saturating_sub(special);
        nano_usd(&[
            (plain, self.input),
            (usage.cached_input_tokens, self.cache_read),
            (usage.cache_write_tokens, self.cache_write),
            (usage.long_cache_write_tokens, self.cache_write_long),
            (usage.output_tokens, self.output),
        ])
    }

    /// The most that this many tokens can cost, whatever the short-lived cache
    /// does. Nobody gets the one-hour cache without having asked for it.
    fn ceiling(&self, input_tokens: u64, output_tokens: u64) -> NanoUsd {
        let dearest = self.input.max(self.cache_read).max(self.cache_write);
        nano_usd(&[(input_tokens, dearest), (output_tokens, self.output)])
    }
}

/// Sums exactly in 128 bits and rounds the total up once.
fn nano_usd(parts: &[(u64, NanoUsd)]) -> NanoUsd {
    let millionths: u128 = parts
        .iter()
        .map(|&(tokens, price)| u128::from(tokens) * u128::from(price.0))
        .fold(0, u128::saturating_add);
    NanoUsd(u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

/// Other prices for prompts over a size; they hold for the whole call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongPrompt {
    /// They hold when the input has more tokens than this.
    pub over: u64,
    /// See [`PriceEntry::input`].
    pub input: NanoUsd,
    /// See [`PriceEntry::output`].
    pub output: NanoUsd,
    /// See [`PriceEntry::cache_read`].
    #[serde(default)]
    pub cache_read: Option<NanoUsd>,
    /// See [`PriceEntry::cache_write`].
    #[serde(default)]
    pub cache_write: Option<NanoUsd>,
    /// See [`PriceEntry::cache_write_long`].
    #[serde(default)]
    pub cache_write_long: Option<NanoUsd>,
}

/// One line of the price list: a model's price from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceEntry {
    /// The provider's model id, without a date at its end.
    pub model: String,
    /// The first day (UTC) of this price.
    pub from: Date,
    /// Dollars per million input tokens.
    pub input: NanoUsd,
    /// Dollars per million output tokens.
    pub output: NanoUsd,
    /// Dollars per million tokens read from a cache. Default: the input price,
    /// so that a missing number never makes a call look cheaper than it is.
    #[serde(default)]
    pub cache_read: Option<NanoUsd>,
    /// Dollars per million tokens written to a cache. Default: the input price.
    #[serde(default)]
    pub cache_write: Option<NanoUsd>,
    /// The same for the one-hour cache. Default: as `cache_write`.
    #[serde(default)]
    pub cache_write_long: Option<NanoUsd>,
    /// Prices for long prompts, when the provider has such.
    #[serde(default)]
    pub long_prompt: Option<LongPrompt>,
    /// The largest prompt this price is known for. A longer one has a price
    /// that this list does not know, and so an unknown cost.
    #[serde(default)]
    pub known_up_to: Option<u64>,
}

impl PriceEntry {
    fn for_input(&self, input_tokens: u64) -> Option<Price> {
        if let Some(long) = self
            .long_prompt
            .as_ref()
            .filter(|long| input_tokens > long.over)
        {
            return Some(price(
                long.input,
                long.output,
                long.cache_read,
                long.cache_write,
                long.cache_write_long,
            ));
        }
        if self.known_up_to.is_some_and(|most| input_tokens > most) {
            return None;
        }
        Some(price(
            self.input,
            self.output,
            self.cache_read,
            self.cache_write,
            self.cache_write_long,
        ))
    }
}

fn price(
    input: NanoUsd,
    output: NanoUsd,
    read: Option<NanoUsd>,
    write: Option<NanoUsd>,
    long: Option<NanoUsd>,
) -> Price {
    let cache_write = write.unwrap_or(input);
    Price {
        input,
        output,
        cache_read: read.unwrap_or(input),
        cache_write,
        cache_write_long: long.unwrap_or(cache_write),
    }
}

#[derive(Deserialize)]
struct File {
    price: Vec<PriceEntry>,
}

/// All known prices.
///
/// ```
/// use mainstay_ai::{Usage, price::Catalogue};
///
/// let prices = Catalogue::built_in()?;
/// let usage = Usage { input_tokens: 1_000, output_tokens: 10, ..Usage::default() };
/// let cost = prices.cost("claude-opus-5-5", &usage).map(|cost| cost.to_string());
/// assert_eq!(cost.as_deref(), Some("0.0042"));
/// assert_eq!(prices.cost("a-model-nobody-knows", &usage), None);
/// # Ok::<(), mainstay_ai::price::CatalogueError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Newest price first.
    entries: HashMap<String, Vec<PriceEntry>>,
}

impl Catalogue {
    /// A catalogue of exactly these prices.
    pub fn new(entries: impl IntoIterator<Item = PriceEntry>) -> Self {
        let mut catalogue = Self::default();
        for entry in entries {
            catalogue.insert(entry);
        }
        catalogue
    }

    /// The prices this crate was published with.
    ///
    /// # Errors
    /// Never in a published version: a test reads the list.
    pub fn built_in() -> Result<Self, CatalogueError> {
        Self::from_toml(BUILT_IN)
    }

    /// Reads a list of `[[price]]` tables; see [`PriceEntry`] for the fields.
    ///
    /// # Errors
    /// When a field is missing, unknown or not of its form.
    pub fn from_toml(text: &str) -> Result<Self, CatalogueError> {
        let file: File =
            toml::from_str(text).map_err(|error| CatalogueError::new(error.message()))?;
        Ok(Self::new(file.price))
    }

    /// Replaces what is known of these models: an override of a model hides
    /// every other price of it, older days included.
    #[must_use]
    pub fn with_overrides(mut self, overrides: &[PriceEntry]) -> Self {
        for entry in overrides {
            self.entries.remove(&entry.model);
        }
        for entry in overrides {
            self.insert(entry.clone());
        }
        self
    }

    fn insert(&mut self, entry: PriceEntry) {
        let of_model = self.entries.entry(entry.model.clone()).or_default();
        of_model.push(entry);
        of_model.sort_by_key(|entry| std::cmp::Reverse(entry.from));
    }

    /// The entry of `model` on a day; `None` asks for the newest one.
    fn find(&self, model: &str, on: Option<Date>) -> Option<&PriceEntry> {
        let of_model = self
            .entries
            .get(model)
            .or_else(|| self.entries.get(undated(model)?))?;
        let on_day = of_model
            .iter()
            .find(|entry| on.is_none_or(|day| entry.from <= day));
        on_day.or(of_model.last())
    }

    /// Whether anything is known of `model`.
    pub fn knows(&self, model: &str) -> bool {
        self.find(model, None).is_some()
    }

    /// What a call cost by the newest price. `None` means that the cost is
    /// unknown; it never means that the call was free.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<NanoUsd> {
        Some(
            self.find(model, None)?
                .for_input(usage.input_tokens)?
                .cost(usage),
        )
    }

    /// What a call on that day cost. A day before the first known price has
    /// the first known price.
    pub fn cost_on(&self, model: &str, usage: &Usage, day: Date) -> Option<NanoUsd> {
        Some(
            self.find(model, Some(day))?
                .for_input(usage.input_tokens)?
                .cost(usage),
        )
    }

    /// The most a call with this input and this `max_tokens` can cost by the
    /// newest price, whatever the provider's cache does; a call that asks for
    /// the one-hour cache can cost more.
    pub fn ceiling(&self, model: &str, input_tokens: u64, max_output: u64) -> Option<NanoUsd> {
        let entry = self.find(model, None)?;
        Some(
            entry
                .for_input(input_tokens)?
                .ceiling(input_tokens, max_output),
        )
    }
}

/// The model id without the date or `-latest` that pins a version of it.
fn undated(model: &str) -> Option<&str> {
    if let Some(base) = model.strip_suffix("-latest") {
        return Some(base);
    }
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    // -YYYYMMDD (Anthropic) or -YYYY-MM-DD (OpenAI)
    let (base, tail) = model.rsplit_once('-')?;
    if tail.len() == 8 && is_digits(tail) {
        return Some(base);
    }
    let at = model.len().checked_sub(11)?;
    let (base, tail) = (model.get(..at)?, model.get(at..)?);
    let shape = tail.bytes().enumerate().all(|(i, byte)| match i {
        0 | 5 | 8 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    shape.then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage(input: u64, output: u64) -> Usage {
        Usage {
            input_tokens: input,
            output_tokens: output,
            ..Usage::default()
        }
    }

    fn dollars(text: &str) -> NanoUsd {
        text.parse().unwrap()
    }

    #[test]
    fn the_built_in_list_can_be_read_and_knows_both_families() {
        let catalogue = Catalogue::built_in().unwrap();
        for model in [
            "claude-opus-5-5",
            "claude-sonnet-5-5",
            "claude-haiku-5-5",
            "gpt-6-sol",
            "gpt-6-luna",
        ] {
            assert!(catalogue.knows(model), "{model}");
        }
    }

    #[test]
    fn cached_and_written_tokens_have_their_own_prices_and_are_not_paid_twice() {
        let catalogue = Catalogue::built_in().unwrap();
        let used = Usage {
            input_tokens: 1_000_000,
            output_tokens: 100_000,
            cached_input_tokens: 600_000,
            cache_write_tokens: 300_000,
            ..Usage::default()
        };
        // 0.1 M × 4 + 0.6 M × 0.20 + 0.3 M × 5 + 0.1 M × 20
        assert_eq!(
            catalogue.cost("claude-opus-5-5", &used),
            Some(dollars("4.02"))
        );
    }

    #[test]
    fn an_unknown_model_has_an_unknown_cost_and_ceiling() {
        let catalogue = Catalogue::built_in().unwrap();
        assert_eq!(catalogue.cost("my-own-llama", &usage(1, 1)), None);
        assert_eq!(catalogue.ceiling("my-own-llama", 1, 1), None);
        assert_eq!(catalogue.cost("gpt-6-sol-turbo", &usage(1, 1)), None);
    }

    #[test]
    fn a_dated_model_id_has_the_price_of_its_model() {
        let catalogue = Catalogue::built_in().unwrap();
        let used = usage(1000, 1000);
        for (dated, plain) in [
            ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
            ("gpt-5.2-2025-12-11", "gpt-5.2"),
            ("claude-opus-5-5-latest", "claude-opus-5-5"),
        ] {
            assert!(catalogue.cost(dated, &used).is_some(), "{dated}");
            assert_eq!(catalogue.cost(dated, &used), catalogue.cost(plain, &used));
        }
    }

    #[test]
    fn a_price_holds_from_its_day_on() {
        let catalogue = Catalogue::built_in().unwrap();
        let read = Usage {
            input_tokens: 1_000_000,
            cached_input_tokens: 1_000_000,
            ..Usage::default()
        };
        let on = |day: &str| catalogue.cost_on("claude-sonnet-5-5", &read, day.parse().unwrap());
        assert_eq!(on("2026-10-06"), Some(dollars("0.20")));
        assert_eq!(on("2026-10-07"), Some(dollars("0.10")));
        assert_eq!(on("2020-01-01"), Some(dollars("0.20")));
    }

    #[test]
    fn a_long_prompt_has_its_own_price_and_a_too_long_one_none() {
        let catalogue = Catalogue::built_in().unwrap();
        assert_eq!(
            catalogue.cost("claude-haiku-5-5", &usage(100_000, 0)),
            Some(dollars("0.01"))
        );
        assert_eq!(
            catalogue.cost("claude-haiku-5-5", &usage(100_001, 0)),
            Some(NanoUsd(50_000_500))
        );
        assert_eq!(catalogue.cost("gpt-6-sol", &usage(300_000, 0)), None);
    }

    #[test]
    fn less_than_a_nano_is_rounded_up() {
        let catalogue = Catalogue::from_toml(
            "[[price]]\nmodel = 'm'\nfrom = '2026-01-01'\ninput = '0.000000001'\noutput = '0'\n",
        )
        .unwrap();
        assert_eq!(catalogue.cost("m", &usage(1, 0)), Some(NanoUsd(1)));
        assert_eq!(catalogue.cost("m", &usage(0, 5)), Some(NanoUsd(0)));
    }

    #[test]
    fn an_override_hides_the_built_in_price() {
        let mine = Catalogue::from_toml(
            "[[price]]\nmodel = 'gpt-6-sol'\nfrom = '2026-01-01'\ninput = '1'\noutput = '1'\n",
        )
        .unwrap();
        let entries: Vec<PriceEntry> = mine.entries.into_values().flatten().collect();
        let catalogue = Catalogue::built_in().unwrap().with_overrides(&entries);
        assert_eq!(
            catalogue.cost("gpt-6-sol", &usage(1_000_000, 0)),
            Some(NanoUsd::DOLLAR)
        );
    }

    #[test]
    fn numbers_that_are_not_strings_are_refused() {
        let text = "[[price]]\nmodel = 'm'\nfrom = '2026-01-01'\ninput = 0.1\noutput = '0'\n";
        assert!(Catalogue::from_toml(text).is_err());
    }

    proptest! {
        #[test]
        fn no_usage_costs_more_than_its_ceiling(
            input in 0u64..2_000_000, output in 0u64..200_000, read in 0u64..100, write in 0u64..100,
        ) {
            let catalogue = Catalogue::built_in().unwrap();
            let total = (read + write).max(1);
            let used = Usage {
                input_tokens: input,
                output_tokens: output,
                cached_input_tokens: input * read / total,
                cache_write_tokens: input * write / total,
                ..Usage::default()
            };
            for model in ["claude-haiku-5-5", "claude-opus-5-5", "gpt-6-luna"] {
                prop_assert!(catalogue.cost(model, &used) <= catalogue.ceiling(model, input, output));
            }
        }

        #[test]
        fn absurd_numbers_saturate_instead_of_overflowing(input in any::<u64>(), output in any::<u64>()) {
            let catalogue = Catalogue::built_in().unwrap();
            prop_assert!(catalogue.cost("claude-opus-5-5", &usage(input, output)).is_some());
        }
    }
}
