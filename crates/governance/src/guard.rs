//! The guard in the stream of an answer.

use crate::{
    decide::Findings, detect::Kind, images::Images, placeholder::Redactions, policy::Policy,
    scanner::Scanner,
};
use jiff::Timestamp;
use mainstay_domain::{Decision, Hook, Verdict};

/// Lets an answer through piece by piece, replacing what must not be shown.
///
/// It holds back only text that could still become part of a finding: as a
/// rule the word that is being written. However the answer is cut into
/// pieces, the same text comes out.
#[derive(Debug)]
pub struct StreamGuard {
    policy: Policy,
    hook: Hook,
    scanner: Scanner,
    images: Images,
    redactions: Redactions,
    findings: Findings,
}

impl StreamGuard {
    /// A guard for one answer.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self::at(policy, Hook::Chunk)
    }

    /// A guard for the answer to a question whose personal data was replaced:
    /// new placeholders go on counting where `redactions` ended, so that those
    /// of the question can be told apart and restored in the answer.
    #[must_use]
    pub fn answering(policy: &Policy, redactions: &Redactions) -> Self {
        Self {
            redactions: redactions.clone(),
            ..Self::new(policy)
        }
    }

    pub(crate) fn at(policy: &Policy, hook: Hook) -> Self {
        Self {
            policy: policy.clone(),
            hook,
            scanner: Scanner::new(),
            images: Images::default(),
            redactions: Redactions::default(),
            findings: Findings::default(),
        }
    }

    /// Takes the next piece and gives what may be shown by now, which may be
    /// nothing.
    pub fn push(&mut self, piece: &str) -> String {
        self.run(piece.len(), |scanner, sink| scanner.push(piece, sink))
    }

    /// Gives what was held back, after the last piece, and what was decided.
    #[must_use]
    pub fn finish(mut self, now: Timestamp) -> (String, Vec<Decision>) {
        let mut released = self.run(0, |scanner, sink| scanner.finish(sink));
        self.images.finish(&mut released);
        (released, self.decisions(now))
    }

    /// What was decided so far.
    #[must_use]
    pub fn decisions(&self, now: Timestamp) -> Vec<Decision> {
        self.findings.decisions(
            self.hook,
            |kind| self.policy.on_finding(kind, self.hook),
            now,
        )
    }

    /// Redacts what goes along with a question, such as what was said before,
    /// and adds to `redactions`, so that one text has one placeholder in all.
    pub fn redact(policy: &Policy, text: &str, redactions: &mut Redactions) -> String {
        let mut guard = Self::at(policy, Hook::Before);
        guard.redactions = std::mem::take(redactions);
        let redacted = guard.whole(text);
        *redactions = guard.into_redactions();
        redacted
    }

    /// Guards a whole text. Texts guarded one after the other share their
    /// placeholders.
    pub(crate) fn whole(&mut self, text: &str) -> String {
        let released = self.run(text.len(), |scanner, sink| {
            scanner.push(text, sink);
            scanner.finish(sink);
        });
        self.scanner = Scanner::new();
        released
    }

    pub(crate) fn into_redactions(self) -> Redactions {
        self.redactions
    }

    /// Lets `work` feed the scanner and gives what was released by it, which
    /// is about `size` bytes.
    fn run(
        &mut self,
        size: usize,
        work: impl FnOnce(&mut Scanner, &mut dyn FnMut(Output<'_>)),
    ) -> String {
        let mut scanned = String::with_capacity(size);
        let (policy, hook) = (&self.policy, self.hook);
        let (redactions, findings) = (&mut self.redactions, &mut self.findings);
        let mut sink = |output: Output<'_>| match output {
            Output::Text(text) => scanned.push_str(text),
            Output::Found(kind, found) => {
                findings.add(kind);
                if policy.on_finding(kind, hook) == Verdict::Warn {
                    scanned.push_str(found);
                } else {
                    scanned.push_str(&redactions.placeholder(kind, found));
                }
            }
            Output::More(kind, found) => {
                if policy.on_finding(kind, hook) == Verdict::Warn {
                    scanned.push_str(found);
                }
            }
        };
        work(&mut self.scanner, &mut sink);
        // A question is not rendered, so its pictures do no harm.
        if hook == Hook::Before {
            return scanned;
        }
        let mut released = String::with_capacity(scanned.len());
        self.images.push(&scanned, &mut released, &mut || {
            self.findings.add(Kind::RemoteImage);
            policy.on_finding(Kind::RemoteImage, hook) != Verdict::Warn
        });
        released
    }
}

/// What a scanner says about the next piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output<'a> {
    /// Nothing in it.
    Text(&'a str),
    /// All of it is a finding.
    Found(Kind, &'a str),
    /// It continues the last finding, which is too long to be held whole.
    More(Kind, &'a str),
}
