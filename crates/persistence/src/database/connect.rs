//! Opening connections: verified TLS, on the runtime that owns the pool.

use crate::config::{Config, ConfigError};
use deadpool_postgres::Connect;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
};
use tokio::{runtime::Handle, sync::Notify, task::JoinHandle};
use tokio_postgres::{AsyncMessage, Client, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Opens connections and drives them on one runtime, whoever asks: a connection
/// that was opened by a request must not die with that request's worker.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: MakeRustlsConnect,
    handle: Handle,
    /// Rung when a connection that listens hears of the outbox.
    outbox_bell: Arc<Notify>,
}

/// The channel on which servers tell each other of the outbox.
pub(crate) const OUTBOX_CHANNEL: &str = "mainstay_outbox";

type Opened = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

impl Connector {
    pub(crate) fn new(
        config: &Config,
        handle: Handle,
        outbox_bell: Arc<Notify>,
    ) -> Result<Self, ConfigError> {
        let roots = match config.postgres()?.get_ssl_mode() {
            SslMode::Disable => RootCertStore::empty(),
            _ => roots(config)?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::invalid("tls_roots", error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: MakeRustlsConnect::new(tls),
            handle,
            outbox_bell,
        })
    }

    pub(crate) async fn open(&self, postgres: tokio_postgres::Config) -> Opened {
        let tls = self.tls.clone();
        let handle = self.handle.clone();
        let bell = Arc::clone(&self.outbox_bell);
        let opening = AbortOnDrop(self.handle.spawn(async move {
            let (client, mut connection) = postgres.connect(tls).await?;
            let driver = handle.spawn(async move {
                loop {
                    match poll_fn(|context| connection.poll_message(context)).await {
                        Some(Ok(AsyncMessage::Notification(heard)))
                            if heard.channel() == OUTBOX_CHANNEL =>
                        {
                            bell.notify_one();
                        }
                        Some(Ok(_)) => {}
                        Some(Err(error)) => {
                            tracing::debug!(name: "database.connection_lost", %error, "a connection ended");
                            return;
                        }
                        None => return,
                    }
                }
            });
            Ok((client, driver))
        }));
        opening.join().await
    }

    /// Asks the server to stop what the connection of `token` is doing.
    pub(crate) async fn cancel(&self, token: tokio_postgres::CancelToken) {
        // Failing is fine: the connection is thrown away in any case, and the
        // server's own statement timeout ends the query.
        let _ = token.cancel_query(self.tls.clone()).await;
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        postgres: &tokio_postgres::Config,
    ) -> Pin<Box<dyn Future<Output = Opened> + Send + '_>> {
        Box::pin(self.open(postgres.clone()))
    }
}

/// Stops opening when nobody waits for it any more.
struct AbortOnDrop(JoinHandle<Opened>);

impl AbortOnDrop {
    async fn join(mut self) -> Opened {
        match (&mut self.0).await {
            Ok(opened) => opened,
            // Only when the runtime shuts down; whoever waits has a timeout.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn roots(config: &Config) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &config.tls_roots {
        let unreadable = |error: &dyn std::fmt::Display| {
            ConfigError::invalid("tls_roots", format!("{}: {error}", path.display()))
        };
        for certificate in CertificateDer::pem_file_iter(path).map_err(|e| unreadable(&e))? {
            let certificate = certificate.map_err(|e| unreadable(&e))?;
            roots.add(certificate).map_err(|e| unreadable(&e))?;
        }
    } else {
        // Without any system certificates TLS fails at connecting, with that reason.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(roots)
}
