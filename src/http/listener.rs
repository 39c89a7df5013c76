//! The listener and its connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bounds::Connections;
use super::hosts::{Hosts, Near};
use super::notices::ConnectionNotTaken;
use super::tls::Tls;
use super::{HEAD_OCTETS, HEAD_TIMEOUT, LIFE, Seen, routes};
use crate::control;

/// How long connections may take to end when the process stops, or when their life is over.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// How the listener works.
pub struct Options {
    /// `host:port`; with port 0 the system chooses one.
    pub listen: String,
    /// Names by which it may be asked for; see [`Hosts`].
    pub hosts: Vec<String>,
    /// Who has it may steer; nobody if it is empty.
    pub token: SecretString,
    /// PEM files of the certificate chain and its key, for TLS.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// What is looked at.
    pub seen: Arc<dyn Seen>,
    /// By which it is steered.
    pub steered: control::Handle,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("http.listen = {listen:?}: {error}. Is another process listening there?")]
    Listen {
        /// The address.
        listen: String,
        /// What the system says.
        error: io::Error,
    },
    /// A file of TLS cannot be used.
    #[error("{field} = {file:?}: {error}")]
    File {
        /// The key.
        field: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        error: String,
    },
}

/// Ends a [`Server`]. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    stopping: CancellationToken,
    address: SocketAddr,
}

impl Handle {
    /// Ends [`Server::run`]. Returns at once.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The service: see the [module](super).
pub struct Server {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    routes: Router,
    connections: Connections,
    stopping: CancellationToken,
}

impl Server {
    /// Listens; nobody is served before [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, or the certificate not be read.
    pub async fn new(options: Options) -> Result<(Self, Handle), Error> {
        let tls = match options.certificate {
            Some((certificate, key)) => Some(Arc::new(Tls::new(certificate, key)?)),
            None => None,
        };
        let failed = |error| Error::Listen {
            listen: options.listen.clone(),
            error,
        };
        let listener = TcpListener::bind(&*options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stopping = CancellationToken::new();
        let server = Server {
            listener,
            tls,
            routes: Hosts(options.hosts.into()).guard(routes::routes(
                options.seen,
                options.steered,
                options.token,
            )),
            connections: Connections::default(),
            stopping: stopping.clone(),
        };
        let handle = Handle { stopping, address };
        Ok((server, handle))
    }

    /// Serves until [`Handle::stop`].
    pub async fn run(self) {
        let tracker = TaskTracker::new();
        while let Some(taken) = self
            .stopping
            .run_until_cancelled(self.listener.accept())
            .await
        {
            match taken {
                Ok((stream, peer)) => {
                    // One more than there is room for is closed by being dropped.
                    let peer = canonical(peer.ip());
                    if let Some(place) = self.connections.place(peer) {
                        let connection = self.connection(stream, Near(peer.is_loopback()));
                        tracker.spawn(async move {
                            let _place = place;
                            connection.await;
                        });
                    }
                }
                Err(error) => {
                    ConnectionNotTaken { error: &error }.emit();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        tracker.close();
        // Those that do not end by themselves end with the runtime.
        let _ = timeout(LAST_MOMENT, tracker.wait()).await;
    }

    fn connection(&self, stream: TcpStream, near: Near) -> impl Future<Output = ()> + Send + use<> {
        let (routes, stopping) = (self.routes.clone(), self.stopping.clone());
        let tls = self.tls.clone();
        async move {
            // It is answered in one go: nothing waits for more.
            let _ = stream.set_nodelay(true);
            match tls {
                None => serve(stream, near, routes, stopping).await,
                Some(tls) => {
                    let taken = timeout(HEAD_TIMEOUT, tls.acceptor().accept(stream)).await;
                    if let Ok(Ok(stream)) = taken {
                        serve(stream, near, routes, stopping).await;
                    }
                }
            }
        }
    }
}

/// An address as it is, whether it came by an IPv6 socket or not.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Serves a connection to its end.
pub(super) async fn serve<S>(stream: S, near: Near, routes: Router, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(near);
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_OCTETS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // What a peer does wrong is nobody's business here.
        _ = &mut connection => return,
        () = stopping.cancelled() => {}
        () = tokio::time::sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LAST_MOMENT, connection).await;
}
