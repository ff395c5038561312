//! How much a text reads like an attempt to overrule the assistant.
//!
//! A heuristic over families of phrases. It catches attempts that were pasted
//! from elsewhere; it does not catch those that were made for it, and nothing
//! that only reads the question can. So its score warns, and denies only when
//! several families agree.

use crate::normal::fold;

/// A family of phrases: a word of each list, in this order, with at most a few
/// other words in between.
struct Family {
    weight: f32,
    /// The most other words between two lists.
    gap: usize,
    phrases: &'static [&'static [&'static [&'static str]]],
}

const OVERRIDE: &[&str] = &[
    "ignore",
    "disregard",
    "forget",
    "override",
    "bypass",
    "overrule",
    "neglect",
    "skip",
    "drop",
    "ignoriere",
    "vergiss",
    "ignora",
    "olvida",
    "oublie",
    "ignorez",
];
const EARLIER: &[&str] = &[
    "previous",
    "prior",
    "above",
    "earlier",
    "preceding",
    "all",
    "any",
    "your",
    "the",
    "foregoing",
    "original",
    "system",
    "vorherigen",
    "bisherigen",
    "anteriores",
    "precedentes",
    "initial",
];
const RULES: &[&str] = &[
    "instructions",
    "instruction",
    "prompt",
    "prompts",
    "rules",
    "guidelines",
    "directions",
    "directives",
    "programming",
    "constraints",
    "restrictions",
    "context",
    "safeguards",
    "policies",
    "anweisungen",
    "instrucciones",
    "filters",
    "commands",
    "training",
];

const FAMILIES: &[Family] = &[
    // Overruling what came before.
    Family {
        weight: 0.75,
        gap: 3,
        phrases: &[&[OVERRIDE, EARLIER, RULES]],
    },
    // Asking for the hidden text.
    Family {
        weight: 0.6,
        gap: 4,
        phrases: &[
            &[
                &[
                    "reveal", "show", "print", "repeat", "output", "display", "leak", "expose",
                    "dump", "tell", "give",
                ],
                &[
                    "system",
                    "hidden",
                    "initial",
                    "secret",
                    "developer",
                    "original",
                ],
                &["prompt", "instructions", "message", "rules", "directives"],
            ],
            &[
                &["repeat", "print", "output"],
                &["everything", "words", "text"],
                &["above", "before"],
            ],
        ],
    },
    // A role without limits.
    Family {
        weight: 0.6,
        gap: 4,
        phrases: &[
            &[
                &["you"],
                &["are", "re"],
                &["now"],
                &[
                    "dan",
                    "unrestricted",
                    "jailbroken",
                    "unfiltered",
                    "evil",
                    "uncensored",
                    "amoral",
                ],
            ],
            &[&["do"], &["anything"], &["now"]],
            &[
                &["pretend", "act", "behave", "roleplay", "respond"],
                &["as", "like", "you"],
                &[
                    "unrestricted",
                    "unfiltered",
                    "uncensored",
                    "amoral",
                    "evil",
                    "jailbroken",
                    "dan",
                    "unethical",
                ],
            ],
            &[
                &["without", "no", "free", "ignore"],
                &["any", "of", "ethical", "moral", "all"],
                &[
                    "restrictions",
                    "limitations",
                    "filters",
                    "guidelines",
                    "ethics",
                    "censorship",
                    "boundaries",
                ],
            ],
        ],
    },
    // Switching modes.
    Family {
        weight: 0.35,
        gap: 2,
        phrases: &[
            &[
                &[
                    "developer",
                    "debug",
                    "god",
                    "admin",
                    "maintenance",
                    "jailbreak",
                    "dan",
                    "sudo",
                    "root",
                ],
                &["mode"],
                &[
                    "enabled",
                    "on",
                    "activated",
                    "active",
                    "engaged",
                    "output",
                    "enable",
                ],
            ],
            &[
                &["enter", "enable", "activate", "switch", "simulate", "start"],
                &[
                    "developer",
                    "debug",
                    "god",
                    "admin",
                    "jailbreak",
                    "dan",
                    "sudo",
                    "unrestricted",
                ],
                &["mode"],
            ],
        ],
    },
    // Forbidding refusals.
    Family {
        weight: 0.4,
        gap: 4,
        phrases: &[
            &[
                &["never", "not", "cannot", "don", "without"],
                &[
                    "refuse",
                    "decline",
                    "warn",
                    "apologize",
                    "disclaimers",
                    "refusing",
                    "warnings",
                ],
            ],
            &[&["stay", "remain", "break"], &["in"], &["character"]],
            &[
                &["must", "always"],
                &["comply", "obey", "answer"],
                &[
                    "request",
                    "requests",
                    "everything",
                    "question",
                    "orders",
                    "questions",
                ],
            ],
        ],
    },
    // New orders in the name of the system.
    Family {
        weight: 0.5,
        gap: 2,
        phrases: &[
            &[
                &["new", "updated", "real", "actual"],
                &["system"],
                &["prompt", "instructions", "instruction", "message"],
            ],
            &[
                &["your"],
                &["new", "real", "true", "only"],
                &[
                    "instructions",
                    "task",
                    "purpose",
                    "directive",
                    "objective",
                    "goal",
                ],
                &["is", "are"],
            ],
            &[
                &["end"],
                &["of"],
                &["system", "prompt"],
                &["prompt", "message", "instructions"],
            ],
        ],
    },
    // Carrying something out.
    Family {
        weight: 0.4,
        gap: 5,
        phrases: &[&[
            &["send", "post", "exfiltrate", "upload", "forward"],
            &[
                "conversation",
                "secrets",
                "credentials",
                "password",
                "passwords",
                "keys",
                "data",
                "history",
                "token",
            ],
            &["http", "https", "url", "webhook", "server", "email"],
        ]],
    },
];

/// Marks of chat templates, which have no business inside a question.
const MARKS: &[&str] = &[
    "<|im_start|>",
    "<|im_end|>",
    "<|system|>",
    "<|endoftext|>",
    "[inst]",
    "[/inst]",
    "<<sys>>",
    "### system",
    "### instruction:",
    "</system>",
    "<system>",
    "begin_of_text|>",
];
const MARK_WEIGHT: f32 = 0.5;

/// The most bytes of a text that are looked at from its beginning and from its
/// end, which is where overruling is tried.
const WINDOW: usize = 64 * 1024;

/// A score from 0, nothing suspicious, to 1. Text that is hidden by invisible
/// characters, other alphabets' forms of letters or base64 counts as well.
#[must_use]
pub fn injection_score(text: &str) -> f32 {
    let plain = score(text);
    let hidden = encoded_parts(text)
        .map(|part| score(&part))
        .fold(0.0, f32::max);
    // Hiding it is a sign of its own.
    plain.max(if hidden > 0.0 {
        combine(hidden, 0.3)
    } else {
        0.0
    })
}

fn score(text: &str) -> f32 {
    let folded: String = fold(window(text)).collect();
    let mark = MARKS.iter().any(|mark| folded.contains(mark));
    let words: Vec<&str> = folded
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let families = FAMILIES
        .iter()
        .filter(|family| {
            family
                .phrases
                .iter()
                .any(|phrase| occurs(&words, phrase, family.gap))
        })
        .map(|family| family.weight);
    families
        .chain(mark.then_some(MARK_WEIGHT))
        .fold(0.0, combine)
}

/// Independent signs add up as probabilities do.
fn combine(one: f32, other: f32) -> f32 {
    1.0 - (1.0 - one) * (1.0 - other)
}

/// Whether a word of each list occurs in order with few words in between.
fn occurs(words: &[&str], phrase: &[&[&str]], gap: usize) -> bool {
    let Some((first, rest)) = phrase.split_first() else {
        return true;
    };
    words
        .iter()
        .enumerate()
        .filter(|(_, word)| first.contains(word))
        .any(|(at, _)| follows(words.get(at + 1..).unwrap_or_default(), rest, gap))
}

fn follows(words: &[&str], phrase: &[&[&str]], gap: usize) -> bool {
    let Some((first, rest)) = phrase.split_first() else {
        return true;
    };
    words
        .iter()
        .enumerate()
        .take(gap + 1)
        .filter(|(_, word)| first.contains(word))
        .any(|(at, _)| follows(words.get(at + 1..).unwrap_or_default(), rest, gap))
}

fn window(text: &str) -> &str {
    text.get(..text.floor_char_boundary(WINDOW))
        .unwrap_or_default()
}

/// The texts inside base64 of some length, unwrapped once.
fn encoded_parts(text: &str) -> impl Iterator<Item = String> {
    const SHORTEST: usize = 24;
    window(text)
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')))
        .filter(|part| part.len() >= SHORTEST)
        .filter_map(decode)
}

fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for b in part.bytes() {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            _ => 63,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xFF).ok()?);
        }
    }
    String::from_utf8(bytes).ok()
}
