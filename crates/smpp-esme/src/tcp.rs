//! Connections as the system has them: from which address they come, and what it does about those of
//! which nothing is heard.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tracing::debug;

use super::connect::Failure;
use super::host::Host;
use super::local::LocalAddress;
use super::options::{Options, Tcp, Timers};

/// The system is not asked to look sooner than this, unless it is configured.
const SELDOM: Duration = Duration::from_secs(60);

/// Linux takes no longer time in TCP_KEEPIDLE and TCP_KEEPINTVL.
pub const KEEP_ALIVE_MAX: Duration = Duration::from_secs(32_767);

/// When the system looks for signs of life, and when it gives a connection up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signs {
    /// How long after the last sign, how far apart, and how often it asks; or never.
    keep_alive: Option<(Duration, Duration, u32)>,
    /// How long what was sent may be unconfirmed.
    user_timeout: Option<Duration>,
}

impl Signs {
    /// What is configured; what is not never comes before the session's own timers.
    pub fn of(tcp: &Tcp, timers: &Timers) -> Self {
        let (interval, count) = (tcp.keep_alive_interval.get(), tcp.keep_alive_count);
        let probe = timers.enquire_link.get();
        let given_up = probe.saturating_add(timers.response.get()).max(SELDOM);
        let idle = match tcp.keep_alive_idle {
            Some(idle) => Some(idle.get()).filter(|idle| !idle.is_zero()),
            None => Some(given_up).filter(|idle| *idle <= KEEP_ALIVE_MAX),
        };
        let asked = interval.saturating_mul(count);
        let user_timeout = match tcp.user_timeout {
            Some(timeout) => timeout.get(),
            None => idle.unwrap_or(given_up).saturating_add(asked),
        };
        Signs {
            keep_alive: idle.map(|idle| (idle, interval, count)),
            user_timeout: Some(user_timeout).filter(|timeout| !timeout.is_zero()),
        }
    }

    /// Has the system see to it, and send what is written at once.
    pub fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        // A session without them is better than none.
        if let Err(error) = self.ask(SockRef::from(stream)) {
            debug!(%error, "the system does not look for signs of life");
        }
        Ok(())
    }

    fn ask(&self, socket: SockRef<'_>) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(self.user_timeout)?;
        let Some((idle, interval, count)) = self.keep_alive else {
            return socket.set_keepalive(false);
        };
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(idle)
                .with_interval(interval)
                .with_retries(count),
        )
    }
}

/// Connects to a host: each time its name is resolved, and each of its addresses is tried.
pub(super) async fn dial(options: &Options, host: &str) -> Result<TcpStream, Failure> {
    let stream = if options.local_address.is_empty() {
        from_anywhere(host).await?
    } else {
        from_ours(&options.local_address, host).await?
    };
    let applied = Signs::of(&options.tcp, &options.timers).apply(&stream);
    applied.map_err(|source| refused(host, None, source))?;
    Ok(stream)
}

fn refused(host: &str, from: Option<&str>, source: io::Error) -> Failure {
    Failure::Connect {
        host: host.to_owned(),
        from: from.map_or_else(String::new, |from| format!(" from {from}")),
        source,
    }
}

async fn from_anywhere(host: &str) -> Result<TcpStream, Failure> {
    // In two parts, because only so the resolver is asked for the zone of an IPv6 address.
    let connected = match Host::parse(host) {
        Ok(Host { name, port }) => TcpStream::connect((name, port)).await,
        Err(_) => TcpStream::connect(host).await,
    };
    connected.map_err(|source| refused(host, None, source))
}

async fn from_ours(ours: &[String], host: &str) -> Result<TcpStream, Failure> {
    let unresolved = |source| refused(host, None, source);
    let theirs: Vec<SocketAddr> = match Host::parse(host) {
        Ok(Host { name, port }) => lookup_host((name, port))
            .await
            .map_err(unresolved)?
            .collect(),
        Err(_) => lookup_host(host).await.map_err(unresolved)?.collect(),
    };
    let mut failure = None;
    for remote in theirs.iter().copied().map(canonical) {
        let Some(local) = ours.iter().find(|local| is_of_kind(local, remote)) else {
            let found = if remote.is_ipv4() { "IPv4" } else { "IPv6" };
            failure.get_or_insert_with(|| Failure::NoLocalAddress {
                host: host.to_owned(),
                found,
            });
            continue;
        };
        match from_one(local, remote, host).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    let none = || unresolved(io::Error::other("it has no address"));
    Err(failure.unwrap_or_else(none))
}

async fn from_one(local: &str, remote: SocketAddr, host: &str) -> Result<TcpStream, Failure> {
    let unusable = |source| Failure::LocalAddress {
        address: local.to_owned(),
        source,
    };
    // With a zone only the resolver knows the number of the interface.
    let mut ours = lookup_host((local, 0)).await.map_err(unusable)?;
    let ours = ours.next().map(canonical);
    let ours = ours.ok_or_else(|| unusable(io::ErrorKind::AddrNotAvailable.into()))?;
    let socket = if ours.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let socket = socket.map_err(unusable)?;
    socket.bind(ours).map_err(unusable)?;
    let connected = socket.connect(remote).await;
    connected.map_err(|source| refused(host, Some(local), source))
}

fn is_of_kind(local: &str, remote: SocketAddr) -> bool {
    LocalAddress::parse(local).is_ok_and(|local| local.ip.is_ipv4() == remote.is_ipv4())
}

/// An address of IPv4 that stands there as one of IPv6 is one of IPv4, for which it needs a socket
/// of that kind.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;

    fn signs(tcp: Tcp, enquire_link: u64) -> (Option<(u64, u64, u32)>, Option<u64>) {
        let timers = Timers {
            enquire_link: Time::seconds(enquire_link),
            ..Timers::default()
        };
        let signs = Signs::of(&tcp, &timers);
        let keep_alive = signs.keep_alive;
        (
            keep_alive.map(|(idle, every, count)| (idle.as_secs(), every.as_secs(), count)),
            signs.user_timeout.map(|timeout| timeout.as_secs()),
        )
    }

    #[test]
    fn what_is_not_configured_never_comes_before_enquire_link() {
        for (enquire_link, idle) in [(0, 60), (30, 60), (50, 60), (300, 310), (32_757, 32_767)] {
            let expected = (Some((idle, 10, 6)), Some(idle + 60));
            assert_eq!(signs(Tcp::default(), enquire_link), expected);
            assert!(idle >= enquire_link + 10);
        }
        // Longer than the kernel can be told: it does not ask at all.
        assert_eq!(signs(Tcp::default(), 86_400), (None, Some(86_470)));
    }

    #[test]
    fn what_is_configured_counts() {
        let time = |seconds| Some(Time::seconds(seconds));
        let tcp = Tcp {
            keep_alive_idle: time(20),
            keep_alive_interval: Time::seconds(5),
            keep_alive_count: 3,
            user_timeout: None,
        };
        assert_eq!(signs(tcp.clone(), 300), (Some((20, 5, 3)), Some(35)));
        let never = Tcp {
            keep_alive_idle: time(0),
            user_timeout: time(0),
            ..tcp.clone()
        };
        assert_eq!(signs(never, 300), (None, None));
        let other = Tcp {
            user_timeout: time(25),
            ..tcp
        };
        assert_eq!(signs(other, 300), (Some((20, 5, 3)), Some(25)));
    }
}
