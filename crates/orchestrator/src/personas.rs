//! Personas: who answers, and which of them suits a task.

use crate::{Error, Orchestrator};
use mainstay_domain::{Persona, PersonaDraft, PersonaId};
use mainstay_persistence::{Call, PageRequest};
use std::collections::HashSet;

/// A persona that suits a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The persona.
    pub persona: Persona,
    /// The words that the task and the persona share.
    pub matched: Vec<String>,
}

/// The most suggestions.
const SUGGESTIONS: usize = 3;

impl Orchestrator {
    /// Makes a persona.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken, [`Error::Invalid`] when the
    /// model is not configured.
    pub async fn create_persona(
        &self,
        call: &Call,
        draft: &PersonaDraft,
    ) -> Result<Persona, Error> {
        self.check_model(draft)?;
        Ok(self.0.personas.create(call, draft).await?)
    }

    /// Changes a persona that the caller read as `version`.
    ///
    /// # Errors
    /// As [`Orchestrator::create_persona`], and [`Error::StaleVersion`].
    pub async fn update_persona(
        &self,
        call: &Call,
        id: PersonaId,
        version: i32,
        draft: &PersonaDraft,
    ) -> Result<Persona, Error> {
        self.check_model(draft)?;
        let persona = self.0.personas.update(call, id, version, draft).await?;
        self.0.directory.forget_persona(call, id).await;
        Ok(persona)
    }

    /// Takes a persona out of use; what it answered stays explainable.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn archive_persona(&self, call: &Call, id: PersonaId) -> Result<(), Error> {
        self.0.personas.archive(call, id).await?;
        self.0.directory.forget_persona(call, id).await;
        Ok(())
    }

    /// The personas whose name or description shares whole words with a task,
    /// best first. Whole words, since "email" must not call for "AI".
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn suggest_personas(
        &self,
        call: &Call,
        task: &str,
    ) -> Result<Vec<Suggestion>, Error> {
        let wanted = words(task);
        let page = PageRequest {
            limit: PageRequest::MAX,
            after: None,
        };
        let mut found: Vec<Suggestion> = self
            .0
            .personas
            .list(call, page)
            .await?
            .items
            .into_iter()
            .filter_map(|persona| {
                let known = words(persona.draft.name.as_str())
                    .into_iter()
                    .chain(words(&persona.draft.description))
                    .collect::<HashSet<_>>();
                let mut matched: Vec<String> = wanted.intersection(&known).cloned().collect();
                matched.sort_unstable();
                (!matched.is_empty()).then_some(Suggestion { persona, matched })
            })
            .collect();
        found.sort_by_key(|suggestion| std::cmp::Reverse(suggestion.matched.len()));
        found.truncate(SUGGESTIONS);
        Ok(found)
    }

    fn check_model(&self, draft: &PersonaDraft) -> Result<(), Error> {
        let models = self.0.models.models();
        match &draft.model {
            // Without any provider a persona may be prepared for a later one.
            Some(model) if !models.is_empty() && !models.contains(model) => Err(Error::Invalid {
                pointer: "/model",
                message: format!(
                    "is not a configured model; configured are: {}",
                    models.join(", ")
                ),
            }),
            _ => Ok(()),
        }
    }
}

/// The words of a text that say something: three letters or more, without the
/// commonest, and without the plural's s.
fn words(text: &str) -> HashSet<String> {
    const COMMON: [&str; 24] = [
        "the", "and", "for", "with", "that", "this", "from", "are", "was", "you", "your", "our",
        "how", "what", "why", "can", "has", "have", "not", "but", "all", "any", "out", "who",
    ];
    text.split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| word.chars().count() >= 3 && !COMMON.contains(&word.as_str()))
        .map(|word| word.strip_suffix('s').map_or(word.clone(), str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn only_whole_words_count() {
        let email = words("build a quick email");
        assert!(email.contains("email") && email.contains("quick"));
        assert!(!email.contains("ai") && !email.contains("ui"));
    }

    #[test]
    fn plural_and_case_do_not_matter() {
        assert_eq!(words("Databases"), words("database"));
    }
}
