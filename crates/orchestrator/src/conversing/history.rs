//! What a model is shown of a conversation so far.

use crate::{
    model::{Fit, fit},
    question::Question,
    services::Services,
};
use mainstay_ai::Message as Turn;
use mainstay_domain::{Message, MessageRole};
use mainstay_governance::{Policy, StreamGuard};
use std::collections::VecDeque;

impl Services {
    /// Puts the earlier messages before the question, as many of the latest
    /// ones as the settings and the ceiling allow. What governance would
    /// redact in a question, it redacts here.
    pub(super) fn with_history(&self, question: &mut Question, earlier: &[Message]) {
        let policy = Policy::from(&question.workspace);
        let mut turns: VecDeque<Turn> = VecDeque::new();
        let mut left = self.config.history_characters;
        for message in earlier.iter().rev() {
            let Some(rest) = left.checked_sub(message.content.len()) else {
                break;
            };
            left = rest;
            let text = StreamGuard::redact(&policy, &message.content, &mut question.redactions);
            turns.push_front(match message.role {
                MessageRole::User => Turn::user(text),
                MessageRole::Assistant => Turn::assistant(text),
            });
        }
        let asked = std::mem::take(&mut question.request.messages);
        loop {
            // Models want the first turn to be the person's.
            while turns
                .front()
                .is_some_and(|turn| turn.role == mainstay_ai::Role::Assistant)
            {
                turns.pop_front();
            }
            question.request.messages =
                turns.iter().cloned().chain(asked.iter().cloned()).collect();
            let fits = matches!(
                fit(&self.models, &question.request, question.ceiling),
                Fit::Within(_) | Fit::PriceUnknown
            );
            if fits || turns.pop_front().is_none() {
                return;
            }
        }
    }
}
