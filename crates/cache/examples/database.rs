//! Rows of a Postgres through the cache: known absence is remembered, and while
//! the database is away old rows stand in. Needs `DATABASE_URL`.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::{sync::Arc, time::Duration};

use mainstay_cache::{Cache, Key, LoadError, Loaded, Options};
use tokio_postgres::{Client, NoTls};

async fn setting(
    cache: &Cache,
    database: &Arc<Client>,
    name: &str,
) -> Result<Option<String>, LoadError<tokio_postgres::Error>> {
    let options = Options::ttl(Duration::from_secs(10))
        .stale_if_error(Duration::from_secs(3600))
        .absent_ttl(Duration::from_secs(5));
    let (database, wanted) = (Arc::clone(database), name.to_owned());
    let found = cache
        .get_or_load(
            &Key::new("settings", [name]),
            &options,
            move || async move {
                let row = database
                    .query_opt(
                        "SELECT setting FROM pg_settings WHERE name = $1",
                        &[&wanted],
                    )
                    .await?;
                Ok(row.map_or(Loaded::Absent, |row| Loaded::value(row.get::<_, String>(0))))
            },
        )
        .await?;
    println!(
        "{name}: from {}, stale: {}",
        found.source.as_str(),
        found.stale
    );
    Ok(found
        .present()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url =
        std::env::var("DATABASE_URL").unwrap_or_else(|_| "host=127.0.0.1 user=postgres".to_owned());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a real service spawns through its lifecycle"
    )]
    let connection = tokio::spawn(connection);
    let (cache, client) = (Cache::builder().build().await?, Arc::new(client));
    for name in [
        "max_connections",
        "max_connections",
        "no_such_setting",
        "no_such_setting",
    ] {
        println!("  = {:?}", setting(&cache, &client, name).await?);
    }
    drop(client);
    connection.await??;
    Ok(())
}
