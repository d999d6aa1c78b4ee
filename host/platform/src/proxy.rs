//! The proxies that the operating system itself is set to use, where it has such a setting (macOS, Windows).
//!
//! Read through the system's own tools, so that no framework is needed. What they print is parsed here, on every
//! system, by functions from text to values; which tool is asked is all that differs. Proxies that a script chooses (PAC) are
//! not followed. Elsewhere the environment is the only place for proxies, and it belongs to the caller.

use std::collections::HashMap;

/// Most bytes of a tool's answer that are looked at. Real ones have a few hundred.
const MAX_ANSWER: usize = 64 << 10;
/// Most hosts that may be exempt.
const MAX_BYPASSED: usize = 1000;

/// What the system is set to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SystemProxy {
    /// For `https://` URLs, as a URL.
    pub https: Option<String>,
    /// For `http://` URLs, as a URL.
    pub http: Option<String>,
    /// Hosts to be asked directly, in the system's own patterns (`*.local`, `10.*`).
    pub bypass: Vec<String>,
    /// A script chooses proxies, which is not followed.
    pub by_script: bool,
}

/// Asks the system. Takes some milliseconds, as it starts a program; none where the system has no such setting.
#[must_use]
pub fn system() -> Option<SystemProxy> {
    #[cfg(target_os = "macos")]
    {
        answer("/usr/sbin/scutil", &["--proxy"]).map(|text| of_scutil(&text))
    }
    #[cfg(windows)]
    {
        const KEY: &str = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings";
        answer("reg.exe", &["query", KEY]).map(|text| of_registry(&text))
    }
    #[cfg(not(any(target_os = "macos", windows)))]
    {
        None
    }
}

#[cfg(any(target_os = "macos", windows))]
fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `scutil --proxy` prints: `Key : value` lines, arrays indented.
#[cfg_attr(
    not(any(test, target_os = "macos")),
    allow(dead_code, reason = "macOS")
)]
fn of_scutil(text: &str) -> SystemProxy {
    let text = bounded(text);
    let mut values = HashMap::new();
    let mut bypass = Vec::new();
    let mut in_exceptions = false;
    for line in text.lines() {
        let Some((key, value)) = line.split_once(" : ") else {
            in_exceptions &= line.trim() != "}";
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if value.ends_with('{') {
            in_exceptions = key == "ExceptionsList";
        } else if !in_exceptions {
            values.insert(key, value);
        } else if bypass.len() < MAX_BYPASSED {
            bypass.push(value.to_owned());
        }
    }
    let on = |key: &str| values.get(key) == Some(&"1");
    let proxy = |kind: &str| {
        let host = values.get(format!("{kind}Proxy").as_str())?;
        let port = values.get(format!("{kind}Port").as_str()).copied();
        on(&format!("{kind}Enable")).then(|| url(host, port))
    };
    SystemProxy {
        https: proxy("HTTPS"),
        http: proxy("HTTP"),
        bypass,
        by_script: on("ProxyAutoConfigEnable"),
    }
}

/// What `reg query` prints of the Internet settings: name, type and value, blanks between. `ProxyServer` is one server
/// for all, or `http=…;https=…`.
#[cfg_attr(not(any(test, windows)), allow(dead_code, reason = "Windows"))]
fn of_registry(text: &str) -> SystemProxy {
    let text = bounded(text);
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let kind = words.next()?;
            (name.eq_ignore_ascii_case(wanted) && kind.starts_with("REG_"))
                .then(|| words.collect::<Vec<_>>().join(" "))
        })
    };
    let by_script = value("AutoConfigURL").is_some_and(|url| !url.is_empty());
    let enabled = value("ProxyEnable").is_some_and(|value| value.trim_start_matches("0x") == "1");
    let Some(server) = value("ProxyServer").filter(|server| enabled && !server.is_empty()) else {
        return SystemProxy {
            by_script,
            ..SystemProxy::default()
        };
    };
    let of_kind = |kind: &str| {
        if !server.contains('=') {
            return Some(url(&server, None));
        }
        server.split(';').find_map(|part| {
            let (name, server) = part.split_once('=')?;
            (name.trim().eq_ignore_ascii_case(kind)).then(|| url(server.trim(), None))
        })
    };
    let bypass = value("ProxyOverride").unwrap_or_default();
    SystemProxy {
        https: of_kind("https"),
        http: of_kind("http"),
        bypass: bypass
            .split(';')
            .map(str::trim)
            .filter(|host| !host.is_empty())
            .take(MAX_BYPASSED)
            .map(str::to_owned)
            .collect(),
        by_script,
    }
}

fn url(host: &str, port: Option<&str>) -> String {
    let scheme = if host.contains("://") { "" } else { "http://" };
    match port {
        Some(port) => format!("{scheme}{host}:{port}"),
        None => format!("{scheme}{host}"),
    }
}

fn bounded(text: &str) -> &str {
    let end = (0..=text.len().min(MAX_ANSWER))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macos_settings_are_read() {
        let text = "<dictionary> {\n  ExceptionsList : <array> {\n    0 : *.local\n    1 : 169.254/16\n  }\n  \
                    FTPPassive : 1\n  HTTPEnable : 0\n  HTTPPort : 3128\n  HTTPProxy : old.example.com\n  \
                    HTTPSEnable : 1\n  HTTPSPort : 8080\n  HTTPSProxy : proxy.example.com\n  \
                    ProxyAutoConfigEnable : 0\n}\n";
        let wanted = SystemProxy {
            https: Some("http://proxy.example.com:8080".to_owned()),
            http: None,
            bypass: vec!["*.local".to_owned(), "169.254/16".to_owned()],
            by_script: false,
        };
        assert_eq!(of_scutil(text), wanted);
        let none = "<dictionary> {\n  HTTPEnable : 0\n  ProxyAutoConfigEnable : 1\n}\n";
        assert!(of_scutil(none).by_script);
        assert_eq!(of_scutil(""), SystemProxy::default());
    }

    #[test]
    fn windows_settings_are_read() {
        let head = "\r\nHKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\r\n    \
                    CertificateRevocation    REG_DWORD    0x1\r\n";
        let one = format!(
            "{head}    ProxyEnable    REG_DWORD    0x1\r\n    ProxyServer    REG_SZ    proxy:8080\r\n    \
             ProxyOverride    REG_SZ    *.corp;10.*;<local>\r\n"
        );
        let wanted = SystemProxy {
            https: Some("http://proxy:8080".to_owned()),
            http: Some("http://proxy:8080".to_owned()),
            bypass: ["*.corp", "10.*", "<local>"].map(str::to_owned).into(),
            by_script: false,
        };
        assert_eq!(of_registry(&one), wanted);
        let several = format!(
            "{head}    ProxyEnable    REG_DWORD    0x1\r\n    ProxyServer    REG_SZ    http=a:80;https=b:81\r\n"
        );
        let found = of_registry(&several);
        assert_eq!(
            (found.http.as_deref(), found.https.as_deref()),
            (Some("http://a:80"), Some("http://b:81"))
        );
        let off = one.replace(
            "ProxyEnable    REG_DWORD    0x1",
            "ProxyEnable    REG_DWORD    0x0",
        );
        assert_eq!(of_registry(&off), SystemProxy::default());
        let script = format!("{head}    AutoConfigURL    REG_SZ    http://x/p.pac\r\n");
        assert!(of_registry(&script).by_script);
    }
}
