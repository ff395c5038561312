//! A question as it was asked, and as it is put to a model.

use aws_lc_rs::digest;
use mainstay_ai::{ChatRequest, Message, Role};
use mainstay_domain::{Decision, Persona, PersonaId, Principal, Prompt, Usd, Workspace};

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
}

impl Question {
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
