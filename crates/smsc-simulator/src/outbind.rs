//! Connections that this SMSC begins: it asks ESMEs to bind (SMPP 3.4 §4.1.7).

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Shared;
use super::options::{Outbind, host_and_port};
use super::session::Session;
use smpp_protocol::{Command, Status, pdu};

/// Between one attempt and the next.
const AGAIN: Duration = Duration::from_millis(500);

/// Asks each ESME again and again, as long as it is not bound over the connection.
pub(super) async fn keep_asking(shared: &Arc<Shared>) {
    let mut asking = JoinSet::new();
    for outbind in shared.options.outbind.iter().cloned() {
        let shared = Arc::clone(shared);
        asking.spawn(async move {
            loop {
                if let Err(error) = ask(&shared, &outbind).await {
                    tracing::debug!(%error, esme = outbind.address, "no outbind");
                }
                sleep(AGAIN).await;
            }
        });
    }
    while asking.join_next().await.is_some() {}
    std::future::pending().await
}

/// Connects, asks, and serves the session that may come of it.
async fn ask(shared: &Arc<Shared>, outbind: &Outbind) -> std::io::Result<()> {
    // In two parts, because only so the resolver is asked for the zone of an IPv6 address.
    let stream = match host_and_port(&outbind.address) {
        Some(address) => TcpStream::connect(address).await?,
        None => TcpStream::connect(&outbind.address).await?,
    };
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let mut greeting = Vec::new();
    let written = pdu::Outbind {
        system_id: shared.options.system_id.as_bytes(),
        password: outbind.password.as_bytes(),
    }
    .encode(Command::OUTBIND, Status::ROK, 1, &mut greeting);
    written.map_err(std::io::Error::other)?;
    let session = Session::new(Arc::clone(shared), shared.connections.next(), peer);
    session.greets_with(&greeting).run(stream).await;
    Ok(())
}
