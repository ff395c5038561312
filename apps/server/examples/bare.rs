//! The least that could answer: verifies the same access token and returns
//! the same bytes, with nothing in between. The benchmark measures the whole
//! request path beside it. With `--remember` it keeps the tokens that it has
//! verified, as the server does, and is then no longer the least that a
//! handler has to do but the least that a machine can.
//!
//! `bare --port N --jwks FILE --body FILE [--remember]`

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
    /// Keep tokens that were verified.
    #[arg(long)]
    remember: bool,
}

struct Bare {
    key: DecodingKey,
    validation: Validation,
    /// `None` when every request verifies its token.
    verified: Option<RwLock<HashSet<String>>>,
    body: Bytes,
}

impl Bare {
    fn knows(&self, token: &str) -> bool {
        let Some(verified) = &self.verified else {
            return self.is_genuine(token);
        };
        if verified
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(token)
        {
            return true;
        }
        let genuine = self.is_genuine(token);
        if genuine {
            verified
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(token.to_owned());
        }
        genuine
    }

    fn is_genuine(&self, token: &str) -> bool {
        decode::<serde_json::Value>(token.as_bytes(), &self.key, &self.validation).is_ok()
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
        verified: args.remember.then(RwLock::default),
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
