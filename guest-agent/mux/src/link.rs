//! The link: one writer, one table of streams, and the loop that takes what the peer sends.
//!
//! Locks are taken in the order writer, table, stream. The loop that reads takes no writer's lock, so it never waits
//! for the peer to read: two sides that both send bulk cannot block each other.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::MuxError;
use crate::frame::{HEADER_LEN, Header, Kind, MAX_PAYLOAD};
use crate::state::{State, Violation};
use crate::stream::Stream;
use crate::{MAX_DIALLED, MAX_STREAMS};

/// Many byte streams over one port. Clones are handles of the same link.
#[derive(Clone)]
pub struct Mux(pub(crate) Arc<Link>);

/// What all streams of a link share.
pub(crate) struct Link {
    writer: Mutex<Writer>,
    table: Mutex<Table>,
    /// Streams of which anything is still held.
    live: Arc<AtomicUsize>,
}

struct Writer {
    port: Box<dyn Write + Send>,
    /// One whole frame, so that it is one write.
    frame: Vec<u8>,
}

#[derive(Default)]
struct Table {
    open: HashMap<u32, Arc<Cell>>,
    /// Number of the latest stream.
    last: u32,
    ended: bool,
}

/// One stream.
pub(crate) struct Cell {
    pub(crate) number: u32,
    state: Mutex<State>,
    changed: Condvar,
    live: Arc<AtomicUsize>,
}

impl Cell {
    fn new(number: u32, live: &Arc<AtomicUsize>) -> Arc<Self> {
        live.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            number,
            state: Mutex::new(State::new()),
            changed: Condvar::new(),
            live: Arc::clone(live),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `ready` to give something.
    pub(crate) fn wait<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.state();
        loop {
            if let Some(value) = ready(&mut state) {
                return value;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Changes the state and wakes whoever waits for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.notify_all();
        result
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Mux {
    /// A link that writes to `port`. It lives while [`Mux::run`] does.
    #[must_use]
    pub fn new(port: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Link {
            writer: Mutex::new(Writer {
                port: Box::new(port),
                frame: Vec::with_capacity(HEADER_LEN + MAX_PAYLOAD),
            }),
            table: Mutex::default(),
            live: Arc::default(),
        }))
    }

    /// Opens a stream. The peer takes it for granted: no answer is waited for.
    ///
    /// # Errors
    /// `QuotaExceeded` when [`MAX_DIALLED`] are open, `NotConnected` when the link has ended, or the port's own.
    pub fn dial(&self) -> io::Result<Stream> {
        // Held throughout, so that streams are opened in the order of their numbers.
        let mut writer = self.0.writer();
        let cell = {
            let mut table = self.0.table();
            if table.ended {
                return Err(io::ErrorKind::NotConnected.into());
            }
            if table.open.len() >= MAX_DIALLED {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            let number = table
                .last
                .checked_add(1)
                .ok_or(io::ErrorKind::QuotaExceeded)?;
            table.last = number;
            let cell = Cell::new(number, &self.0.live);
            table.open.insert(number, Arc::clone(&cell));
            cell
        };
        writer.send(Kind::Open, cell.number, &[])?;
        Ok(Stream::new(Arc::clone(&self.0), cell))
    }

    /// Takes what the peer sends until the port ends, and hands each stream that the peer opens to `accept`; without one
    /// the peer must not open any. When it returns, every stream ends: what came before can still be read.
    ///
    /// # Errors
    /// What the peer did wrong, the port's failure, or what `accept` says.
    pub fn run(
        &self,
        port: &mut impl Read,
        accept: Option<&mut dyn FnMut(Stream) -> io::Result<()>>,
    ) -> Result<(), MuxError> {
        let result = self.take_frames(port, accept);
        self.end();
        result
    }

    fn take_frames(
        &self,
        port: &mut impl Read,
        mut accept: Option<&mut dyn FnMut(Stream) -> io::Result<()>>,
    ) -> Result<(), MuxError> {
        let mut payload = vec![0; MAX_PAYLOAD];
        while let Some(header) = read_header(port)? {
            let payload = &mut payload[..header.len as usize];
            port.read_exact(payload).map_err(truncated)?;
            match (header.kind, &mut accept) {
                (Kind::Open, Some(accept)) => accept(self.opened(header.stream)?)?,
                (Kind::Open, None) => {
                    let stream = header.stream;
                    return Err(MuxError::BadOpen { stream });
                }
                _ => self.0.take(header, payload)?,
            }
        }
        Ok(())
    }

    /// A stream that the peer opened.
    fn opened(&self, number: u32) -> Result<Stream, MuxError> {
        let mut table = self.0.table();
        if table.last.checked_add(1) != Some(number) {
            return Err(MuxError::BadOpen { stream: number });
        }
        if self.0.live.load(Ordering::Relaxed) >= MAX_STREAMS {
            return Err(MuxError::TooManyStreams);
        }
        table.last = number;
        let cell = Cell::new(number, &self.0.live);
        table.open.insert(number, Arc::clone(&cell));
        drop(table);
        Ok(Stream::new(Arc::clone(&self.0), cell))
    }

    fn end(&self) {
        let cells: Vec<Arc<Cell>> = {
            let mut table = self.0.table();
            table.ended = true;
            table.open.drain().map(|(_, cell)| cell).collect()
        };
        for cell in cells {
            cell.change(State::end);
        }
    }
}

impl std::fmt::Debug for Mux {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let live = self.0.live.load(Ordering::Relaxed);
        f.debug_struct("Mux").field("live", &live).finish()
    }
}

impl Link {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a frame for a stream that should be there.
    fn take(&self, header: Header, payload: &[u8]) -> Result<(), MuxError> {
        let (stream, kind) = (header.stream, header.kind as u8);
        let (cell, last) = {
            let table = self.table();
            (table.open.get(&stream).cloned(), table.last)
        };
        let Some(cell) = cell else {
            // The peer may not know yet that its last word ended the stream.
            let late = matches!(header.kind, Kind::Credit | Kind::Stop);
            if late && (1..=last).contains(&stream) {
                return Ok(());
            }
            return Err(MuxError::NoSuchStream { kind, stream });
        };
        match header.kind {
            Kind::Data => cell
                .change(|state| state.take(payload))
                .map_err(|Violation| MuxError::Overrun { stream }),
            Kind::Close => {
                cell.change(State::take_close)
                    .map_err(|Violation| MuxError::Overrun { stream })?;
                self.forget_if_over(&cell);
                Ok(())
            }
            Kind::Credit => {
                let bytes = u32::from_le_bytes(payload.try_into().expect("its length was checked"));
                cell.change(|state| state.take_credit(bytes))
                    .map_err(|Violation| MuxError::Overcredit { stream })
            }
            Kind::Stop => {
                cell.change(State::take_stop);
                Ok(())
            }
            Kind::Open => Err(MuxError::BadOpen { stream }),
        }
    }

    fn forget_if_over(&self, cell: &Cell) {
        if cell.state().is_over() {
            self.table().open.remove(&cell.number);
        }
    }

    /// Sends data of a stream, unless it was closed meanwhile.
    pub(crate) fn send_data(&self, cell: &Cell, parts: &[&[u8]]) -> io::Result<()> {
        // The lock orders this before or after a Close.
        let mut writer = self.writer();
        if cell.state().is_deaf() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        writer.send(Kind::Data, cell.number, parts)
    }

    /// Lets the peer send more. One that is gone needs none.
    pub(crate) fn send_credit(&self, cell: &Cell, bytes: u32) {
        let _ = self
            .writer()
            .send(Kind::Credit, cell.number, &[&bytes.to_le_bytes()]);
    }

    /// This side sends no more. A peer that is gone need not know.
    pub(crate) fn close(&self, cell: &Cell) {
        let mut writer = self.writer();
        if !cell.change(|state| std::mem::replace(&mut state.closed, true)) {
            let _ = writer.send(Kind::Close, cell.number, &[]);
        }
        drop(writer);
        self.forget_if_over(cell);
    }

    /// This side takes no more.
    pub(crate) fn stop(&self, cell: &Cell) {
        if cell.change(State::stop) {
            let _ = self.writer().send(Kind::Stop, cell.number, &[]);
        }
    }
}

impl Writer {
    fn send(&mut self, kind: Kind, stream: u32, parts: &[&[u8]]) -> io::Result<()> {
        let len = parts.iter().map(|part| part.len()).sum::<usize>() as u32;
        let header = Header { len, stream, kind };
        self.frame.clear();
        self.frame.extend_from_slice(&header.encode());
        for part in parts {
            self.frame.extend_from_slice(part);
        }
        self.port.write_all(&self.frame)?;
        self.port.flush()
    }
}

/// The next header; `None` at a clean end.
fn read_header(port: &mut impl Read) -> Result<Option<Header>, MuxError> {
    let mut bytes = [0; HEADER_LEN];
    let first = loop {
        match port.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    port.read_exact(&mut bytes[first..]).map_err(truncated)?;
    Header::decode(bytes).map(Some)
}

fn truncated(error: io::Error) -> MuxError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        MuxError::Truncated
    } else {
        MuxError::Io(error)
    }
}
