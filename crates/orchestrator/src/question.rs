//! A question as it was asked, and as it is put to a model.

use aws_lc_rs::digest;
use mainstay_ai::{ChatRequest, Message, Role};
use mainstay_domain::{Answer, Decision, Persona, PersonaId, Principal, Prompt, Usd, Workspace};
use mainstay_governance::Redactions;

/// A question as a person or program asked it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The question.
    pub prompt: Prompt,
    /// The personas that shall shape the answer; none means the plain assistant.
    pub persona_ids: Vec<PersonaId>,
    /// Text that the answer shall take into account.
    pub context: Option<Prompt>,
    /// Whether a stored answer may serve, and this one be stored.
    pub use_cache: bool,
    /// The most that it may cost, below the workspace's own ceiling.
    pub max_cost: Option<Usd>,
    /// The W3C trace that it belongs to, handed on to the model's provider.
    pub traceparent: Option<String>,
}

/// A question that governance has let pass, with everything that its answer depends on.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) workspace: Workspace,
    pub(crate) personas: Vec<Persona>,
    pub(crate) request: ChatRequest,
    /// The question itself, redacted; what a search of the knowledge base is made from.
    pub(crate) prompt: String,
    /// The most that answering may cost.
    pub(crate) ceiling: Usd,
    pub(crate) decisions: Vec<Decision>,
    /// What placeholders stand for. Answers are stored with placeholders, since
    /// another question may differ only in them, and shown to the asker without.
    pub(crate) redactions: Redactions,
    /// Says nothing about the answer, and is no part of its key.
    pub(crate) traceparent: Option<String>,
}

impl Question {
    /// The answer as its asker may see it.
    pub(crate) fn restored(&self, mut answer: Answer) -> Answer {
        if !self.redactions.is_empty() {
            answer.answer = self.redactions.restore(&answer.answer);
        }
        answer
    }

    pub(crate) fn persona_ids(&self) -> Vec<PersonaId> {
        self.personas.iter().map(|persona| persona.id).collect()
    }

    /// Names every input that the answer depends on, and whoever may see it:
    /// two questions share an answer only when all of this is equal.
    /// Each part is preceded by its length, so that no two lists of parts
    /// spell the same bytes.
    pub(crate) fn cache_key(&self, principal: &Principal) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        part(b"mainstay.answer.1");
        part(self.workspace.id.uuid().as_bytes());
        if !self.workspace.share_answers {
            part(principal.user_id.uuid().as_bytes());
        }
        part(self.workspace.governance_level.as_str().as_bytes());
        for persona in &self.personas {
            part(persona.id.uuid().as_bytes());
            part(&persona.version.to_be_bytes());
        }
        part(self.request.model.as_bytes());
        part(
            self.request
                .system
                .as_deref()
                .unwrap_or_default()
                .as_bytes(),
        );
        part(&self.request.max_tokens.to_be_bytes());
        part(
            &self
                .request
                .temperature
                .map_or(u32::MAX, f32::to_bits)
                .to_be_bytes(),
        );
        for message in &self.request.messages {
            part(match message.role {
                Role::User => b"user",
                Role::Assistant => b"assistant",
            });
            part(message.text().as_bytes());
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        key
    }
}

/// Puts persona, context and question together for a model.
pub(crate) fn chat_request(
    assistant: &str,
    default_model: &str,
    personas: &[Persona],
    context: Option<&str>,
    mut history: Vec<Message>,
    prompt: &str,
) -> ChatRequest {
    let system = match personas {
        [] => assistant.to_owned(),
        [one] => one.draft.system_prompt.as_str().to_owned(),
        several => combined_system_prompt(several),
    };
    let question = match context {
        Some(context) => format!("Context:\n{context}\n\nQuestion:\n{prompt}"),
        None => prompt.to_owned(),
    };
    history.push(Message::user(question));
    let lead = personas.first().map(|persona| &persona.draft);
    ChatRequest {
        model: lead
            .and_then(|draft| draft.model.clone())
            .unwrap_or_else(|| default_model.to_owned()),
        system: Some(system),
        messages: history,
        max_tokens: lead.map_or(mainstay_domain::PersonaDraft::DEFAULT_MAX_TOKENS, |draft| {
            draft.max_tokens
        }),
        temperature: lead.and_then(|draft| draft.temperature),
        ..ChatRequest::default()
    }
}

/// Several personas answer together: each speaks in its own domain, the first
/// named leads and resolves what they disagree on.
fn combined_system_prompt(personas: &[Persona]) -> String {
    let mut prompt = String::from(
        "Several experts answer together. Let each speak where its expertise applies; \
         name disagreements openly; the first expert leads and gives the conclusion.\n",
    );
    for persona in personas {
        prompt.push_str("\n## ");
        prompt.push_str(persona.draft.name.as_str());
        prompt.push('\n');
        prompt.push_str(persona.draft.system_prompt.as_str());
        prompt.push('\n');
    }
    prompt
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use mainstay_domain::{
        GovernanceLevel, Name, PersonaDraft, Role as PrincipalRole, SessionId, UserId, WorkspaceId,
    };
    use std::collections::HashSet;

    fn at() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn workspace() -> Workspace {
        Workspace {
            id: WorkspaceId::at(at()),
            name: Name::parse("Test").unwrap(),
            governance_level: GovernanceLevel::Moderate,
            request_ceiling: Usd::from_nano(1),
            share_answers: false,
            blocked_terms: Vec::new(),
            version: 1,
            created_at: at(),
        }
    }

    fn principal(workspace: &Workspace) -> Principal {
        Principal {
            user_id: UserId::at(at()),
            workspace_id: workspace.id,
            role: PrincipalRole::Member,
            session_id: SessionId::at(at()),
        }
    }

    fn persona(workspace: &Workspace, version: i32) -> Persona {
        Persona {
            id: uuid::Uuid::from_u128(7).into(),
            workspace_id: workspace.id,
            draft: PersonaDraft {
                name: Name::parse("Expert").unwrap(),
                description: String::new(),
                system_prompt: Prompt::parse("Be exact.").unwrap(),
                model: None,
                temperature: None,
                max_tokens: 100,
            },
            version,
            created_at: at(),
            updated_at: at(),
        }
    }

    fn question(
        workspace: Workspace,
        personas: Vec<Persona>,
        model: &str,
        prompt: &str,
    ) -> Question {
        Question {
            request: chat_request("Help.", model, &personas, None, Vec::new(), prompt),
            workspace,
            personas,
            prompt: prompt.to_owned(),
            ceiling: Usd::ZERO,
            decisions: Vec::new(),
            redactions: Redactions::default(),
            traceparent: None,
        }
    }

    #[test]
    fn everything_that_changes_an_answer_changes_its_key() {
        let mine = workspace();
        let me = principal(&mine);
        let strict = Workspace {
            governance_level: GovernanceLevel::Strict,
            ..mine.clone()
        };
        let other = workspace();
        let mut warm = question(mine.clone(), vec![], "a", "why?");
        warm.request.temperature = Some(0.0);
        let keys = [
            question(mine.clone(), vec![], "a", "why?").cache_key(&me),
            question(mine.clone(), vec![], "a", "why not?").cache_key(&me),
            question(mine.clone(), vec![], "b", "why?").cache_key(&me),
            question(mine.clone(), vec![persona(&mine, 1)], "a", "why?").cache_key(&me),
            question(mine.clone(), vec![persona(&mine, 2)], "a", "why?").cache_key(&me),
            question(strict, vec![], "a", "why?").cache_key(&me),
            question(other.clone(), vec![], "a", "why?").cache_key(&principal(&other)),
            question(mine.clone(), vec![], "a", "why?").cache_key(&principal(&mine)),
            warm.cache_key(&me),
        ];
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    }

    #[test]
    fn a_workspace_that_shares_answers_has_one_key_for_all_its_members() {
        let sharing = Workspace {
            share_answers: true,
            ..workspace()
        };
        let one = question(sharing.clone(), vec![], "a", "why?");
        assert_eq!(
            one.cache_key(&principal(&sharing)),
            one.cache_key(&principal(&sharing))
        );
    }

    #[test]
    fn text_cannot_move_from_one_part_of_the_key_to_the_next() {
        let mine = workspace();
        let me = principal(&mine);
        let ask = |context: &str, prompt: &str| {
            let mut question = question(mine.clone(), vec![], "a", prompt);
            question.request.system = Some(context.to_owned());
            question.cache_key(&me)
        };
        assert_ne!(ask("ab", "c"), ask("a", "bc"));
    }
}
