//! Finding the operation for a request. Literal segments win over parameters.

use crate::operation::Operation;
use actix_web::http::Method;
use std::collections::HashMap;

/// The table of operations, ready to be searched.
#[derive(Debug)]
pub(crate) struct Router {
    operations: Vec<Operation>,
    /// Paths without parameters.
    literal: HashMap<&'static str, Methods>,
    /// Paths with parameters, by their number of segments; in each list the
    /// more literal ones come first.
    patterns: HashMap<usize, Vec<(Vec<Segment>, Methods)>>,
}

type Methods = Vec<(Method, usize)>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(&'static str),
    Parameter,
}

/// What a path and method lead to.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// This operation, with the values of its parameters.
    Operation(&'a Operation, Vec<String>),
    /// The path exists for these methods only.
    OtherMethods(String),
    /// No such path.
    Nothing,
}

impl Router {
    /// Prepares `operations` for searching.
    pub(crate) fn new(operations: Vec<Operation>) -> Self {
        let mut literal: HashMap<&'static str, Methods> = HashMap::new();
        let mut patterns: HashMap<usize, Vec<(Vec<Segment>, Methods)>> = HashMap::new();
        for (index, operation) in operations.iter().enumerate() {
            let entry = (operation.method.clone(), index);
            if operation.parameters().next().is_none() {
                literal.entry(operation.path).or_default().push(entry);
                continue;
            }
            let segments: Vec<Segment> = operation.path[1..]
                .split('/')
                .map(|segment| match segment.starts_with('{') {
                    true => Segment::Parameter,
                    false => Segment::Literal(segment),
                })
                .collect();
            let same_length = patterns.entry(segments.len()).or_default();
            match same_length.iter_mut().find(|(known, _)| *known == segments) {
                Some((_, methods)) => methods.push(entry),
                None => same_length.push((segments, vec![entry])),
            }
        }
        for same_length in patterns.values_mut() {
            // Literals sort before parameters, position by position.
            same_length.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        Self {
            operations,
            literal,
            patterns,
        }
    }

    /// Every operation, in the table's order.
    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// What `method` and `path` lead to. HEAD is answered like GET.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        if let Some(methods) = self.literal.get(path) {
            return self.choose(methods, method, Vec::new);
        }
        let Some(rest) = path.strip_prefix('/') else {
            return Found::Nothing;
        };
        let count = rest.split('/').count();
        let candidates = self.patterns.get(&count).into_iter().flatten();
        for (segments, methods) in candidates {
            let matches =
                segments
                    .iter()
                    .zip(rest.split('/'))
                    .all(|(segment, part)| match segment {
                        Segment::Literal(literal) => *literal == part,
                        Segment::Parameter => !part.is_empty(),
                    });
            if matches {
                return self.choose(methods, method, || {
                    segments
                        .iter()
                        .zip(rest.split('/'))
                        .filter(|(segment, _)| **segment == Segment::Parameter)
                        .map(|(_, part)| part.to_owned())
                        .collect()
                });
            }
        }
        Found::Nothing
    }

    fn choose(
        &self,
        methods: &Methods,
        method: &Method,
        parameters: impl FnOnce() -> Vec<String>,
    ) -> Found<'_> {
        let chosen = methods
            .iter()
            .find(|(known, _)| known == method)
            .and_then(|(_, index)| self.operations.get(*index));
        if let Some(operation) = chosen {
            return Found::Operation(operation, parameters());
        }
        let mut allowed: Vec<&str> = methods.iter().map(|(known, _)| known.as_str()).collect();
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        allowed.sort_unstable();
        Found::OtherMethods(allowed.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{operation::Access, problem::Problem, reply::NoContent};

    fn router(routes: &[(Method, &'static str)]) -> Router {
        async fn nothing() -> Result<NoContent, Problem> {
            Ok(NoContent)
        }
        Router::new(
            routes
                .iter()
                .map(|(method, path)| {
                    Operation::new(method.clone(), path, path, Access::Public, nothing)
                })
                .collect(),
        )
    }

    fn found(router: &Router, method: &Method, path: &str) -> String {
        match router.find(method, path) {
            Found::Operation(operation, parameters) => {
                format!("{} {parameters:?}", operation.path)
            }
            Found::OtherMethods(allowed) => allowed,
            Found::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn literal_segments_win() {
        let router = router(&[
            (Method::GET, "/k/{id}"),
            (Method::GET, "/k/search"),
            (Method::GET, "/k/{id}/{part}"),
            (Method::GET, "/k/{id}/text"),
        ]);
        assert_eq!(found(&router, &Method::GET, "/k/search"), "/k/search []");
        assert_eq!(found(&router, &Method::GET, "/k/7"), "/k/{id} [\"7\"]");
        assert_eq!(
            found(&router, &Method::GET, "/k/7/text"),
            "/k/{id}/text [\"7\"]"
        );
        assert_eq!(
            found(&router, &Method::GET, "/k/7/x"),
            "/k/{id}/{part} [\"7\", \"x\"]"
        );
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let router = router(&[(Method::GET, "/k/{id}"), (Method::PUT, "/k/{id}")]);
        assert_eq!(found(&router, &Method::POST, "/k/1"), "GET, HEAD, PUT");
        assert_eq!(found(&router, &Method::HEAD, "/k/1"), "/k/{id} [\"1\"]");
    }

    #[test]
    fn what_is_not_there_is_not_there() {
        let router = router(&[(Method::GET, "/k/{id}")]);
        for path in ["/", "", "/k", "/k/", "/k/1/", "/K/1", "//k/1", "k/1"] {
            assert_eq!(found(&router, &Method::GET, path), "nothing", "{path}");
        }
    }
}
