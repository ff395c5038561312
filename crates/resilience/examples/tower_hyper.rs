//! A hyper client behind a pipeline, against a server that fails twice.
//!
//! Run with `cargo run --example tower_hyper --features tower`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::{convert::Infallible, error::Error, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Empty;
use hyper::{Request, Response, StatusCode, body::Bytes, service::service_fn};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use mainstay_resilience::{CircuitBreaker, Outcome, Pipeline, Retry};
use tower::{ServiceBuilder, ServiceExt};

/// Answers 503 twice and then 200.
async fn server() -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let calls = Arc::new(AtomicU32::new(0));
    let serve = async move {
        while let Ok((stream, _)) = listener.accept().await {
            let calls = Arc::clone(&calls);
            let answer = service_fn(move |_request| {
                let call = calls.fetch_add(1, Ordering::SeqCst);
                async move {
                    let mut response = Response::new(Empty::<Bytes>::new());
                    if call < 2 {
                        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    }
                    Ok::<_, Infallible>(response)
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer);
            spawn(async move {
                if let Err(error) = connection.await {
                    println!("connection: {error}");
                }
            });
        }
    };
    spawn(serve);
    Ok(address)
}

#[expect(
    clippy::disallowed_methods,
    reason = "an example has no lifecycle to register with"
)]
fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = server().await?;
    let pipeline = Pipeline::standard("upstream")
        .deadline(Duration::from_secs(5))
        .retry(Retry::builder().max_attempts(3).build()?)
        .breaker(CircuitBreaker::builder("upstream").build()?)
        .attempt_timeout(Duration::from_secs(1))
        .build()?;

    // A response is Ok to hyper whatever its status; to us a 5xx is a failure.
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let service = ServiceBuilder::new()
        .layer(pipeline.layer().classify(
            |result: Result<&Response<_>, &hyper_util::client::legacy::Error>| match result {
                Ok(response) if response.status().is_server_error() => Outcome::Failure,
                other => Outcome::of(other),
            },
        ))
        .service(client);

    let request = Request::get(format!("http://{address}/")).body(Empty::<Bytes>::new())?;
    let response = service.oneshot(request).await?;
    println!("{} after two refusals", response.status());
    println!("{:?}", pipeline.snapshot());
    Ok(())
}
