//! A dry run of governance: what would be decided about a question that is not asked.

use crate::{Error, Orchestrator, question::Ask};
use mainstay_domain::{Decision, Usd, Verdict};
use mainstay_governance::{Policy, Refusal, before};
use mainstay_persistence::Call;

/// What would happen to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// The severest verdict.
    pub verdict: Verdict,
    /// The code that the question would be refused with; `None` when it would be asked.
    pub refused_with: Option<&'static str>,
    /// What would be decided.
    pub decisions: Vec<Decision>,
    /// The question as the model would see it.
    pub prompt: String,
    /// The context as the model would see it.
    pub context: Option<String>,
    /// The most that the answer could cost; `None` when the model's price is unknown.
    pub estimated_ceiling: Option<Usd>,
}

impl Orchestrator {
    /// Judges a question as [`Orchestrator::execute`] would, and goes no
    /// further: nothing is asked, spent, stored or logged.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a persona that is not of the workspace.
    pub async fn rehearse(&self, call: &Call, ask: &Ask) -> Result<Rehearsal, Error> {
        let services = &self.0;
        let workspace = services.directory.workspace(call).await?;
        let personas = services.personas_of(call, ask).await?;
        let context = ask.context.as_ref().map(mainstay_domain::Prompt::as_str);
        let mut request = services.request(&personas, context, ask.prompt.as_str());
        let afforded = services.afford(&mut request, &workspace, ask.max_cost);
        let (estimated_ceiling, shortened) = match afforded {
            // Governance says why, with its rule.
            Err(Error::BudgetExceeded { needed, .. }) => (Some(needed), None),
            other => other?,
        };
        let found = before(
            &Policy::from(&workspace),
            &mainstay_governance::Question {
                prompt: ask.prompt.as_str(),
                context,
                estimated_ceiling,
                max_cost: ask.max_cost,
            },
            services.now(),
        );
        let mut decisions = found.decisions;
        let verdict = shortened
            .iter()
            .map(|decision| decision.verdict)
            .fold(found.verdict, Verdict::max);
        decisions.extend(shortened);
        Ok(Rehearsal {
            verdict,
            refused_with: found.refusal.map(|refusal| match refusal {
                Refusal::Denied => "GOVERNANCE_DENIED",
                Refusal::OverBudget => "BUDGET_EXCEEDED",
            }),
            decisions,
            prompt: found.prompt,
            context: found.context,
            estimated_ceiling,
        })
    }
}
