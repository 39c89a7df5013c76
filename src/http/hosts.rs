//! By which names it may be asked for.
//!
//! A page of somebody else, open in the browser of an operator, can ask at any address that the browser
//! reaches, and browsers do not let it read the answer; unless its own name leads to that address all at
//! once (DNS rebinding). Then the request still has that name in `Host`, and is refused here.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header, uri::Authority};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use super::routes::{PLAIN, answer};

/// The names of the configuration (`http.hosts`).
#[derive(Clone)]
pub(super) struct Hosts(pub Arc<[String]>);

/// Whether a request comes from this machine.
#[derive(Clone, Copy)]
pub(super) struct Near(pub bool);

impl Hosts {
    /// Serves only who asks by a right name.
    pub fn guard(self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self, only_known))
    }

    /// Whether a request with these headers names what it may. Who names nothing is no browser.
    fn admit(&self, near: Near, headers: &HeaderMap) -> bool {
        let is_any = self.0.is_empty() && !near.0;
        let mut named = headers.get_all(header::HOST).iter();
        is_any || named.all(|named| named.to_str().is_ok_and(|named| self.knows(named)))
    }

    /// Addresses, and names that nobody can have in the public DNS, lead nobody else here.
    fn knows(&self, named: &str) -> bool {
        let Ok(authority) = named.parse::<Authority>() else {
            return named.is_empty();
        };
        let name = authority.host().trim_end_matches('.');
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_local = || !name.contains('.') || name.to_ascii_lowercase().ends_with(".localhost");
        bare.parse::<IpAddr>().is_ok()
            || is_local()
            || self.0.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

async fn only_known(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let near = request.extensions().get().copied().unwrap_or(Near(true));
    if hosts.admit(near, request.headers()) {
        return next.run(request).await;
    }
    let text = "the name in Host is not one by which this may be asked for: use an address or localhost, or write the name into http.hosts\n";
    answer(StatusCode::MISDIRECTED_REQUEST, PLAIN, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_somebody_else_is_refused() {
        let admitted = |hosts: &[&str], near, named: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, named.parse().unwrap());
            let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
            Hosts(hosts).admit(Near(near), &headers)
        };
        for named in [
            "localhost:9464",
            "127.0.0.1:9464",
            "10.1.2.3",
            "[::1]:9464",
            "pod-3:9464",
            "sms.localhost",
            "LOCALHOST",
            "",
        ] {
            assert!(admitted(&[], true, named), "{named}");
        }
        for named in [
            "evil.example:9464",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example.",
            "127.0.0.1@evil.example",
            "::1",
            "a b",
        ] {
            assert!(!admitted(&[], true, named), "{named}");
        }
        assert!(admitted(&[], false, "sms.example.net"), "as in a network");
        let hosts = ["sms.example.net"];
        assert!(admitted(&hosts, true, "SMS.example.net:443"));
        assert!(!admitted(&hosts, false, "evil.example"));
        assert!(Hosts([].into()).admit(Near(true), &HeaderMap::new()));
    }
}
