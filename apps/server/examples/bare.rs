//! The least that could answer: verifies the same access token and returns
//! the same bytes, with nothing in between. The benchmark measures the whole
//! request path beside it. Like the server it remembers tokens that it has
//! verified, so that both pay one look-up per request.
//!
//! `bare --port N --jwks FILE --body FILE`

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use clap::Parser;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::JwkSet};
use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

#[derive(Parser)]
struct Args {
    /// The port on loopback.
    #[arg(long)]
    port: u16,
    /// The keys that verify tokens.
    #[arg(long)]
    jwks: PathBuf,
    /// What to answer with.
    #[arg(long)]
    body: PathBuf,
}

struct Bare {
    key: DecodingKey,
    validation: Validation,
    verified: RwLock<HashSet<String>>,
    body: Bytes,
}

impl Bare {
    fn knows(&self, token: &str) -> bool {
        let verified = self.verified.read().unwrap_or_else(PoisonError::into_inner);
        if verified.contains(token) {
            return true;
        }
        drop(verified);
        let genuine =
            decode::<serde_json::Value>(token.as_bytes(), &self.key, &self.validation).is_ok();
        if genuine {
            self.verified
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(token.to_owned());
        }
        genuine
    }
}

async fn answer(http: HttpRequest, bare: web::Data<Bare>, _body: Bytes) -> HttpResponse {
    let token = http
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    match token {
        Some(token) if bare.knows(token) => HttpResponse::Ok()
            .content_type("application/json")
            .body(bare.body.clone()),
        _ => HttpResponse::Unauthorized().finish(),
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let keys: JwkSet = serde_json::from_slice(&std::fs::read(&args.jwks)?)?;
    let key = keys
        .keys
        .first()
        .ok_or_else(|| anyhow::anyhow!("the key set is empty"))?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["mainstay"]);
    let bare = web::Data::from(Arc::new(Bare {
        key: DecodingKey::from_jwk(key)?,
        validation,
        verified: RwLock::default(),
        body: Bytes::from(std::fs::read(&args.body)?),
    }));
    HttpServer::new(move || {
        App::new()
            .app_data(bare.clone())
            .default_service(web::to(answer))
    })
    .bind(("127.0.0.1", args.port))?
    .run()
    .await?;
    Ok(())
}
