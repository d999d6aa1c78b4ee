//! What is fetched from servers: whom Kiln trusts, and through which proxy it goes.

mod environment;
mod servers;

use environment::{Finished, TestEnvironment};
use servers::{HttpsServer, TunnelProxy};

fn add(env: &TestEnvironment, url: &str, variables: &[(&str, &str)]) -> Finished {
    env.write("ctx/Dockerfile", format!("FROM scratch\nADD {url} /file\n"));
    env.command(&["build", "-q", "ctx"])
        .envs(variables.iter().copied())
        .output()
        .expect("kiln starts")
        .into()
}

#[test]
fn only_certificates_of_known_authorities_are_trusted() {
    let env = TestEnvironment::new();
    let server = HttpsServer::start(&["localhost"], "200 OK", "content");
    let url = format!("https://localhost:{}/file", server.address.port());
    let told = add(&env, &url, &[]).failure(1);
    assert!(told.contains("cannot fetch"), "{told}");
    let ca = env.write("ca.pem", "");
    server.write_ca(&ca);
    let ca = ca.to_str().expect("UTF-8");
    add(&env, &url, &[("SSL_CERT_FILE", ca)]).stdout();
    let told = add(&env, &url, &[("SSL_CERT_FILE", "/nowhere/ca.pem")]).failure(2);
    assert!(told.contains("/nowhere/ca.pem"), "{told}");
}

/// Where the system's store is files, a folder of them can be named.
#[cfg(target_os = "linux")]
#[test]
fn the_systems_trust_store_is_asked() {
    let env = TestEnvironment::new();
    let server = HttpsServer::start(&["localhost"], "200 OK", "content");
    let url = format!("https://localhost:{}/file", server.address.port());
    // The name is what OpenSSL's tools make: a hash and a number.
    server.write_ca(&env.write("certificates/01234567.0", ""));
    let folder = env.dir().join("certificates");
    let folder = folder.to_str().expect("UTF-8");
    add(&env, &url, &[("SSL_CERT_DIR", folder)]).stdout();
}

#[test]
fn https_goes_through_the_proxy_that_the_environment_names() {
    let env = TestEnvironment::new();
    let server = HttpsServer::start(&["files.test", "localhost"], "200 OK", "content");
    let proxy = TunnelProxy::start(server.address);
    let ca = env.write("ca.pem", "");
    server.write_ca(&ca);
    let ca = ca.to_str().expect("UTF-8");
    let proxy_url = format!("http://{}", proxy.address);
    let variables = [("SSL_CERT_FILE", ca), ("https_proxy", proxy_url.as_str())];
    add(&env, "https://files.test/file", &variables).stdout();
    assert_eq!(proxy.asked(), ["CONNECT files.test:443 HTTP/1.1"]);
    // This machine itself is never asked for through a proxy.
    let url = format!("https://localhost:{}/file", server.address.port());
    add(&env, &url, &variables).stdout();
    assert_eq!(proxy.asked().len(), 1);
    let direct = [variables[0], variables[1], ("NO_PROXY", "test")];
    add(&env, "https://files.test/other", &direct).failure(1);
    assert_eq!(proxy.asked().len(), 1, "a name that no resolver knows");
}

#[test]
fn a_proxy_that_is_no_url_is_a_mistake_of_the_settings() {
    let env = TestEnvironment::new();
    let told = add(
        &env,
        "https://files.test/x",
        &[("HTTPS_PROXY", "gopher://x")],
    )
    .failure(2);
    assert!(told.contains("not a URL of the form"), "{told}");
}

fn doctor(env: &TestEnvironment, words: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = env.command(&["doctor"]);
    command.args(words).envs(variables.iter().copied());
    let output = command.output().expect("kiln starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn doctor_tells_whether_registries_can_be_reached() {
    let env = TestEnvironment::new();
    let login = HttpsServer::start(&["localhost"], "401 Unauthorized", "");
    let ca = env.write("ca.pem", "");
    login.write_ca(&ca);
    let ca = ca.to_str().expect("UTF-8");
    let secure = format!("https://localhost:{}", login.address.port());
    let none = servers::http_server("404 Not Found", "").to_string();
    let open = servers::http_server("200 OK", "{}").to_string();
    let words: Vec<&str> = [&secure, &none, &open]
        .into_iter()
        .flat_map(|host| ["--registry", host])
        .collect();
    let told = doctor(&env, &words, &[("SSL_CERT_FILE", ca)]);
    for line in [
        format!("ok       registry {secure}   {secure}/v2/ answers and wants a login"),
        format!(
            "broken   registry {none}            http://{none}/v2/ answers with status 404: it is no registry"
        ),
        format!("ok       registry {open}            http://{open}/v2/ answers"),
    ] {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain(&told).contains(&plain(&line)), "{line}\n{told}");
    }
    let told = doctor(&env, &["--registry", &secure], &[]);
    assert!(told.contains("broken   registry https"), "{told}");
}

#[test]
fn doctor_tells_whether_the_proxy_answers_and_never_its_password() {
    let env = TestEnvironment::new();
    let server = servers::http_server("200 OK", "");
    let url = format!("http://me:secret@{server}");
    let told = doctor(&env, &["--json"], &[("ALL_PROXY", &url)]);
    let report: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let proxy = |report: &serde_json::Value| {
        let findings = report["findings"].as_array().expect("findings");
        let found = findings.iter().find(|finding| finding["name"] == "proxy");
        found.map(|finding| finding["state"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(proxy(&report).as_deref(), Some("ok"));
    assert!(!told.contains("secret"), "{told}");
    let told = doctor(&env, &["--json"], &[("ALL_PROXY", "http://127.0.0.1:1")]);
    let report = serde_json::from_str(&told).expect("JSON");
    assert_eq!(proxy(&report).as_deref(), Some("warning"));
    let told = doctor(&env, &["--json"], &[]);
    let report = serde_json::from_str(&told).expect("JSON");
    assert_eq!(proxy(&report), None);
}

#[test]
fn doctor_asks_a_real_registry() {
    let env = TestEnvironment::new();
    let program = std::path::Path::new("/usr/bin/docker-registry");
    if !program.is_file() {
        println!("skipped: `docker-registry` is not installed");
        return;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("port")
        .port();
    let config = env.write(
        "registry.yml",
        format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            env.dir().join("registry").display()
        ),
    );
    let mut registry = std::process::Command::new(program)
        .arg("serve")
        .arg(config)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("registry starts");
    let host = format!("127.0.0.1:{port}");
    let mut told = String::new();
    for _ in 0..50 {
        told = doctor(&env, &["--registry", &host], &[]);
        if told.contains("/v2/ answers\n") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    registry.kill().expect("alive until now");
    registry.wait().expect("ends");
    assert!(told.contains("/v2/ answers\n"), "{told}");
}
