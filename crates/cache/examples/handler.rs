//! Answers of an HTTP service from the cache. Try
//! `curl -i http://127.0.0.1:8080/square/12` twice.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::{convert::Infallible, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, web};
use mainstay_cache::{Cache, Key, Loaded, Options};

async fn square(cache: web::Data<Cache>, number: web::Path<u64>) -> HttpResponse {
    let number = number.into_inner();
    let options =
        Options::ttl(Duration::from_secs(30)).stale_while_revalidate(Duration::from_secs(30));
    let found = cache
        .get_or_load(
            &Key::new("squares", [number.to_le_bytes()]),
            &options,
            move || async move {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok::<_, Infallible>(Loaded::value(number.wrapping_mul(number).to_string()))
            },
        )
        .await;
    match found {
        Ok(found) => HttpResponse::Ok()
            .insert_header(("x-cache", found.source.as_str()))
            .insert_header(("age", found.age.as_secs().to_string()))
            .body(found.value),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Built once, outside of the closure that runs for every worker.
    let cache = Cache::builder().build().await?;
    let data = web::Data::new(cache.clone());
    println!("listening on http://127.0.0.1:8080");
    HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .route("/square/{number}", web::get().to(square))
    })
    .workers(2)
    .bind(("127.0.0.1", 8080))?
    .run()
    .await?;
    cache.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
