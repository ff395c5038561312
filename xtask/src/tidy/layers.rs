//! Which crate may depend on which: the drawing in `docs/ARCHITECTURE.md`, executed.

use cargo_metadata::{DependencyKind, Metadata};

use super::Violation;

/// What a crate is and what it may depend on inside the workspace.
struct Place {
    name: &'static str,
    layer: &'static str,
    may_use: &'static [&'static str],
}

const fn place(name: &'static str, layer: &'static str, may_use: &'static [&'static str]) -> Place {
    Place {
        name,
        layer,
        may_use,
    }
}

/// The drawing. A crate that is not here is a violation, so nobody adds one in passing.
const DRAWING: [Place; 15] = [
    place("mainstay-resilience-macros", "L0", &[]),
    place("mainstay-resilience", "L0", &["resilience-macros"]),
    place("mainstay-redis", "L0", &["resilience"]),
    place("mainstay-cache", "L0", &["resilience", "redis"]),
    place("mainstay-ai", "L0", &["resilience"]),
    place("mainstay-realtime", "L0", &["resilience", "redis"]),
    place("mainstay-encryption", "L0", &["resilience"]),
    place("mainstay-domain", "L1", &[]),
    place(
        "mainstay-persistence",
        "L2",
        &["domain", "resilience", "encryption"],
    ),
    place("mainstay-identity", "L2", &["domain", "resilience"]),
    place("mainstay-governance", "L2", &["domain"]),
    place(
        "mainstay-orchestrator",
        "L3",
        &[
            "resilience",
            "redis",
            "cache",
            "ai",
            "realtime",
            "encryption",
            "domain",
            "persistence",
            "identity",
            "governance",
        ],
    ),
    place(
        "mainstay-server",
        "L4",
        &[
            "resilience",
            "redis",
            "cache",
            "ai",
            "realtime",
            "encryption",
            "domain",
            "persistence",
            "identity",
            "governance",
            "orchestrator",
        ],
    ),
    place("mainstay-testkit", "dev", &["domain", "resilience"]),
    place("xtask", "tool", &[]),
];

/// A crate of the workspace as its manifest describes it.
#[derive(Debug)]
pub(super) struct Member {
    name: String,
    layer: Option<String>,
    uses: Vec<Edge>,
}

/// One dependency of a member.
#[derive(Debug)]
struct Edge {
    on: String,
    development: bool,
}

/// Reads the members out of cargo's metadata.
pub(super) fn crates(metadata: &Metadata) -> Vec<Member> {
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| Member {
            name: package.name.to_string(),
            layer: package.metadata["architecture"]["layer"]
                .as_str()
                .map(str::to_owned),
            uses: package
                .dependencies
                .iter()
                .map(|dependency| Edge {
                    on: dependency.name.clone(),
                    development: dependency.kind == DependencyKind::Development,
                })
                .collect(),
        })
        .collect()
}

/// Checks the layers and the edges of every member.
pub(super) fn check(members: &[Member]) -> Vec<Violation> {
    members.iter().flat_map(check_member).collect()
}

fn check_member(member: &Member) -> Vec<Violation> {
    let at = |message: String| Violation::new(&member.name, message);
    let Some(place) = DRAWING.iter().find(|place| place.name == member.name) else {
        return vec![at(
            "is not in the drawing of the layers: add it to docs/ARCHITECTURE.md and to tidy/layers.rs on purpose, or make it a module".to_owned(),
        )];
    };
    let mut violations = Vec::new();
    if member.layer.as_deref() != Some(place.layer) {
        violations.push(at(format!(
            "its manifest must say `layer = \"{}\"` under [package.metadata.architecture]",
            place.layer
        )));
    }
    for edge in &member.uses {
        if is_ours(&edge.on) && !may_use(place, edge) {
            violations.push(at(format!(
                "must not depend on {}: the layers allow {}",
                edge.on,
                allowed(place)
            )));
        }
        if edge.on.starts_with("actix") && !may_name_actix(place, edge) {
            violations.push(at(format!(
                "must not depend on {}: only apps/server names actix",
                edge.on
            )));
        }
    }
    violations
}

fn is_ours(name: &str) -> bool {
    name == "xtask" || name.starts_with("mainstay-")
}

/// Tests may also use the testkit, and themselves with other features; the
/// macros and what they expand to are one box of the drawing.
fn may_use(place: &Place, edge: &Edge) -> bool {
    let for_tests = edge.on == "mainstay-testkit"
        || edge.on == place.name
        || (edge.on == "mainstay-resilience" && place.name == "mainstay-resilience-macros");
    let drawn = place
        .may_use
        .iter()
        .any(|short| edge.on.strip_prefix("mainstay-") == Some(short));
    drawn || (edge.development && for_tests)
}

/// Runnable examples of the embeddable crates may show them inside a server.
fn may_name_actix(place: &Place, edge: &Edge) -> bool {
    place.layer == "L4" || (place.layer == "L0" && edge.development)
}

fn allowed(place: &Place) -> String {
    if place.may_use.is_empty() {
        return "no other crate of the workspace".to_owned();
    }
    place.may_use.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, layer: &str, uses: &[(&str, bool)]) -> Member {
        Member {
            name: name.to_owned(),
            layer: Some(layer.to_owned()),
            uses: uses
                .iter()
                .map(|(on, development)| Edge {
                    on: (*on).to_owned(),
                    development: *development,
                })
                .collect(),
        }
    }

    fn broken(member: Member) -> usize {
        check(&[member]).len()
    }

    #[test]
    fn a_drawn_edge_passes_and_an_undrawn_one_does_not() {
        let ok = [("mainstay-domain", false), ("serde", false)];
        assert_eq!(broken(member("mainstay-governance", "L2", &ok)), 0);
        let sideways = [("mainstay-persistence", false)];
        assert_eq!(broken(member("mainstay-governance", "L2", &sideways)), 1);
        let upward = [("mainstay-domain", false)];
        assert_eq!(broken(member("mainstay-cache", "L0", &upward)), 1);
    }

    #[test]
    fn only_tests_may_use_the_testkit() {
        assert_eq!(
            broken(member("mainstay-ai", "L0", &[("mainstay-testkit", true)])),
            0
        );
        assert_eq!(
            broken(member("mainstay-ai", "L0", &[("mainstay-testkit", false)])),
            1
        );
        // Tests obey the drawing in everything else.
        assert_eq!(
            broken(member("mainstay-ai", "L0", &[("mainstay-domain", true)])),
            1
        );
    }

    #[test]
    fn the_macros_are_tested_with_what_they_expand_to_and_no_more() {
        let name = "mainstay-resilience-macros";
        let on = |development| [("mainstay-resilience", development)];
        assert_eq!(broken(member(name, "L0", &on(true))), 0);
        assert_eq!(broken(member(name, "L0", &on(false))), 1);
    }

    #[test]
    fn actix_stays_in_the_server() {
        let web = [("actix-web", false)];
        assert_eq!(broken(member("mainstay-server", "L4", &web)), 0);
        assert_eq!(broken(member("mainstay-orchestrator", "L3", &web)), 1);
        assert_eq!(broken(member("mainstay-resilience", "L0", &web)), 1);
        let example = [("actix-web", true)];
        assert_eq!(broken(member("mainstay-resilience", "L0", &example)), 0);
        assert_eq!(broken(member("mainstay-domain", "L1", &example)), 1);
    }

    #[test]
    fn xtask_links_nothing_of_ours() {
        let uses = [("mainstay-domain", false)];
        assert_eq!(broken(member("xtask", "tool", &uses)), 1);
    }

    #[test]
    fn a_manifest_must_tell_its_layer() {
        assert_eq!(broken(member("mainstay-domain", "L2", &[])), 1);
        let silent = Member {
            layer: None,
            ..member("mainstay-domain", "L1", &[])
        };
        assert_eq!(broken(silent), 1);
    }

    #[test]
    fn a_crate_that_nobody_drew_is_refused() {
        assert_eq!(broken(member("mainstay-surprise", "L0", &[])), 1);
    }
}
