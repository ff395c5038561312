//! GET `/docs`: the API's page, which needs nothing from the internet, and
//! the pages of the error codes.

use crate::{
    extract::ApiPath,
    operation::{Access, Operation},
    problem::{Code, Problem},
};
use actix_web::{
    HttpResponse,
    http::{Method, StatusCode, header},
};
use bytes::Bytes;

// Packed as they are served: every browser reads gzip, and the binary and
// the repository stay a quarter of the size.
static SCRIPT: &[u8] = include_bytes!("../../../assets/swagger-ui-bundle.js.gz");
static STYLE: &[u8] = include_bytes!("../../../assets/swagger-ui.css.gz");

const PAGE: &str = r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Mainstay API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger-ui.js"></script>
<script>
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", deepLinking: true,
  validatorUrl: null, persistAuthorization: false, tryItOutEnabled: true });
</script>
</body>
</html>
"##;

/// The page runs its own script and style, and speaks to this server alone.
const POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(crate) fn page() -> Operation {
    Operation::new(Method::GET, "/docs", "system.docs", Access::Public, show)
        .summary("This page")
        .answers_text(StatusCode::OK, "text/html")
        .always()
}

pub(crate) fn script() -> Operation {
    Operation::new(
        Method::GET,
        "/docs/swagger-ui.js",
        "system.docs_script",
        Access::Public,
        || packed("text/javascript; charset=utf-8", SCRIPT),
    )
    .summary("The page's script")
    .answers_text(StatusCode::OK, "text/javascript")
    .always()
}

pub(crate) fn style() -> Operation {
    Operation::new(
        Method::GET,
        "/docs/swagger-ui.css",
        "system.docs_style",
        Access::Public,
        || packed("text/css; charset=utf-8", STYLE),
    )
    .summary("The page's style")
    .answers_text(StatusCode::OK, "text/css")
    .always()
}

pub(crate) fn error_page() -> Operation {
    Operation::new(
        Method::GET,
        "/docs/errors/{code}",
        "system.error_page",
        Access::Public,
        explain,
    )
    .summary("What an error code means and what to do, in Markdown")
    .answers_text(StatusCode::OK, "text/markdown")
    .always()
}

async fn show() -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(PAGE))
}

async fn packed(content_type: &'static str, bytes: &'static [u8]) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CONTENT_ENCODING, "gzip"))
        .insert_header((header::CACHE_CONTROL, "public, max-age=86400"))
        .body(Bytes::from_static(bytes)))
}

async fn explain(ApiPath(name): ApiPath<String>) -> Result<HttpResponse, Problem> {
    let code = Code::ALL
        .into_iter()
        .find(|code| code.as_str() == name)
        .ok_or_else(|| Problem::not_found("error code"))?;
    Ok(HttpResponse::Ok()
        .content_type("text/markdown; charset=utf-8")
        .body(code.page()))
}
