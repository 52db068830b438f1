//! Where a stand-in listens.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    sync::{Arc, Mutex},
};

use tokio::{net::TcpListener, sync::oneshot};

use crate::locked;

type Bind = dyn Fn() -> io::Result<StdListener> + Send + Sync;

/// Where a stand-in listens: an address, or a listener that was bound elsewhere, for example in another network
/// namespace.
#[derive(Clone)]
pub struct Listen(Kind);

#[derive(Clone)]
enum Kind {
    At(SocketAddr),
    Given(Arc<Mutex<Option<StdListener>>>),
    With(Arc<Bind>),
}

impl Listen {
    /// On this address; port 0 picks a free one.
    #[must_use]
    pub fn at(addr: SocketAddr) -> Listen {
        Listen(Kind::At(addr))
    }

    /// On a listener that is bound. It serves once: after `go_down` there is no `come_up`.
    #[must_use]
    pub fn on(listener: StdListener) -> Listen {
        Listen(Kind::Given(Arc::new(Mutex::new(Some(listener)))))
    }

    /// On what `bind` gives, at the start and at each `come_up`. It runs on a thread of its own that ends afterwards,
    /// so that it may enter a network namespace and bind there.
    pub fn with(bind: impl Fn() -> io::Result<StdListener> + Send + Sync + 'static) -> Listen {
        Listen(Kind::With(Arc::new(bind)))
    }

    /// Binds; `again` is the address of the time before.
    pub(crate) async fn bind(&self, again: Option<SocketAddr>) -> io::Result<TcpListener> {
        let listener = match &self.0 {
            Kind::At(addr) => return TcpListener::bind(again.unwrap_or(*addr)).await,
            Kind::Given(listener) => locked(listener).take().ok_or_else(|| {
                io::Error::other("the listener that was handed over is used up; Listen::with can bind again")
            })?,
            Kind::With(bind) => on_a_thread_of_its_own(Arc::clone(bind)).await?,
        };
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }
}

async fn on_a_thread_of_its_own(bind: Arc<Bind>) -> io::Result<StdListener> {
    let (done, bound) = oneshot::channel();
    std::thread::Builder::new().name("bind".to_owned()).spawn(move || {
        // Nobody waits any more when the start was given up; the listener closes.
        drop(done.send(bind()));
    })?;
    bound.await.map_err(|_| io::Error::other("binding panicked"))?
}

/// `127.0.0.1:0`.
impl Default for Listen {
    fn default() -> Listen {
        Listen::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }
}

impl From<SocketAddr> for Listen {
    fn from(addr: SocketAddr) -> Listen {
        Listen::at(addr)
    }
}

impl From<StdListener> for Listen {
    fn from(listener: StdListener) -> Listen {
        Listen::on(listener)
    }
}

impl fmt::Debug for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::At(addr) => f.debug_tuple("At").field(addr).finish(),
            Kind::Given(_) => f.write_str("Given"),
            Kind::With(_) => f.write_str("With"),
        }
    }
}
