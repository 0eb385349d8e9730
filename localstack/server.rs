//! The listening socket: HTTP/1.1 on loopback, with bounds on connections, headers and waiting.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use crate::answer::Services;

/// Connections at the same time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// For the next request on a connection. SDKs keep idle connections for 90 seconds: longer, so that it is the client who
/// closes, never the server under a request on its way.
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);
/// Of headers, and of what is read ahead.
const MAX_BUFFER: usize = 256 << 10;
/// Before accepting again when the process is out of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Binds a port of this machine's own address; 0 lets the system choose.
pub(crate) async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    services: Arc<Services>,
    stop: impl Future<Output = ()>,
) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let permit = Arc::clone(&free).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let services = Arc::clone(&services);
                connections.spawn(async move {
                    connection(stream, services).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, services: Arc<Services>) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(|request| services.answer(request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection has ended early");
    }
}
