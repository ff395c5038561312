//! Agents: durable owners of conversations.

use crate::{
    Error, Orchestrator,
    conversing::{Said, Saying},
    services::Services,
};
use mainstay_domain::{AgentAction, AgentId, AgentState, RunId};
use mainstay_persistence::{Call, DbError};
use std::sync::Arc;

impl Orchestrator {
    /// Gives an agent work: what is said to it becomes a run of its conversation.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is ready; else as [`Orchestrator::say`].
    pub async fn instruct(&self, call: &Call, id: AgentId, saying: &Saying) -> Result<Said, Error> {
        let agent = self.0.agents.find(call, id).await?;
        if agent.state != AgentState::Ready {
            let state = agent.state.as_str();
            return Err(Error::Conflict(format!(
                "the agent is {state}; only a ready agent takes work"
            )));
        }
        let agent = match self.0.agents.set_busy(call, id).await {
            Err(DbError::Conflict(_) | DbError::Refused(_)) => {
                return Err(Error::Conflict(
                    "the agent took other work just now".to_owned(),
                ));
            }
            other => other?,
        };
        let persona = saying.persona_id.or(agent.persona_id);
        let said = self
            .begin_run(call, agent.conversation_id, persona, saying, Some(id))
            .await;
        if said.is_err() {
            // What could not begin says nothing about the agent.
            self.0.work_done(call, id, true);
        }
        said
    }

    /// Moves an agent through its life. A forced step stops its work first.
    ///
    /// # Errors
    /// [`Error::Conflict`] when its state does not allow the step.
    pub async fn direct(
        &self,
        call: &Call,
        id: AgentId,
        action: AgentAction,
        force: bool,
        reason: Option<&str>,
    ) -> Result<mainstay_domain::Agent, Error> {
        let agent = self
            .0
            .agents
            .transition(call, id, action, force, reason)
            .await?;
        if force {
            self.stop_work(call, &agent).await?;
        }
        Ok(agent)
    }

    async fn stop_work(&self, call: &Call, agent: &mainstay_domain::Agent) -> Result<(), Error> {
        let user = call.principal().user_id;
        let running: Vec<RunId> = self
            .0
            .runs
            .active()
            .into_iter()
            .filter_map(|(owner, run)| (owner == user).then_some(run))
            .collect();
        for run in running {
            let message = self.0.messages.find(call, run.uuid().into()).await;
            if message.is_ok_and(|message| message.conversation_id == agent.conversation_id) {
                self.0.runs.cancel(&(user, run));
            }
        }
        Ok(())
    }
}

impl Services {
    /// Lets an agent take work again, or marks that its work failed.
    pub(crate) fn work_done(self: &Arc<Self>, call: &Call, id: AgentId, succeeded: bool) {
        self.write_later(*call, "agent", move |services, call| async move {
            match services.agents.finish(&call, id, succeeded).await {
                // It was terminated or reset meanwhile, which is its last word.
                Ok(_) | Err(DbError::NotFound | DbError::Refused(_) | DbError::StaleVersion) => {
                    Ok(())
                }
                Err(error) => Err(error),
            }
        });
    }
}
