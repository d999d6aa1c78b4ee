//! The guest half of the device tests: a tiny /init that does what the host half asks.
//!
//! Built by the tests with a bare `rustc` (static, no crate but kiln-mux), so it declares the few C
//! functions it needs. It dials the host like the real agent, says `hello <token>`, then obeys one-line commands:
//!
//! ```text
//! echo N          N bytes come, and go back unchanged
//! send N W        send N bytes in writes of W bytes
//! recv N          N bytes come; answers `got N`
//! dial K          open another stream that says `stream K` and then obeys commands too
//! read PATH       read a file in the share; answers `read LEN SUM MICROSECONDS`
//! list            answers the names in the share's layers, then an empty line
//! write PATH      try to create and to write a file in the share; answers the error number
//! scratch N       write N bytes to the scratch disk; answers `wrote N` or the error number
//! panic | reboot | close
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kiln_mux::{MAX_REPLY, MAX_REQUEST, Mux, SHARE_PORT, STREAMS_PORT, Stream, read_prefixed};

unsafe extern "C" {
    fn socket(domain: i32, kind: i32, protocol: i32) -> i32;
    fn connect(fd: i32, address: *const SockaddrVm, len: u32) -> i32;
    fn mount(from: *const u8, to: *const u8, kind: *const u8, flags: u64, data: *const u8) -> i32;
    fn reboot(command: i32) -> i32;
}

#[repr(C)]
struct SockaddrVm {
    family: u16,
    reserved: u16,
    port: u32,
    cid: u32,
    flags: u8,
    zero: [u8; 3],
}

const AF_VSOCK: i32 = 40;
const SOCK_STREAM: i32 = 1;
const HOST: u32 = 2;
const PORT: u32 = 1024;
const MS_RDONLY: u64 = 1;

/// The token of this boot.
static TOKEN: OnceLock<String> = OnceLock::new();

/// The link, where streams share a port.
static LINK: OnceLock<Mux> = OnceLock::new();

fn main() {
    mount_at("/proc", "proc", "proc", 0);
    mount_at("/dev", "devtmpfs", "dev", 0);
    let command_line = std::fs::read_to_string("/proc/cmdline").unwrap();
    let token = command_line.split_whitespace().find_map(|word| word.strip_prefix("kiln.token="));
    TOKEN.set(token.unwrap_or("none").to_owned()).unwrap();
    if command_line.contains("kiln.link=serial") {
        mount_at("/sys", "sysfs", "sys", 0);
        let mut port = open_port(STREAMS_PORT);
        let mux = Mux::new(port.try_clone().unwrap());
        LINK.set(mux.clone()).unwrap();
        std::thread::spawn(move || println!("the link has ended: {:?}", mux.run(&mut port, None)));
    }
    let mut control = dial();
    write!(control, "hello {}\n", TOKEN.wait()).unwrap();
    obey(control);
    restart();
}

/// One stream to the host.
#[derive(Clone)]
enum Wire {
    Socket(std::sync::Arc<File>),
    Stream(Stream),
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Socket(file) => (&**file).read(buf),
            Self::Stream(stream) => stream.read(buf),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Socket(file) => (&**file).write(data),
            Self::Stream(stream) => stream.write(data),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn dial() -> Wire {
    match LINK.get() {
        Some(link) => Wire::Stream(link.dial().unwrap()),
        None => Wire::Socket(dial_vsock().into()),
    }
}

/// Opens the port of this name and says the token on it.
fn open_port(name: &str) -> File {
    let named = |path: &Path| {
        std::fs::read_to_string(path.join("name")).is_ok_and(|told| told.trim_end() == name)
    };
    let find = || -> Option<PathBuf> {
        let ports = std::fs::read_dir("/sys/class/virtio-ports").ok()?;
        let mut paths = ports.flatten().map(|port| port.path());
        paths.find(|path| named(path))
    };
    let device = loop {
        match find() {
            Some(path) => break Path::new("/dev").join(path.file_name().unwrap()),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut port = File::options().read(true).write(true).open(device).unwrap();
    port.write_all(TOKEN.wait().as_bytes()).unwrap();
    port
}

/// Mounts the share of the port, and carries the kernel's requests.
fn mount_port(place: &str) {
    let port = open_port(SHARE_PORT);
    let kernel = File::options().read(true).write(true).open("/dev/fuse").unwrap();
    let options = format!("fd={},rootmode=40555,user_id=0,group_id=0\0", kernel.as_raw_fd());
    std::fs::create_dir_all(place).unwrap();
    mount_with(place, "fuse", "kiln", MS_RDONLY, options.as_ptr());
    let (mut requests, mut to_host) = (kernel.try_clone().unwrap(), port.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut request = vec![0; MAX_REQUEST];
        loop {
            let len = requests.read(&mut request).unwrap();
            to_host.write_all(&request[..len]).unwrap();
        }
    });
    let (mut replies, mut from_host) = (kernel, port);
    std::thread::spawn(move || {
        let mut reply = Vec::new();
        while read_prefixed(&mut from_host, &mut reply, MAX_REPLY).unwrap() {
            replies.write_all(&reply).unwrap();
        }
    });
}

fn dial_vsock() -> File {
    let address = SockaddrVm {
        family: AF_VSOCK as u16,
        reserved: 0,
        port: PORT,
        cid: HOST,
        flags: 0,
        zero: [0; 3],
    };
    // SAFETY: plain system calls; the address lives across the call and its length is its size.
    let (fd, failed) = unsafe {
        let fd = socket(AF_VSOCK, SOCK_STREAM, 0);
        (fd, connect(fd, &address, size_of::<SockaddrVm>() as u32) != 0)
    };
    assert!(fd >= 0 && !failed, "cannot dial the host: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor was just made and nobody else has it.
    unsafe { File::from_raw_fd(fd) }
}

fn mount_at(path: &str, kind: &str, source: &str, flags: u64) {
    let _ = std::fs::create_dir_all(path);
    mount_with(path, kind, source, flags, std::ptr::null());
}

/// `options` is null or ends in NUL.
fn mount_with(path: &str, kind: &str, source: &str, flags: u64, options: *const u8) {
    let c = |text: &str| format!("{text}\0");
    // SAFETY: all strings end in NUL and live across the call.
    let result = unsafe {
        mount(c(source).as_ptr(), c(path).as_ptr(), c(kind).as_ptr(), flags, options)
    };
    if result != 0 {
        println!("mount {path}: {}", std::io::Error::last_os_error());
    }
}

fn restart() -> ! {
    const RESTART: i32 = 0x0123_4567;
    // SAFETY: no memory is involved.
    unsafe { reboot(RESTART) };
    unreachable!("the machine restarts");
}

fn share() {
    if !std::path::Path::new("/share/layers").exists() {
        match LINK.get() {
            Some(_) => mount_port("/share"),
            None => mount_at("/share", "virtiofs", "kiln", MS_RDONLY),
        }
    }
}

fn obey(mut stream: Wire) {
    let mut lines = BufReader::new(stream.clone());
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| -> usize { words[at].parse().unwrap() };
        match words[0] {
            "echo" => {
                let mut data = vec![0; number(1)];
                lines.read_exact(&mut data).unwrap();
                stream.write_all(&data).unwrap();
            }
            "send" => send(&mut stream, number(1), number(2)),
            "recv" => {
                let got = std::io::copy(&mut lines.by_ref().take(number(1) as u64), &mut Count(0));
                writeln!(stream, "got {}", got.unwrap()).unwrap();
            }
            "dial" => {
                let name = words[1].to_owned();
                std::thread::spawn(move || {
                    let mut stream = dial();
                    writeln!(stream, "stream {name}").unwrap();
                    obey(stream);
                });
            }
            "read" => read(&mut stream, words[1]),
            "list" => {
                share();
                for entry in std::fs::read_dir("/share/layers").unwrap() {
                    writeln!(stream, "{}", entry.unwrap().file_name().display()).unwrap();
                }
                writeln!(stream).unwrap();
            }
            "write" => {
                share();
                let path = format!("/share/{}", words[1]);
                let outcome = File::options().write(true).open(&path).and_then(|mut file| {
                    let _ = file.as_raw_fd();
                    file.write_all(b"x")
                });
                let number = outcome.err().and_then(|error| error.raw_os_error()).unwrap_or(0);
                writeln!(stream, "{number}").unwrap();
            }
            "scratch" => scratch(&mut stream, number(1)),
            "panic" => panic!("asked to"),
            "reboot" => restart(),
            "close" => return,
            other => panic!("unknown command {other}"),
        }
    }
}

fn send(stream: &mut Wire, total: usize, write: usize) {
    let data: Vec<u8> = (0..write).map(|i| (i % 251) as u8).collect();
    let mut left = total;
    while left > 0 {
        let now = left.min(write);
        stream.write_all(&data[..now]).unwrap();
        left -= now;
    }
}

fn read(stream: &mut Wire, path: &str) {
    share();
    let start = Instant::now();
    let mut file = File::open(format!("/share/{path}")).unwrap();
    let mut buf = vec![0; 1 << 20];
    let (mut len, mut sum) = (0usize, 0u64);
    loop {
        let read = file.read(&mut buf).unwrap();
        if read == 0 {
            break;
        }
        len += read;
        // One byte a page keeps the sum cheap under emulation and still sees misplaced pages.
        sum = buf[..read].iter().step_by(4096).fold(sum, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
        });
    }
    writeln!(stream, "read {len} {sum} {}", start.elapsed().as_micros()).unwrap();
}

fn scratch(stream: &mut Wire, total: usize) {
    if !std::path::Path::new("/scratch/lost+found").exists() {
        mount_at("/scratch", "ext4", "/dev/vda", 0);
    }
    let write = || -> std::io::Result<()> {
        let mut file = File::create("/scratch/data")?;
        let data = vec![b's'; 1 << 20];
        let mut left = total;
        while left > 0 {
            let now = left.min(data.len());
            file.write_all(&data[..now])?;
            left -= now;
        }
        file.sync_all()
    };
    match write() {
        Ok(()) => writeln!(stream, "wrote {total}"),
        Err(error) => writeln!(stream, "{}", error.raw_os_error().unwrap_or(-1)),
    }
    .unwrap();
}

/// Counts what it is given.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0 += data.len() as u64;
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
