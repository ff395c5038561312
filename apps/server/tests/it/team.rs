//! Several people of one workspace, and what they ask of the server.

use crate::harness::{PASSWORD, Person, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

/// The status and the body of an answer; null when there is none.
pub(crate) type Answer = (u16, Value);

impl TestServer {
    /// Sends `body`, when it is not null, as `person`.
    pub(crate) async fn ask(
        &self,
        person: &Person,
        method: Method,
        path: &str,
        body: Value,
    ) -> Answer {
        let mut request = self.as_person(person, method, path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Reads `path` as `person` and expects 200.
    pub(crate) async fn read(&self, person: &Person, path: &str) -> Value {
        let (status, body) = self.ask(person, Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Registers somebody with an invitation of `administrator`.
    pub(crate) async fn invite(
        &self,
        administrator: &Person,
        role: &str,
        email: &str,
    ) -> (Person, String) {
        let path = "/api/v1/workspace/invitations";
        let invited = self
            .post(administrator, path, json!({"role": role}), 201)
            .await;
        let body = json!({
            "email": email, "password": PASSWORD, "invitation": invited["invitation"],
        });
        let request = self.request(Method::POST, "/api/v1/auth/register");
        let response = request.json(&body).send().await.unwrap();
        assert_eq!(response.status(), 201);
        let session: Value = response.json().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let person = Person {
            token: text(&session["access_token"]),
            refresh: text(&session["refresh_token"]),
        };
        (person, text(&session["user"]["id"]))
    }

    /// How many rows of the audit log tell of `action`.
    pub(crate) async fn audited(&self, administrator: &Person, action: &str) -> usize {
        let path = format!("/api/v1/governance/audit?action={action}");
        let page = self.read(administrator, &path).await;
        page["items"].as_array().unwrap().len()
    }
}

/// Expects a refusal of a field.
pub(crate) fn assert_invalid(answer: &Answer, pointer: &str) {
    let (status, body) = answer;
    assert_eq!(*status, 422, "{body}");
    assert_eq!(body["errors"][0]["pointer"], pointer, "{body}");
}

/// Expects a refusal with `code`.
pub(crate) fn assert_refused(answer: &Answer, code: &str) {
    assert_eq!(answer.1["code"], code, "{answer:?}");
}
