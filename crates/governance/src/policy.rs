//! What a workspace demands, and the verdict that follows from a fact.

use crate::detect::Kind;
use mainstay_domain::{GovernanceLevel, Hook, Usd, Verdict, Workspace};

/// A workspace's demands, as far as guards need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How strictly findings are judged.
    pub level: GovernanceLevel,
    /// The most that one request may cost.
    pub request_ceiling: Usd,
    /// Words that no question may contain.
    pub blocked_terms: Vec<String>,
}

impl From<&Workspace> for Policy {
    fn from(workspace: &Workspace) -> Self {
        Self {
            level: workspace.governance_level,
            request_ceiling: workspace.request_ceiling,
            blocked_terms: workspace.blocked_terms.clone(),
        }
    }
}

impl Policy {
    /// The verdict on something found in a text at `hook`.
    pub(crate) fn on_finding(&self, kind: Kind, hook: Hook) -> Verdict {
        match (self.level, hook) {
            (GovernanceLevel::Permissive, _) => Verdict::Warn,
            // A secret in a question was pasted by mistake; strict workspaces
            // want the person to know before anything is sent anywhere.
            (GovernanceLevel::Strict, Hook::Before) if kind == Kind::Secret => Verdict::Deny,
            _ => Verdict::Redact,
        }
    }

    /// The verdict on an injection score from 0 to 1; `None` when it is too
    /// low to mention. A heuristic alone denies only when it is very sure.
    pub(crate) fn on_injection(&self, score: f32) -> Option<Verdict> {
        let (warn, deny) = match self.level {
            GovernanceLevel::Strict => (0.4, 0.7),
            GovernanceLevel::Moderate => (0.5, 0.9),
            GovernanceLevel::Permissive => (0.5, f32::INFINITY),
        };
        if score >= deny {
            Some(Verdict::Deny)
        } else if score >= warn {
            Some(Verdict::Warn)
        } else {
            None
        }
    }

    /// The verdict on a question whose cost cannot be told in advance.
    pub(crate) const fn on_unknown_cost(&self) -> Verdict {
        match self.level {
            GovernanceLevel::Strict => Verdict::Deny,
            GovernanceLevel::Moderate | GovernanceLevel::Permissive => Verdict::Warn,
        }
    }
}
