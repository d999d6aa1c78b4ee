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
