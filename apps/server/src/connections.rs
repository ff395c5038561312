//! Open TCP connections: how their sockets are set up, and how they are ended
//! when the protocol above cannot.
//!
//! A peer that has stopped reading never takes a WebSocket Close or the end of
//! a response, so it is cut at the socket, through a second descriptor of it.
//! A drain closes connections that are idle in the same way, since actix would
//! wait for their keep-alive to run out.

use actix_web::{HttpRequest, dev::Extensions, rt::net::TcpStream};
use mainstay_resilience::SharedClock;
use socket2::{SockRef, Socket};
use std::{
    any::Any,
    collections::HashMap,
    net::Shutdown,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// What the kernel may hold for a peer that does not read. The default of
/// several MiB times 10,000 connections would be the machine's memory.
const SEND_BUFFER: usize = 64 * 1024;
/// How long sent bytes may go unacknowledged before the kernel gives up.
const USER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection must have been idle before a drain closes it, so
/// that the last bytes of an answer have left.
const SETTLED: Duration = Duration::from_millis(200);

/// Every open connection. Built once per process.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    open: Arc<Mutex<HashMap<u64, Weak<Connection>>>>,
    next: Arc<AtomicU64>,
    clock: SharedClock,
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    socket: Socket,
    busy: AtomicUsize,
    idle_since_ms: AtomicU64,
    all: Connections,
}

/// Keeps a drain from closing the connection while something is under way.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Connection>);

impl Connections {
    pub(crate) fn new(clock: SharedClock) -> Self {
        Self {
            open: Arc::default(),
            next: Arc::default(),
            clock,
        }
    }

    /// Sets up a socket that was just accepted and remembers it.
    pub(crate) fn on_connect(&self, io: &dyn Any, extensions: &mut Extensions) {
        let Some(stream) = io.downcast_ref::<TcpStream>() else {
            return;
        };
        let socket = SockRef::from(stream);
        // A refusal costs only the protection; the connection works without.
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
        let Ok(socket) = socket.try_clone() else {
            return;
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            id,
            socket,
            busy: AtomicUsize::new(0),
            idle_since_ms: AtomicU64::new(self.now_ms()),
            all: self.clone(),
        });
        self.lock().insert(id, Arc::downgrade(&connection));
        extensions.insert(connection);
    }

    /// Closes every connection on which nothing is under way, again and again
    /// until none is left. Cancel by dropping.
    pub(crate) async fn close_idle(&self) {
        loop {
            let open: Vec<Arc<Connection>> =
                self.lock().values().filter_map(Weak::upgrade).collect();
            if open.is_empty() {
                return;
            }
            let now = self.now_ms();
            for connection in open {
                let idle = now.saturating_sub(connection.idle_since_ms.load(Ordering::Acquire));
                if connection.busy.load(Ordering::Acquire) == 0
                    && u128::from(idle) >= SETTLED.as_millis()
                {
                    connection.cut();
                }
            }
            tokio::time::sleep(SETTLED / 4).await;
        }
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().as_millis() as u64
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Weak<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The connection that a request came over.
    pub(crate) fn of(http: &HttpRequest) -> Option<Arc<Self>> {
        http.conn_data::<Arc<Self>>().cloned()
    }

    /// Marks that something is under way.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    /// Ends the connection at the socket, whatever the peer does.
    pub(crate) fn cut(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let connection = &self.0;
        connection
            .idle_since_ms
            .store(connection.all.now_ms(), Ordering::Release);
        connection.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}
