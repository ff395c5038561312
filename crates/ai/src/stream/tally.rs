//! What a stream has used, at any moment of it.

use super::StreamEvent;
use crate::response::Usage;
use crate::tokens;

/// Counts along with a stream, so that a bill can be written whenever it ends.
#[derive(Debug)]
pub(crate) struct Tally {
    input_estimate: u64,
    output_estimate: u64,
    said: Option<Usage>,
    /// Attempts that were withdrawn.
    earlier: Usage,
    earlier_is_estimate: bool,
    is_final: bool,
}

impl Tally {
    pub(crate) fn new(input_estimate: u64) -> Self {
        Self {
            input_estimate,
            output_estimate: 0,
            said: None,
            earlier: Usage::default(),
            earlier_is_estimate: false,
            is_final: false,
        }
    }

    pub(crate) fn hear(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Delta(text) => self.text(text),
            StreamEvent::ToolCallDelta { arguments, .. } => self.text(arguments),
            StreamEvent::Usage(usage) => self.said(*usage),
            StreamEvent::Reset => self.withdraw(),
            StreamEvent::Finished(response) => {
                self.said = Some(response.usage);
                self.is_final = !response.usage_is_estimate;
            }
            StreamEvent::Started { .. } => {}
        }
    }

    /// A piece of at least one token arrived.
    pub(crate) fn text(&mut self, text: &str) {
        self.output_estimate += tokens::estimate(text).max(1);
    }

    pub(crate) fn said(&mut self, usage: Usage) {
        self.said = Some(usage);
    }

    pub(crate) fn provider_said(&self) -> Option<Usage> {
        self.said
    }

    fn withdraw(&mut self) {
        self.earlier = self.usage();
        self.earlier_is_estimate = true;
        self.said = None;
        self.output_estimate = 0;
    }

    pub(crate) fn usage(&self) -> Usage {
        let current = self.current();
        let earlier = &self.earlier;
        Usage {
            input_tokens: earlier.input_tokens + current.input_tokens,
            output_tokens: earlier.output_tokens + current.output_tokens,
            cached_input_tokens: earlier.cached_input_tokens + current.cached_input_tokens,
            cache_write_tokens: earlier.cache_write_tokens + current.cache_write_tokens,
            long_cache_write_tokens: earlier.long_cache_write_tokens
                + current.long_cache_write_tokens,
            reasoning_tokens: earlier.reasoning_tokens + current.reasoning_tokens,
        }
    }

    /// Providers count the input first and the output last, so that in between
    /// the output is what arrived rather than what was said.
    fn current(&self) -> Usage {
        match self.said {
            Some(said) if self.is_final => said,
            Some(said) => Usage {
                input_tokens: if said.input_tokens == 0 {
                    self.input_estimate
                } else {
                    said.input_tokens
                },
                output_tokens: said.output_tokens.max(self.output_estimate),
                ..said
            },
            None => Usage {
                input_tokens: self.input_estimate,
                output_tokens: self.output_estimate,
                ..Usage::default()
            },
        }
    }

    pub(crate) fn is_estimate(&self) -> bool {
        self.earlier_is_estimate || !self.is_final
    }
}
