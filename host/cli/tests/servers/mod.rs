//! Small servers of one test: HTTPS with a private CA, and a proxy that tunnels.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// An HTTPS server that answers every request alike, and the certificate of the CA that vouches for it.
pub struct HttpsServer {
    /// Where it listens.
    pub address: SocketAddr,
    ca: String,
}

impl HttpsServer {
    /// Starts one for these names.
    pub fn start(names: &[&str], status: &'static str, body: &'static str) -> Self {
        let ca_key = KeyPair::generate().expect("key");
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).expect("certificate");
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().expect("key");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names)
            .and_then(|leaf| leaf.signed_by(&key, &issuer))
            .expect("certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("configuration");
        let config = Arc::new(config);
        let address = serve(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("connection");
            // A client that does not trust us hangs up, which is what some tests are about.
            let _ = answer(StreamOwned::new(connection, stream), status, body);
        });
        Self {
            address,
            ca: ca_certificate.pem(),
        }
    }

    /// Writes the CA's certificate.
    pub fn write_ca(&self, path: &Path) {
        std::fs::write(path, &self.ca).expect("certificate");
    }
}

/// A plain HTTP server that answers every request alike.
pub fn http_server(status: &'static str, body: &'static str) -> SocketAddr {
    serve(move |stream| {
        let _ = answer(stream, status, body);
    })
}

/// A proxy that connects every tunnel to the same server, whatever the name, and remembers what it was asked for.
pub struct TunnelProxy {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TunnelProxy {
    /// Starts one.
    pub fn start(target: SocketAddr) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        let address = serve(move |mut client| {
            let head = read_head(&mut client).expect("request");
            let first = head.lines().next().unwrap_or_default().to_owned();
            notes.lock().expect("no panic").push(first);
            let server = TcpStream::connect(target).expect("server");
            client
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
                .expect("answer");
            tunnel(client, server);
        });
        Self { address, asked }
    }

    /// First lines of all requests.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn tunnel(client: TcpStream, server: TcpStream) {
    let (mut from, mut to) = (
        client.try_clone().expect("clone"),
        server.try_clone().expect("clone"),
    );
    let up = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
    let _ = up.join();
}

/// Listens on a free port; each connection gets a thread that ends with the test.
fn serve(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("address");
    let handle = Arc::new(handle);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = Arc::clone(&handle);
            std::thread::spawn(move || handle(stream));
        }
    });
    address
}

fn read_head(stream: &mut impl Read) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn answer(mut stream: impl Read + Write, status: &str, body: &str) -> std::io::Result<()> {
    read_head(&mut stream)?;
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}
