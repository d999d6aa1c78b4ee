//! The way out: the proxy, if one is set, and the registries that were asked about. Nothing else is contacted.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use kiln_engine::http::{self, HttpSettings, ProxyAddress};

use super::finding::{Finding, State};

/// How long a proxy may take to accept a connection. It is nearby.
const PATIENCE: Duration = Duration::from_secs(3);

/// The proxy, if there is one.
pub fn proxy(settings: &HttpSettings) -> Option<Finding> {
    const NAME: &str = "proxy";
    const HINT: &str =
        "look at HTTPS_PROXY, ALL_PROXY and NO_PROXY, or at the system's network settings";
    let address = match settings.proxy_address() {
        Ok(None) => return None,
        Ok(Some(address)) => address,
        Err(error) => {
            return Some(Finding::new(NAME, State::Broken, error.to_string()).hint(HINT));
        }
    };
    let ProxyAddress { host, port } = &address;
    Some(match connect(&address) {
        Ok(()) => Finding::new(
            NAME,
            State::Ok,
            format!("{host}:{port} accepts connections"),
        ),
        Err(error) => Finding::new(
            NAME,
            State::Warning,
            format!("{host}:{port} cannot be reached: {error}"),
        )
        .hint(HINT),
    })
}

fn connect(ProxyAddress { host, port }: &ProxyAddress) -> std::io::Result<()> {
    let mut last = std::io::ErrorKind::NotFound.into();
    for address in (host.as_str(), *port).to_socket_addrs()?.take(4) {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A registry that the user asked about.
pub fn registry(settings: &HttpSettings, host: &str) -> Finding {
    let name = format!("registry {host}");
    match http::ping_registry(settings, host) {
        Ok(detail) => Finding::new(&name, State::Ok, detail),
        Err(reason) => Finding::new(&name, State::Broken, reason).hint(
            "a proxy is named by HTTPS_PROXY, a private CA by SSL_CERT_FILE or the system's trust store",
        ),
    }
}
