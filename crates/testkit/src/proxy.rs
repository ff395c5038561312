//! A TCP proxy that breaks on demand: put it between a client and a real
//! server to see what the client does when the network, and not the server,
//! fails.
//!
//! ```no_run
//! # async fn example(redis: std::net::SocketAddr) -> std::io::Result<()> {
//! use mainstay_testkit::proxy::BreakableProxy;
//!
//! let proxy = BreakableProxy::start(redis).await?;
//! // … connect a client to proxy.address() …
//! proxy.cut(); // connections are reset, new ones too
//! proxy.restore();
//! # Ok(())
//! # }
//! ```

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What stands behind the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket, such as Postgres listens on.
    Unix(PathBuf),
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Path> for Target {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl From<PathBuf> for Target {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Passing,
    /// Connections stay and are accepted, and nothing moves.
    Paused,
    /// Connections are reset as soon as they are there.
    Cut,
}

#[derive(Debug, Clone, Copy)]
struct Weather {
    mode: Mode,
    latency: Duration,
    /// Counts the cuts: a connection from before one is gone, however soon the
    /// proxy was restored.
    cuts: u64,
}

/// A running proxy. It stops, and resets its connections, when it is dropped.
#[derive(Debug)]
pub struct BreakableProxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    open: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl BreakableProxy {
    /// Starts a proxy before `target` on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be had. The target need not be there yet.
    pub async fn start(target: impl Into<Target>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (weather, _) = watch::channel(Weather {
            mode: Mode::Passing,
            latency: Duration::ZERO,
            cuts: 0,
        });
        let open = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(
            listener,
            target.into(),
            weather.clone(),
            Arc::clone(&open),
        ));
        Ok(Self {
            address,
            weather,
            open,
            _tasks: tasks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that are open through it now.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Lets nothing through from now on, in either direction, while every
    /// connection stays open and new ones are accepted: a network that has
    /// gone silent.
    pub fn pause(&self) {
        self.weather
            .send_modify(|weather| weather.mode = Mode::Paused);
    }

    /// Resets every connection, and every new one at once.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| {
            weather.mode = Mode::Cut;
            weather.cuts += 1;
        });
    }

    /// Lets everything through again. Connections that were cut stay gone.
    pub fn restore(&self) {
        self.weather.send_modify(|weather| {
            weather.mode = Mode::Passing;
            weather.latency = Duration::ZERO;
        });
    }

    /// Holds everything that passes, in each direction, for so long.
    pub fn add_latency(&self, latency: Duration) {
        self.weather
            .send_modify(|weather| weather.latency = latency);
    }
}

async fn accept(
    listener: TcpListener,
    target: Target,
    weather: watch::Sender<Weather>,
    open: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(connection(client, target.clone(), weather.subscribe(), Arc::clone(&open)));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Counts a connection for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn connection(
    mut client: TcpStream,
    target: Target,
    weather: watch::Receiver<Weather>,
    open: Arc<AtomicUsize>,
) {
    // Closing then sends a reset instead of a polite goodbye, as a network
    // that fails does.
    let _ = client.set_zero_linger();
    let _ = client.set_nodelay(true);
    open.fetch_add(1, Ordering::SeqCst);
    let _counted = Counted(open);
    let born = *weather.borrow();
    if born.mode == Mode::Cut {
        return;
    }
    let mut until_cut = weather.clone();
    tokio::select! {
        _ = until_cut.wait_for(|now| now.cuts != born.cuts) => {}
        () = carry(&mut client, &target, &weather) => {}
    }
}

async fn carry(client: &mut TcpStream, target: &Target, weather: &watch::Receiver<Weather>) {
    let mut passing = weather.clone();
    // A silent network does not connect either.
    if passing
        .wait_for(|now| now.mode == Mode::Passing)
        .await
        .is_err()
    {
        return;
    }
    match target {
        Target::Tcp(address) => {
            if let Ok(mut server) = TcpStream::connect(address).await {
                let _ = server.set_nodelay(true);
                let (from, to) = server.split();
                both(client, from, to, weather).await;
            }
        }
        Target::Unix(path) => {
            if let Ok(mut server) = UnixStream::connect(path).await {
                let (from, to) = server.split();
                both(client, from, to, weather).await;
            }
        }
    }
}

async fn both(
    client: &mut TcpStream,
    server_from: impl AsyncRead + Unpin,
    server_to: impl AsyncWrite + Unpin,
    weather: &watch::Receiver<Weather>,
) {
    let (client_from, client_to) = client.split();
    // When either side is done the whole connection is: databases and caches
    // know no half-closed connections.
    tokio::select! {
        _ = pump(client_from, server_to, weather.clone()) => {}
        _ = pump(server_from, client_to, weather.clone()) => {}
    }
}

/// Moves bytes while the weather is good.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let latency = weather.borrow().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if weather
            .wait_for(|now| now.mode == Mode::Passing)
            .await
            .is_err()
        {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says everything back.
    async fn echo() -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        (address, tasks)
    }

    async fn says_back(stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(b"ping").await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"ping");
        Ok(())
    }

    const SOON: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn what_is_cut_is_reset_and_a_restored_proxy_passes_again() {
        let (target, _server) = echo().await;
        let proxy = BreakableProxy::start(target).await.unwrap();
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        says_back(&mut old).await.unwrap();
        assert_eq!(proxy.connections(), 1);

        proxy.cut();
        assert!(says_back(&mut old).await.is_err());
        let refused = async {
            let mut new = TcpStream::connect(proxy.address()).await?;
            says_back(&mut new).await
        };
        assert!(refused.await.is_err());

        proxy.restore();
        assert!(says_back(&mut old).await.is_err());
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        says_back(&mut new).await.unwrap();
    }

    #[tokio::test]
    async fn a_paused_proxy_holds_everything_and_loses_nothing() {
        let (target, _server) = echo().await;
        let proxy = BreakableProxy::start(target).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        says_back(&mut stream).await.unwrap();
        proxy.pause();
        assert!(
            tokio::time::timeout(SOON, says_back(&mut stream))
                .await
                .is_err()
        );
        proxy.restore();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
    }

    #[tokio::test]
    async fn latency_is_added_in_both_directions() {
        let (target, _server) = echo().await;
        let proxy = BreakableProxy::start(target).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        says_back(&mut stream).await.unwrap();
        proxy.add_latency(SOON);
        assert!(
            tokio::time::timeout(SOON + SOON / 2, says_back(&mut stream))
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_target_that_is_not_there_closes_the_connection() {
        let nobody = TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let proxy = BreakableProxy::start(nobody).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(says_back(&mut stream).await.is_err());
    }
}
