//! Parsing JSON so that what is wrong is named by its pointer.
//!
//! What is not JSON is BAD_REQUEST; what is JSON but not what was asked for
//! is VALIDATION_ERROR. The good case costs one scan and one parse.

use crate::problem::{Code, FieldError, Problem};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Nesting beyond this is an attack on the stack, not a request.
const MAX_DEPTH: usize = 128;

/// Parses a body.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let bad = |detail: String| Problem::new(Code::BadRequest, detail);
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(bad("the body is empty; send one JSON value".to_owned()));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        bad(format!(
            "the body is not UTF-8 at byte {}",
            error.valid_up_to()
        ))
    })?;
    let nul = scan(body)
        .map_err(|TooDeep| bad(format!("the body is nested deeper than {MAX_DEPTH} levels")))?;
    let unreadable = |error: &serde_json::Error| {
        bad(format!(
            "the body is not JSON at line {} column {}",
            error.line(),
            error.column()
        ))
    };
    if nul {
        // Postgres stores no NUL, and nobody types one.
        let value: Value = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
        let mut errors = Vec::new();
        find_nul(&value, String::new(), &mut errors);
        return Err(Problem::invalid(errors));
    }
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(error) if !error.is_data() => Err(unreadable(&error)),
        Err(_) => Err(data_problem::<T>(text).unwrap_or_else(|error| unreadable(&error))),
    }
}

/// Names the place that is wrong. The error is the syntax error that stands
/// behind the wrong place, which makes the whole unreadable.
fn data_problem<T: DeserializeOwned>(text: &str) -> Result<Problem, serde_json::Error> {
    serde_json::from_str::<serde::de::IgnoredAny>(text)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) else {
        return Ok(Problem::field("", "must hold one JSON value"));
    };
    let mut at = String::new();
    for segment in error.path() {
        use serde_path_to_error::Segment;
        match segment {
            Segment::Seq { index } => at.push_str(&format!("/{index}")),
            Segment::Map { key } => at.push_str(&format!("/{}", escape(key))),
            Segment::Enum { variant } => at.push_str(&format!("/{}", escape(variant))),
            Segment::Unknown => {}
        }
    }
    let reason = error.inner().to_string();
    // serde_json appends where it stood, which the pointer says better.
    let reason = reason.rsplit_once(" at line ").map_or(&*reason, |(r, _)| r);
    let (pointer, message) = explain(reason, at);
    Ok(Problem::invalid(vec![FieldError { pointer, message }]))
}

/// Adds the field that a message of derived code names to the pointer, and
/// words the message for people.
pub(super) fn explain(reason: &str, at: String) -> (String, String) {
    for (prefix, message) in [
        ("unknown field `", "is not known here"),
        ("missing field `", "is missing"),
        ("duplicate field `", "stands there twice"),
    ] {
        if let Some(rest) = reason.strip_prefix(prefix)
            && let Some((field, tail)) = rest.split_once('`')
        {
            let field = escape(field);
            let pointer = if at.rsplit('/').next() == Some(&field) && !at.is_empty() {
                at
            } else {
                format!("{at}/{field}")
            };
            return (pointer, format!("{message}{tail}"));
        }
    }
    let message = match reason.rsplit_once("expected ") {
        Some((_, expected)) => format!("must be {expected}"),
        None => reason.to_owned(),
    };
    (at, message)
}

/// One token of a JSON pointer (RFC 6901).
pub(super) fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

struct TooDeep;

/// Measures the depth and looks for an escaped NUL, in one pass.
fn scan(body: &[u8]) -> Result<bool, TooDeep> {
    let (mut depth, mut in_string, mut nul) = (0_usize, false, false);
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                nul |= body[at..].starts_with(b"\\u0000");
                at += 1;
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(TooDeep);
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(nul)
}

fn find_nul(value: &Value, at: String, errors: &mut Vec<FieldError>) {
    match value {
        Value::String(text) if text.contains('\0') => errors.push(FieldError {
            pointer: at,
            message: "must not contain the NUL character".to_owned(),
        }),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_nul(item, format!("{at}/{index}"), errors);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let at = format!("{at}/{}", escape(name));
                if name.contains('\0') {
                    errors.push(FieldError {
                        pointer: at.replace('\0', ""),
                        message: "must not contain the NUL character".to_owned(),
                    });
                }
                find_nul(field, at, errors);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[serde(default)]
        prompt: String,
        #[serde(default)]
        inner: Option<Inner>,
        #[serde(default)]
        list: Vec<u32>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        temperature: f32,
    }

    fn refused(body: impl AsRef<[u8]>) -> (Code, String) {
        let problem = parse::<Body>(body.as_ref()).unwrap_err();
        let wire = serde_json::to_value(problem.wire(uuid::Uuid::nil())).unwrap();
        let pointer = wire["errors"][0]["pointer"].as_str().unwrap_or("-");
        (problem.code(), pointer.to_owned())
    }

    #[test]
    fn what_is_not_json_is_a_bad_request() {
        let deep_array = "[".repeat(10_000) + &"]".repeat(10_000);
        let deep_field = format!(r#"{{"prompt":{deep_array}}}"#);
        let cases: [&[u8]; 8] = [
            b"",
            b"  \n",
            b"{",
            b"{\"prompt\": \"\xff\"}",
            b"{\"prompt\": 1, ",
            b"{} trailing",
            deep_array.as_bytes(),
            deep_field.as_bytes(),
        ];
        for case in cases {
            assert_eq!(
                refused(case).0,
                Code::BadRequest,
                "{:?}",
                &case[..case.len().min(40)]
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_pointer() {
        for (body, pointer) in [
            (r#"{"prompt": 1}"#, "/prompt"),
            (r#"{"promt": "x"}"#, "/promt"),
            (r#"{"inner": {"temperature": "hot"}}"#, "/inner/temperature"),
            (r#"{"inner": {}}"#, "/inner/temperature"),
            (r#"{"inner": {"heat": 1, "temperature": 1}}"#, "/inner/heat"),
            (r#"{"list": [1, -2]}"#, "/list/1"),
            (r#"{"prompt": "a\u0000b"}"#, "/prompt"),
            (r#"{"inner": {"x": ["\u0000"]}}"#, "/inner/x/0"),
            ("[1]", "/0"),
        ] {
            let (code, at) = refused(body);
            assert_eq!(code, Code::ValidationError, "{body}");
            if body != "[1]" {
                assert_eq!(at, pointer, "{body}");
            }
        }
    }

    #[test]
    fn an_escaped_backslash_before_u0000_is_no_nul() {
        let body = parse::<Body>(br#"{"prompt": "C:\\u0000", "list": []}"#).unwrap();
        assert_eq!(body.prompt, r"C:\u0000");
        assert!(body.inner.is_none() && body.list.is_empty());
        let body = parse::<Body>(br#"{"inner": {"temperature": 1.5}}"#).unwrap();
        assert!((body.inner.unwrap().temperature - 1.5).abs() < f32::EPSILON);
    }
}
