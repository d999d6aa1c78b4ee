//! How Kiln speaks to HTTP servers: through which proxy, and trusting whom.
//!
//! Proxies are those of the request, which come from the environment; where it names none, those of the operating
//! system. Every request through a proxy is a CONNECT tunnel, for `http://` too. Certificates are checked by the system's
//! trust store, or against exactly the roots of one file (`SSL_CERT_FILE`).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

/// How long a server may take to accept a connection, and to begin its answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Largest file of roots that is read. All public ones together have a quarter of a megabyte.
const MAX_ROOTS: u64 = 16 << 20;

/// Hosts that no proxy is asked for: it would look for them on itself.
const OWN_NAMES: &[&str] = &["localhost", "127.0.0.1", "[::1]", "::1"];

/// Proxies and trust, as the environment says them.
#[derive(Debug, Clone, Default)]
pub struct HttpSettings {
    /// `HTTPS_PROXY`, else `ALL_PROXY`.
    pub https_proxy: Option<ProxyUrl>,
    /// `HTTP_PROXY`, else `ALL_PROXY`.
    pub http_proxy: Option<ProxyUrl>,
    /// `NO_PROXY`: hosts to be asked directly, commas between; a name stands for all below it too.
    pub no_proxy: Option<String>,
    /// `SSL_CERT_FILE`: certificates in PEM, the only ones to be trusted.
    pub roots: Option<PathBuf>,
}

/// The URL of a proxy, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(pub String);

impl std::fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProxyUrl(…)")
    }
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The proxy is no URL, or of a kind that is not spoken.
    #[error("the proxy is not a URL of the form http://HOST:PORT")]
    Proxy,
    /// The file of roots cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file of roots has none.
    #[error("there are no certificates in {}", path.display())]
    NoRoots {
        /// The file.
        path: PathBuf,
    },
}

/// A proxy, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    /// Its host, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl HttpSettings {
    /// The proxy that `https://` URLs are fetched through, if they are.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn proxy_address(&self) -> Result<Option<ProxyAddress>, HttpError> {
        let address = |proxy: Proxy| ProxyAddress {
            host: proxy.host().trim_matches(['[', ']']).to_owned(),
            port: proxy.port(),
        };
        Ok(self.proxy(true)?.map(address))
    }

    /// An agent for `url`.
    ///
    /// # Errors
    /// When the proxy or the file of roots cannot be used.
    pub(crate) fn agent(&self, url: &str) -> Result<Agent, HttpError> {
        let secure = !url
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
        let roots = match &self.roots {
            Some(path) => RootCerts::Specific(Arc::new(read_roots(path)?)),
            None => RootCerts::PlatformVerifier,
        };
        let config = Agent::config_builder()
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
            .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .proxy(self.proxy(secure)?);
        Ok(config.build().into())
    }

    fn proxy(&self, secure: bool) -> Result<Option<Proxy>, HttpError> {
        if self.https_proxy.is_none() && self.http_proxy.is_none() {
            return self.system_proxy(secure);
        }
        let url = if secure {
            &self.https_proxy
        } else {
            &self.http_proxy
        };
        let bypass = self.no_proxy.iter().flat_map(|hosts| hosts.split(','));
        match url {
            Some(url) => proxy(&url.0, bypass.flat_map(with_those_below)).map(Some),
            None => Ok(None),
        }
    }

    fn system_proxy(&self, secure: bool) -> Result<Option<Proxy>, HttpError> {
        let Some(system) = kiln_platform::proxy::system() else {
            return Ok(None);
        };
        match if secure { system.https } else { system.http } {
            Some(url) => proxy(&url, system.bypass.into_iter()).map(Some),
            None => Ok(None),
        }
    }
}

/// An entry of `NO_PROXY` as patterns: a name stands for itself and for all below it.
fn with_those_below(entry: &str) -> Vec<String> {
    let entry = entry.trim();
    let name = entry.strip_prefix("*.").or(entry.strip_prefix('.'));
    match name.unwrap_or(entry) {
        "" => Vec::new(),
        "*" => vec!["*".to_owned()],
        // Docker does the same: with a dot in front only what is below.
        rest if name.is_some() => vec![format!(".{rest}")],
        name => vec![name.to_owned(), format!(".{name}")],
    }
}

fn proxy(url: &str, bypass: impl Iterator<Item = String>) -> Result<Proxy, HttpError> {
    let parsed = Proxy::new(url).map_err(|_| HttpError::Proxy)?;
    let mut builder = Proxy::builder(parsed.protocol())
        .host(parsed.host())
        .port(parsed.port());
    if let Some(name) = parsed.username() {
        builder = builder.username(name);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    for host in OWN_NAMES.iter().map(ToString::to_string).chain(bypass) {
        builder = builder.no_proxy(&host);
    }
    builder.build().map_err(|_| HttpError::Proxy)
}

fn read_roots(path: &Path) -> Result<Vec<Certificate<'static>>, HttpError> {
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_ROOTS).read_to_end(&mut pem))
        .map_err(|source| HttpError::Roots {
            path: path.to_owned(),
            source,
        })?;
    let roots: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if roots.is_empty() {
        return Err(HttpError::NoRoots {
            path: path.to_owned(),
        });
    }
    Ok(roots)
}

/// Asks a registry whether it is one: `GET /v2/`, which also one that wants a login answers. `host` may be a URL; a
/// host of this machine is asked without TLS, as Docker does.
///
/// # Errors
/// Why there was no such answer, in words.
pub fn ping_registry(settings: &HttpSettings, host: &str) -> Result<String, String> {
    let url = registry_url(host);
    let agent = settings.agent(&url).map_err(|error| error.to_string())?;
    let status = match agent.get(&url).call() {
        Ok(response) => response.status().as_u16(),
        Err(ureq::Error::StatusCode(status)) => status,
        Err(error) => return Err(error.to_string()),
    };
    match status {
        200 => Ok(format!("{url} answers")),
        401 => Ok(format!("{url} answers and wants a login")),
        status => Err(format!(
            "{url} answers with status {status}: it is no registry"
        )),
    }
}

fn registry_url(host: &str) -> String {
    if host.contains("://") {
        return format!("{}/v2/", host.trim_end_matches('/'));
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let own = OWN_NAMES.contains(&name) || OWN_NAMES.contains(&host) || name.starts_with("127.");
    let scheme = if own { "http" } else { "https" };
    format!("{scheme}://{host}/v2/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_means_what_it_means_to_docker() {
        let settings = HttpSettings {
            https_proxy: Some(ProxyUrl("http://me:s%20cret@proxy.test:3128".to_owned())),
            no_proxy: Some("corp.test, .below.test ,10.0.0.1,*.wild.test".to_owned()),
            ..HttpSettings::default()
        };
        let proxy = settings.proxy(true).expect("a URL").expect("a proxy");
        for (host, direct) in [
            ("corp.test", true),
            ("a.corp.test", true),
            ("notcorp.test", false),
            ("below.test", false),
            ("x.below.test", true),
            ("x.wild.test", true),
            ("10.0.0.1", true),
            ("localhost", true),
            ("example.com", false),
        ] {
            let uri = format!("https://{host}/").parse().expect("a URI");
            assert_eq!(proxy.is_no_proxy(&uri), direct, "{host}");
        }
        assert_eq!((proxy.host(), proxy.port()), ("proxy.test", 3128));
        assert_eq!(proxy.password(), Some("s cret"));
        assert!(!format!("{settings:?}").contains("cret"));
        assert!(settings.proxy(false).expect("none").is_none());
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for url in ["fake://x", "", "http://"] {
            let settings = HttpSettings {
                https_proxy: Some(ProxyUrl(url.to_owned())),
                ..HttpSettings::default()
            };
            assert!(settings.proxy_address().is_err(), "{url}");
        }
    }

    #[test]
    fn registries_of_this_machine_are_asked_without_tls() {
        for (host, url) in [
            ("example.com", "https://example.com/v2/"),
            ("example.com:5000", "https://example.com:5000/v2/"),
            ("localhost:5000", "http://localhost:5000/v2/"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/v2/"),
            ("http://example.com/", "http://example.com/v2/"),
        ] {
            assert_eq!(registry_url(host), url);
        }
    }

    #[test]
    fn a_file_without_certificates_is_told() {
        let settings = HttpSettings {
            roots: Some(PathBuf::from("/dev/null/none")),
            ..HttpSettings::default()
        };
        assert!(matches!(
            settings.agent("https://x"),
            Err(HttpError::Roots { .. })
        ));
    }
}
