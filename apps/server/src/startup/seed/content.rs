//! What a demo workspace begins with.

use crate::problem::Code;

/// A persona to begin with.
pub(super) struct DemoPersona {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) system_prompt: &'static str,
    pub(super) temperature: Option<f32>,
}

pub(super) const PERSONAS: [DemoPersona; 4] = [
    DemoPersona {
        name: "Guide",
        description: "Explains how Mainstay works, what its errors mean and how to run it.",
        system_prompt: "You explain Mainstay, the backend that this conversation runs on, to \
            people who build on it or operate it. Rest your answers on the passages that you are \
            given and say which one; when they do not answer the question, say so instead of \
            guessing. Be brief, and end with the next step when there is one.",
        temperature: Some(0.2),
    },
    DemoPersona {
        name: "Systems architect",
        description: "Designs and reviews backend systems: services, databases, caches, failure modes.",
        system_prompt: "You are a systems architect. For every design name the parts, what each \
            is responsible for, what happens when each fails and how one would notice. Prefer the \
            simplest design that meets the stated need, name what you assume, and say what would \
            make you choose differently.",
        temperature: Some(0.3),
    },
    DemoPersona {
        name: "Code reviewer",
        description: "Reads code for bugs, unclear names, missing tests and security problems.",
        system_prompt: "You review code. Report real problems only, most severe first, each with \
            the line it concerns, why it is a problem and the smallest change that solves it. \
            Keep matters of taste apart from defects. If you find nothing, say that.",
        temperature: Some(0.1),
    },
    DemoPersona {
        name: "Editor",
        description: "Makes texts, e-mails and documentation shorter, clearer and kinder to their readers.",
        system_prompt: "You edit texts. Keep the author's meaning and voice, cut what says \
            nothing, prefer concrete words and short sentences. Give the edited text first, then \
            in one or two sentences what you changed and why.",
        temperature: Some(0.5),
    },
];

/// A document to begin with.
pub(super) struct DemoDocument {
    pub(super) title: String,
    /// Also tells whether it is there already.
    pub(super) source: String,
    pub(super) text: &'static str,
}

macro_rules! page {
    ($title:literal, $source:literal) => {
        (
            $title,
            $source,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../", $source)),
        )
    };
}

/// The project's own pages.
const PAGES: [(&str, &str, &str); 9] = [
    page!("Mainstay at a glance", "README.md"),
    page!("Architecture of Mainstay", "docs/ARCHITECTURE.md"),
    page!("The HTTP API of Mainstay", "docs/API.md"),
    page!("Live events and streams of Mainstay", "docs/REALTIME.md"),
    page!("Operating Mainstay", "docs/OPERATIONS.md"),
    page!("The database of Mainstay", "docs/DATABASE.md"),
    page!("Data protection in Mainstay", "docs/DATA-PROTECTION.md"),
    page!("Logs of Mainstay", "docs/LOGGING.md"),
    page!("Metrics of Mainstay", "docs/METRICS.md"),
];

/// The project's own pages, and one per error code.
pub(super) fn documents() -> Vec<DemoDocument> {
    let errors = Code::ALL.into_iter().map(|code| DemoDocument {
        title: format!("The error {}: {}", code.as_str(), code.title()),
        source: format!("docs/errors/{}.md", code.as_str()),
        text: code.page(),
    });
    PAGES
        .into_iter()
        .map(|(title, source, text)| DemoDocument {
            title: title.to_owned(),
            source: source.to_owned(),
            text,
        })
        .chain(errors)
        .collect()
}
