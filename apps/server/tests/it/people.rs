//! The workspace, its members, and one's own account.

use crate::{
    harness::{PASSWORD, TestServer},
    team::{assert_invalid, assert_refused},
};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_renamed_by_its_administrators_from_the_version_they_read() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let (eve, _) = server.invite(&ada, "operator", "eve@example.org").await;
    let path = "/api/v1/workspace";
    let rename = json!({"name": "Harbour"});
    let refused = server.ask(&eve, Method::PATCH, path, rename.clone()).await;
    assert_refused(&refused, "FORBIDDEN");
    let patch = |version: &'static str| {
        let request = server.as_person(&ada, Method::PATCH, path);
        request.header("if-match", version).json(&rename).send()
    };
    assert_eq!(patch("\"1\"").await.unwrap().headers()["etag"], "\"2\"");
    assert_eq!(patch("\"1\"").await.unwrap().status(), 412);
    assert_eq!(server.read(&eve, path).await["name"], "Harbour");
    assert_eq!(server.audited(&ada, "workspace.changed").await, 1);
    for (body, pointer) in [
        (json!({}), ""),
        (json!({"name": ""}), "/name"),
        (json!({"share_answers": "yes"}), "/share_answers"),
        (json!({"plan": "gold"}), "/plan"),
    ] {
        let answer = server.ask(&ada, Method::PATCH, path, body).await;
        assert_invalid(&answer, pointer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_seen_by_all_and_changed_by_administrators() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let (eve, eve_id) = server.invite(&ada, "member", "eve@example.org").await;
    let bob = server.register("bob@example.org").await;
    let members = server.read(&eve, "/api/v1/workspace/members").await;
    let seen: Vec<&Value> = members["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| &member["email"])
        .collect();
    assert_eq!(seen, ["ada@example.org", "eve@example.org"]);

    let path = format!("/api/v1/workspace/members/{eve_id}");
    let promote = json!({"role": "operator"});
    let by_herself = server
        .ask(&eve, Method::PATCH, &path, promote.clone())
        .await;
    assert_refused(&by_herself, "FORBIDDEN");
    let by_a_stranger = server
        .ask(&bob, Method::PATCH, &path, promote.clone())
        .await;
    assert_refused(&by_a_stranger, "NOT_FOUND");
    let (status, changed) = server.ask(&ada, Method::PATCH, &path, promote).await;
    assert_eq!((status, &changed["role"]), (200, &json!("operator")));
    assert_eq!(server.audited(&ada, "user.role_changed").await, 1);

    let lock = json!({"status": "disabled"});
    let (status, locked) = server.ask(&ada, Method::PATCH, &path, lock).await;
    assert_eq!((status, &locked["status"]), (200, &json!("disabled")));
    let login = json!({"email": "eve@example.org", "password": PASSWORD});
    let login = server
        .request(Method::POST, "/api/v1/auth/login")
        .json(&login);
    assert_eq!(login.send().await.unwrap().status(), 401);

    for body in [
        json!({}),
        json!({"role": "member", "status": "active"}),
        json!({"role": "service"}),
    ] {
        let answer = server.ask(&ada, Method::PATCH, &path, body).await;
        assert_refused(&answer, "VALIDATION_ERROR");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_keeps_an_administrator() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let me = server.read(&ada, "/api/v1/users/me").await;
    let path = format!("/api/v1/workspace/members/{}", me["id"].as_str().unwrap());
    for body in [json!({"role": "member"}), json!({"status": "disabled"})] {
        let answer = server.ask(&ada, Method::PATCH, &path, body).await;
        assert_refused(&answer, "CONFLICT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_ones_own_to_give_and_to_take_away() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let path = "/api/v1/users/me";
    let (status, me) = server
        .ask(
            &ada,
            Method::PATCH,
            path,
            json!({"full_name": " Ada Lovelace "}),
        )
        .await;
    assert_eq!((status, &me["full_name"]), (200, &json!("Ada Lovelace")));
    let (status, me) = server
        .ask(&ada, Method::PATCH, path, json!({"full_name": null}))
        .await;
    assert_eq!((status, &me["full_name"]), (200, &Value::Null));
    assert_eq!(server.read(&ada, path).await["email"], "ada@example.org");
    assert_eq!(server.audited(&ada, "user.profile_changed").await, 2);
    let nothing = server.ask(&ada, Method::PATCH, path, json!({})).await;
    assert_invalid(&nothing, "/full_name");
    let role = json!({"full_name": "x", "role": "administrator"});
    let role = server.ask(&ada, Method::PATCH, path, role).await;
    assert_invalid(&role, "/role");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_needs_the_old_one_and_ends_other_sessions() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let login = |password: &'static str| {
        let body = json!({"email": "ada@example.org", "password": password});
        let request = server.request(Method::POST, "/api/v1/auth/login");
        request.json(&body).send()
    };
    assert_eq!(login(PASSWORD).await.unwrap().status(), 200);
    let sessions = server.read(&ada, "/api/v1/auth/sessions").await;
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2);

    let next = "a harbour full of quiet boats";
    let change = |present: &str| json!({"current_password": present, "new_password": next});
    let path = "/api/v1/users/me/password";
    let wrong = server
        .ask(&ada, Method::POST, path, change("not my password"))
        .await;
    assert_invalid(&wrong, "/current_password");
    let short = json!({"current_password": PASSWORD, "new_password": "short"});
    let short = server.ask(&ada, Method::POST, path, short).await;
    assert_invalid(&short, "/new_password");
    let right = server.ask(&ada, Method::POST, path, change(PASSWORD)).await;
    assert_eq!(right.0, 204, "{}", right.1);

    let sessions = server.read(&ada, "/api/v1/auth/sessions").await;
    let left = sessions["items"].as_array().unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["current"], true);
    assert_eq!(login(PASSWORD).await.unwrap().status(), 401);
    assert_eq!(login(next).await.unwrap().status(), 200);
    assert_eq!(server.audited(&ada, "user.password_changed").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_ended_by_their_owner_only() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let bob = server.register("bob@example.org").await;
    let sessions = server.read(&ada, "/api/v1/auth/sessions").await;
    let id = sessions["items"][0]["id"].as_str().unwrap();
    let path = format!("/api/v1/auth/sessions/{id}");
    let foreign = server.ask(&bob, Method::DELETE, &path, Value::Null).await;
    assert_refused(&foreign, "NOT_FOUND");
    let own = server.ask(&ada, Method::DELETE, &path, Value::Null).await;
    assert_eq!(own.0, 204);
    let refresh = json!({"refresh_token": ada.refresh});
    let refresh = server
        .request(Method::POST, "/api/v1/auth/refresh")
        .json(&refresh);
    assert_eq!(refresh.send().await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_gone_with_all_that_was_theirs() {
    let server = TestServer::start().await;
    let ada = server.register("ada@example.org").await;
    let (eve, eve_id) = server.invite(&ada, "member", "eve@example.org").await;
    let bob = server.register("bob@example.org").await;
    let path = "/api/v1/conversations";
    server.post(&eve, path, json!({"title": "Mine"}), 201).await;
    let member = format!("/api/v1/workspace/members/{eve_id}");
    let me = server.read(&ada, "/api/v1/users/me").await;
    let administrator = format!("/api/v1/workspace/members/{}", me["id"].as_str().unwrap());
    let remove =
        async |person, path: &str| server.ask(person, Method::DELETE, path, Value::Null).await;
    assert_refused(&remove(&bob, &member).await, "NOT_FOUND");
    assert_refused(&remove(&eve, &member).await, "FORBIDDEN");
    assert_refused(&remove(&ada, &administrator).await, "CONFLICT");
    assert_refused(&remove(&ada, "/api/v1/users/me").await, "CONFLICT");

    assert_eq!(remove(&ada, &member).await.0, 204);
    assert_refused(&remove(&ada, &member).await, "NOT_FOUND");
    let members = server.read(&ada, "/api/v1/workspace/members").await;
    assert_eq!(members["items"].as_array().unwrap().len(), 1);
    let login = json!({"email": "eve@example.org", "password": PASSWORD});
    let login = server
        .request(Method::POST, "/api/v1/auth/login")
        .json(&login);
    assert_eq!(login.send().await.unwrap().status(), 401);
    // Alone in her workspace, Ada may go too; her address is free again.
    assert_eq!(remove(&ada, "/api/v1/users/me").await.0, 204);
    server.register("ada@example.org").await;
}
