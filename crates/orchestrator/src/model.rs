//! The model as a use case may hold it: with a ceiling that it cannot exceed.

use crate::{Error, question::Question, services::Services};
use mainstay_ai::{CallOptions, ChatRequest, ChatResponse, ChatStream, Client, OnInterruption};
use mainstay_domain::{Tokens, Usd};
use mainstay_resilience::Deadline;

/// A model client that was granted one question and a ceiling. It can only be
/// made by [`Services::grant`], which refuses what the ceiling cannot pay.
#[derive(Debug)]
pub(crate) struct BudgetedModel<'a> {
    client: &'a Client,
    request: &'a ChatRequest,
    reserved: Option<Usd>,
    traceparent: Option<&'a str>,
}

/// What a ceiling does to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It can cost this much at most.
    Within(Usd),
    /// The answer must be shorter: so many tokens, for this much at most.
    Shortened(u32, Usd),
    /// Even the shortest answer worth having costs more.
    TooDear(Usd),
    /// A price is not known, so no ceiling can be promised.
    PriceUnknown,
}

/// An answer of fewer tokens than this is not worth its question.
const SHORTEST_ANSWER: u32 = 64;

/// Finds the longest answer that `ceiling` pays for.
pub(crate) fn fit(client: &Client, request: &ChatRequest, ceiling: Usd) -> Fit {
    let input = request.estimate_input_tokens();
    let cost = |output: u32| {
        client
            .ceiling(&request.model, input, u64::from(output))
            .map(|nano| Usd::from_nano(nano.0))
    };
    let Some(whole) = cost(request.max_tokens) else {
        return Fit::PriceUnknown;
    };
    if whole <= ceiling {
        return Fit::Within(whole);
    }
    let least = request.max_tokens.min(SHORTEST_ANSWER);
    match cost(least) {
        Some(cheapest) if cheapest <= ceiling => {}
        Some(cheapest) => return Fit::TooDear(cheapest),
        None => return Fit::PriceUnknown,
    }
    // The price grows with the length, so the longest affordable answer is
    // found by halving.
    let (mut affordable, mut too_long) = (least, request.max_tokens);
    while too_long - affordable > 1 {
        let middle = affordable + (too_long - affordable) / 2;
        if cost(middle).is_some_and(|cost| cost <= ceiling) {
            affordable = middle;
        } else {
            too_long = middle;
        }
    }
    Fit::Shortened(affordable, cost(affordable).unwrap_or(ceiling))
}

impl<'a> BudgetedModel<'a> {
    /// Grants `request`, which [`fit`] has made affordable.
    fn grant(client: &'a Client, request: &'a ChatRequest, ceiling: Usd) -> Result<Self, Error> {
        let reserved = match fit(client, request, ceiling) {
            Fit::Within(cost) => Some(cost),
            Fit::PriceUnknown => None,
            Fit::Shortened(_, needed) | Fit::TooDear(needed) => {
                return Err(Error::BudgetExceeded {
                    needed,
                    allowed: ceiling,
                });
            }
        };
        Ok(Self {
            client,
            request,
            reserved,
            traceparent: None,
        })
    }

    /// Lets the provider know which trace its work belongs to.
    fn within_trace(mut self, traceparent: Option<&'a str>) -> Self {
        self.traceparent = traceparent;
        self
    }

    /// The most that it will spend; `None` when the price is unknown.
    pub(crate) const fn reserved(&self) -> Option<Usd> {
        self.reserved
    }

    /// The whole answer.
    pub(crate) async fn complete(
        &self,
        deadline: Deadline,
    ) -> Result<ChatResponse, mainstay_ai::AiError> {
        let options = self.options(deadline);
        self.client.complete(self.request, options).await
    }

    /// The answer as it is made; begins anew with another model when one breaks off.
    pub(crate) async fn stream(
        &self,
        deadline: Deadline,
    ) -> Result<ChatStream, mainstay_ai::AiError> {
        let options = CallOptions {
            on_interruption: OnInterruption::Restart,
            ..self.options(deadline)
        };
        self.client.stream(self.request, options).await
    }

    fn options(&self, deadline: Deadline) -> CallOptions {
        CallOptions {
            traceparent: self.traceparent.map(str::to_owned),
            ..CallOptions::within(deadline)
        }
    }

    /// What `usage` costs with `model`; `None` when its price is unknown.
    pub(crate) fn cost(&self, model: &str, usage: &mainstay_ai::Usage) -> Option<Usd> {
        let nano = self.client.catalogue().cost(model, usage)?;
        Some(Usd::from_nano(nano.0))
    }
}

impl Services {
    /// The models for one question, within its ceiling and in its trace.
    pub(crate) fn grant<'a>(&'a self, question: &'a Question) -> Result<BudgetedModel<'a>, Error> {
        let model = BudgetedModel::grant(&self.models, &question.request, question.ceiling)?;
        Ok(model.within_trace(question.traceparent.as_deref()))
    }
}

/// The provider's count in the domain's words.
pub(crate) fn tokens(usage: &mainstay_ai::Usage) -> Tokens {
    Tokens {
        input: usage.input_tokens,
        output: usage.output_tokens,
        cached: usage.cached_input_tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_ai::{Config, Message, ModelConfig, ProviderConfig, ProviderKind};

    fn client(prices: &str) -> Client {
        let catalogue = mainstay_ai::price::Catalogue::from_toml(prices).unwrap();
        let config = Config {
            providers: vec![
                ProviderConfig::new("p", ProviderKind::OpenAi, "key").at("http://127.0.0.1:9"),
            ],
            models: vec![ModelConfig::new("m", [("p", "m")])],
            ..Config::default()
        };
        Client::builder(config)
            .catalogue(catalogue)
            .build()
            .unwrap()
    }

    /// One dollar for a million tokens either way.
    const PRICED: &str =
        "[[price]]\nmodel = \"m\"\nfrom = \"2020-01-01\"\ninput = \"1\"\noutput = \"1\"\n";

    fn request(max_tokens: u32) -> ChatRequest {
        ChatRequest {
            model: "m".to_owned(),
            messages: vec![Message::user("How are you?")],
            max_tokens,
            ..ChatRequest::default()
        }
    }

    #[tokio::test]
    async fn a_request_within_its_ceiling_is_left_alone() {
        let fit = fit(&client(PRICED), &request(1000), Usd::from_nano(10_000_000));
        assert!(
            matches!(fit, Fit::Within(cost) if cost <= Usd::from_nano(10_000_000)),
            "{fit:?}"
        );
    }

    #[tokio::test]
    async fn the_longest_affordable_answer_costs_no_more_than_the_ceiling() {
        let client = client(PRICED);
        let ceiling = Usd::from_nano(500_000);
        let Fit::Shortened(tokens, cost) = fit(&client, &request(100_000), ceiling) else {
            panic!("it should have been shortened");
        };
        assert!(cost <= ceiling);
        let one_more = fit(&client, &request(tokens + 1), ceiling);
        assert!(
            matches!(one_more, Fit::Shortened(..)),
            "{tokens} is not the longest: {one_more:?}"
        );
        let granted = request(tokens);
        assert!(BudgetedModel::grant(&client, &granted, ceiling).is_ok());
        let too_long = request(tokens + 1);
        assert!(BudgetedModel::grant(&client, &too_long, ceiling).is_err());
    }

    #[tokio::test]
    async fn what_no_ceiling_pays_for_is_refused_and_what_has_no_price_is_said() {
        assert!(matches!(
            fit(&client(PRICED), &request(1000), Usd::from_nano(10)),
            Fit::TooDear(_)
        ));
        let unpriced = client("price = []");
        assert_eq!(fit(&unpriced, &request(1000), Usd::ZERO), Fit::PriceUnknown);
    }
}
