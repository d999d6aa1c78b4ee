//! EXPOSE: `[ip:][host:]port[-port][/protocol]`. Only the container's ports and the protocol count.

use std::net::IpAddr;

/// The `port/protocol` entries that `spec` stands for; `None` when it is invalid.
pub(super) fn parse(spec: &str) -> Option<Vec<String>> {
    let (left, container) = spec
        .rsplit_once(':')
        .map_or((None, spec), |(left, port)| (Some(left), port));
    let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_lowercase().as_str() {
        "" => "tcp",
        "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return None,
    };
    let (first, last) = range(ports)?;
    if let Some(left) = left {
        check_host(left, last - first)?;
    }
    Some(
        (first..=last)
            .map(|port| format!("{port}/{protocol}"))
            .collect(),
    )
}

/// `[ip:]port[-port]`, whose range must be as wide as the container's unless that is one port.
fn check_host(text: &str, width: u16) -> Option<()> {
    let (ip, port) = text
        .rsplit_once(':')
        .map_or((None, text), |(ip, port)| (Some(ip), port));
    if let Some(ip) = ip.filter(|ip| !ip.is_empty()) {
        let ip = ip
            .strip_prefix('[')
            .and_then(|ip| ip.strip_suffix(']'))
            .unwrap_or(ip);
        ip.parse::<IpAddr>().ok()?;
    }
    if port.is_empty() {
        return Some(());
    }
    let (first, last) = range(port)?;
    (width == 0 || last - first == width).then_some(())
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn ports_are_read_as_docker_reads_them() {
        let cases: [(&str, Option<&[&str]>); 14] = [
            ("80", Some(&["80/tcp"])),
            ("53/UDP", Some(&["53/udp"])),
            (
                "1000-1002/sctp",
                Some(&["1000/sctp", "1001/sctp", "1002/sctp"]),
            ),
            ("8080:80", Some(&["80/tcp"])),
            ("127.0.0.1:8080:80/tcp", Some(&["80/tcp"])),
            ("127.0.0.1::80", Some(&["80/tcp"])),
            ("[::1]:1:2", Some(&["2/tcp"])),
            ("", None),
            ("/tcp", None),
            ("80/quic", None),
            ("70000", None),
            ("20-10", None),
            ("1-3:5-6", None),
            ("host:1:2", None),
        ];
        for (spec, expected) in cases {
            let expected = expected.map(|ports| {
                ports
                    .iter()
                    .map(|port| (*port).to_owned())
                    .collect::<Vec<_>>()
            });
            assert_eq!(parse(spec), expected, "{spec}");
        }
    }
}
