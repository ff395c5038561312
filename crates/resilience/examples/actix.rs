//! A pipeline in actix-web handlers, whose futures are not `Send`.
//!
//! The pipeline is made once and shared by all workers.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{cell::Cell, error::Error, io, rc::Rc, time::Duration};

use actix_web::{App, HttpResponse, http::header, test, web};
use mainstay_resilience::{CircuitBreaker, Error as Guarded, Pipeline};

/// Something that only lives on one thread, as much in actix does.
async fn upstream(answers: &Rc<Cell<u32>>) -> io::Result<u32> {
    answers.set(answers.get() + 1);
    tokio::task::yield_now().await;
    Err(io::ErrorKind::ConnectionRefused.into())
}

async fn handler(pipeline: web::Data<Pipeline>) -> HttpResponse {
    let answers = Rc::new(Cell::new(0));
    match pipeline.run(|_attempt| upstream(&answers)).await {
        Ok(answer) => HttpResponse::Ok().body(answer.to_string()),
        Err(Guarded::Rejected(rejected)) => {
            let wait = rejected.retry_after().unwrap_or(Duration::from_secs(1));
            HttpResponse::ServiceUnavailable()
                .insert_header((header::RETRY_AFTER, wait.as_secs_f64().ceil().to_string()))
                .body(rejected.to_string())
        }
        Err(error) if error.is_timeout() => HttpResponse::GatewayTimeout().finish(),
        Err(error) => HttpResponse::BadGateway().body(error.to_string()),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pipeline = Pipeline::standard("upstream")
        .deadline(Duration::from_secs(2))
        .breaker(
            CircuitBreaker::builder("upstream")
                .consecutive_failures(2)
                .build()?,
        )
        .build()?;
    // With a server: make the Data outside of HttpServer::new and clone it in.
    let data = web::Data::new(pipeline);
    let app = App::new()
        .app_data(data.clone())
        .route("/", web::get().to(handler));
    let app = test::init_service(app).await;
    for _ in 0..3 {
        let response = test::call_service(&app, test::TestRequest::get().to_request()).await;
        let (status, after) = (
            response.status(),
            response.headers().get(header::RETRY_AFTER).cloned(),
        );
        println!("{status}, Retry-After: {after:?}");
    }
    Ok(())
}
