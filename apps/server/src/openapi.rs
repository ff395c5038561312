//! The OpenAPI 3.0.3 document, generated from the table of operations.
//!
//! Schemas come from the handlers' own types by schemars, which reads the
//! `garde` rules as well, so that a limit is written once.

use crate::{
    operation::{Access, Operation},
    problem::{Code, PROBLEM_JSON, Wire},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Generates the document.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let settings = SchemaSettings::openapi3();
    let mut reading = settings.clone().for_deserialize().into_generator();
    let mut writing = settings.for_serialize().into_generator();
    let problem = writing.subschema_for::<Wire<'static>>();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let entry = describe(
            operation,
            &mut reading,
            &mut writing,
            &problem.clone().into(),
        );
        if let Some(path) = paths
            .entry(operation.path)
            .or_insert_with(|| json!({}))
            .as_object_mut()
        {
            path.insert(operation.method.as_str().to_lowercase(), entry);
        }
    }
    let mut schemas = reading.take_definitions(true);
    schemas.extend(writing.take_definitions(true));
    let tags: BTreeSet<&str> = operations.iter().map(|o| o.tag).collect();
    let mut document = json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Mainstay",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The backend that an AI assistant stands on.",
            "license": {"name": "MIT OR Apache-2.0", "url": "https://spdx.org/licenses/Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags.iter().map(|tag| json!({"name": tag})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    });
    give_nullables_a_type(&mut document);
    document
}

fn describe(
    operation: &Operation,
    reading: &mut SchemaGenerator,
    writing: &mut SchemaGenerator,
    problem: &Value,
) -> Value {
    let mut entry = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": match operation.access {
            Access::Public => json!([]),
            Access::Requires(_) => json!([{"bearer": []}]),
        },
        "parameters": parameters(operation, reading),
        "responses": responses(operation, writing, problem),
    });
    let mut description = operation.description.to_owned();
    if let Access::Requires(permission) = operation.access {
        if !description.is_empty() {
            description.push_str("\n\n");
        }
        description.push_str(&format!(
            "Requires the permission `{}`.",
            permission.as_str()
        ));
    }
    if !description.is_empty() {
        entry["description"] = description.into();
    }
    if let Some(body) = operation.reads.body {
        entry["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": body(reading)}},
        });
    }
    entry
}

fn parameters(operation: &Operation, reading: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters: Vec<Value> = operation
        .parameters()
        .map(|name| {
            let schema = if name == "id" || name.ends_with("_id") {
                json!({"type": "string", "format": "uuid"})
            } else {
                json!({"type": "string"})
            };
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        })
        .collect();
    if let Some(query) = operation.reads.query {
        let schema = query(reading).to_value();
        let required: Vec<&str> = schema["required"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut property = property.clone();
            let description = property
                .as_object_mut()
                .and_then(|fields| fields.remove("description"));
            let mut parameter = json!({
                "name": name,
                "in": "query",
                "required": required.contains(&name.as_str()),
                "schema": property,
            });
            if let Some(description) = description {
                parameter["description"] = description;
            }
            parameters.push(parameter);
        }
    }
    if operation.reads.if_match {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": false,
            "description": "The `ETag` of the version that is to be changed; another version is 412.",
            "schema": {"type": "string"},
        }));
    }
    if operation.idempotent {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Repeating a request with the same key and body replays its answer instead of doing it again.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }));
    }
    parameters
}

fn responses(operation: &Operation, writing: &mut SchemaGenerator, problem: &Value) -> Value {
    let mut responses: Map<String, Value> = Map::new();
    for answer in &operation.replies.all {
        let response = responses
            .entry(answer.status.to_string())
            .or_insert_with(|| {
                let reason = actix_web::http::StatusCode::from_u16(answer.status)
                    .ok()
                    .and_then(|status| status.canonical_reason())
                    .unwrap_or("An answer");
                json!({"description": reason})
            });
        if let Some(schema) = answer.schema {
            response["content"][answer.content_type]["schema"] = schema(writing).to_value();
        }
    }
    for code in possible(operation) {
        let content_type = PROBLEM_JSON.to_str().unwrap_or_default().to_owned();
        let response = responses
            .entry(code.status().as_u16().to_string())
            .or_insert_with(|| json!({"description": ""}));
        let said = response["description"].as_str().unwrap_or_default();
        response["description"] = if said.is_empty() {
            code.as_str().into()
        } else {
            format!("{said}, {}", code.as_str()).into()
        };
        response["content"][&content_type]["schema"] = problem.clone();
    }
    responses.into()
}

/// The problems that an operation can answer with, from what it reads and needs.
fn possible(operation: &Operation) -> Vec<Code> {
    let mut codes = vec![Code::Internal];
    if operation.needs == crate::operation::Needs::Nothing {
        return codes;
    }
    codes.extend([
        Code::RateLimited,
        Code::Starting,
        Code::Overloaded,
        Code::DependencyUnavailable,
        Code::DeadlineExceeded,
    ]);
    if operation.access != Access::Public {
        codes.extend([Code::Unauthenticated, Code::Forbidden]);
    }
    if operation.parameters().next().is_some() {
        codes.push(Code::NotFound);
    }
    if operation.reads.body.is_some() {
        codes.extend([
            Code::BadRequest,
            Code::PayloadTooLarge,
            Code::UnsupportedMediaType,
        ]);
    }
    if operation.reads.body.is_some() || operation.reads.query.is_some() {
        codes.push(Code::ValidationError);
    }
    if operation.reads.if_match {
        codes.push(Code::PreconditionFailed);
    }
    if operation.idempotent {
        codes.push(Code::Conflict);
    }
    codes.sort_by_key(|code| (code.status().as_u16(), code.as_str()));
    codes.dedup();
    codes
}

/// `nullable` means nothing in 3.0.3 beside a bare reference: give it the type of what
/// it refers to.
fn give_nullables_a_type(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    fn walk(value: &mut Value, schemas: &Value) {
        match value {
            Value::Object(fields) => {
                let lacks_type = fields.get("nullable") == Some(&Value::Bool(true))
                    && !fields.contains_key("type");
                if lacks_type {
                    let referred = ["allOf", "anyOf", "oneOf"]
                        .iter()
                        .find_map(|key| fields.get(*key)?.get(0)?.get("$ref")?.as_str())
                        .and_then(|reference| reference.rsplit('/').next())
                        .and_then(|name| schemas[name]["type"].as_str())
                        .unwrap_or("object")
                        .to_owned();
                    fields.insert("type".to_owned(), referred.into());
                }
                fields.values_mut().for_each(|field| walk(field, schemas));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, schemas)),
            _ => {}
        }
    }
    walk(document, &schemas);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations;

    #[test]
    fn every_operation_is_documented_once_and_in_words() {
        let table = operations::table();
        let document = document(&table);
        let ids: BTreeSet<&str> = table.iter().map(|o| o.id).collect();
        assert_eq!(ids.len(), table.len(), "an operation id is used twice");
        for operation in &table {
            assert!(
                !operation.summary.is_empty(),
                "{operation:?} has no summary"
            );
            let entry = &document["paths"][operation.path]
                [operation.method.as_str().to_lowercase().as_str()];
            assert_eq!(entry["operationId"], operation.id, "{operation:?}");
            for (status, response) in entry["responses"].as_object().unwrap() {
                assert!(
                    response["description"].is_string(),
                    "{operation:?} {status}"
                );
            }
            let answers = entry["responses"].as_object().unwrap();
            assert!(
                answers.keys().any(|s| s.starts_with('2') || s == "101"),
                "{operation:?}"
            );
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(&operations::table());
        let text = document.to_string();
        for piece in text.split("\"$ref\":\"").skip(1) {
            let reference = piece.split('"').next().unwrap();
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn what_is_nullable_has_a_type() {
        fn walk(value: &Value) {
            match value {
                Value::Object(fields) => {
                    if fields.get("nullable") == Some(&Value::Bool(true)) {
                        assert!(fields.contains_key("type"), "{value}");
                    }
                    fields.values().for_each(walk);
                }
                Value::Array(items) => items.iter().for_each(walk),
                _ => {}
            }
        }
        walk(&document(&operations::table()));
    }
}
