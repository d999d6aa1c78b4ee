//! The virtio-vsock device: the guest dials the engine.
//!
//! One thread does all the work, so that nothing here needs a lock of its own: it wakes when the guest
//! kicks a queue or when a stream to the engine becomes ready.

mod connection;
mod mux;
mod packet;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kiln_platform::local_socket::LocalStream;
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost_user_backend::{VhostUserBackendMut, VringEpollHandler, VringRwLock, VringT};
use virtio_queue::{QueueOwnedT, QueueT, Reader};
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

use self::mux::{GUEST_CID, MAX_CONNECTIONS, Mux, Streams};
use self::packet::{HEADER_LEN, Header, MAX_PAYLOAD};
use super::{Memory, broken_ring, common_features};
use crate::vm::STREAM_SOCKET;

/// Receive (to the guest), transmit (from the guest), event. VMMs serve the last one themselves.
const QUEUES: usize = 3;
const TO_GUEST: usize = 0;
const FROM_GUEST: usize = 1;

/// Descriptors of one queue, as Linux guests are given.
pub(super) const QUEUE_SIZE: usize = 1024;

/// Packets handled in one direction before the other gets its turn.
const BATCH: usize = 64;

/// Events of queues and of the framework come below this number, those of streams from it on.
const FIRST_STREAM_EVENT: usize = QUEUES + 1;

/// The device, as the vhost-user framework holds it.
pub(super) type Shared = Arc<Mutex<Vsock>>;

type Watcher = Weak<VringEpollHandler<Shared>>;

/// The state of the device.
#[derive(Debug)]
pub(super) struct Vsock {
    mux: Mux<EngineStreams>,
    memory: Option<Memory>,
    buffer: Vec<u8>,
    /// The guest's queue was seen to hold packets that were not taken yet.
    promised: bool,
}

/// Streams to the socket that the engine listens on.
struct EngineStreams {
    directory: PathBuf,
    watcher: Option<Watcher>,
}

impl std::fmt::Debug for EngineStreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineStreams")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl EngineStreams {
    fn watcher(&self) -> io::Result<Arc<VringEpollHandler<Shared>>> {
        self.watcher
            .as_ref()
            .and_then(Weak::upgrade)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Changes of readiness only: each is noted and used up before the next is waited for.
fn watched_events() -> EventSet {
    EventSet::IN | EventSet::OUT | EventSet::READ_HANG_UP | EventSet::EDGE_TRIGGERED
}

impl Streams for EngineStreams {
    fn open(&mut self, slot: usize) -> io::Result<LocalStream> {
        let watcher = self.watcher()?;
        let stream = LocalStream::connect(&self.directory, STREAM_SOCKET)?;
        stream.set_nonblocking(true)?;
        let event = (FIRST_STREAM_EVENT + slot) as u64;
        watcher.register_listener(stream.as_raw_fd(), watched_events(), event)?;
        Ok(stream)
    }

    fn forget(&mut self, slot: usize, stream: &LocalStream) {
        if let Ok(watcher) = self.watcher() {
            let event = (FIRST_STREAM_EVENT + slot) as u64;
            // Closing the stream would end the watch as well.
            let _ = watcher.unregister_listener(stream.as_raw_fd(), watched_events(), event);
        }
    }
}

impl Vsock {
    /// A device whose streams go to the engine's socket in `directory`.
    pub(super) fn new(directory: PathBuf) -> Self {
        let streams = EngineStreams {
            directory,
            watcher: None,
        };
        Self {
            mux: Mux::new(streams),
            memory: None,
            buffer: vec![0; HEADER_LEN + MAX_PAYLOAD],
            promised: false,
        }
    }

    /// Tells the device where streams are watched.
    pub(super) fn watch_with(&mut self, watcher: &Arc<VringEpollHandler<Shared>>) {
        self.mux.streams().watcher = Some(Arc::downgrade(watcher));
    }

    /// Closes all streams and serves the guest no more.
    fn end(&mut self) {
        self.memory = None;
        self.mux.close_all();
    }

    /// Moves packets both ways until neither side has any or can take any.
    fn pump(&mut self, vrings: &[VringRwLock]) -> io::Result<()> {
        let Some(memory) = self.memory.clone() else {
            return Ok(());
        };
        loop {
            let taken = self.take_from_guest(&memory, &vrings[FROM_GUEST])?;
            let given = self.give_to_guest(&memory, &vrings[TO_GUEST])?;
            if !taken && !given {
                return Ok(());
            }
        }
    }

    /// Takes a batch of packets from the guest; false once there are none.
    fn take_from_guest(&mut self, memory: &Memory, vring: &VringRwLock) -> io::Result<bool> {
        let memory = memory.memory();
        let mut vring = vring.get_mut();
        let mut taken = 0;
        while taken < BATCH && self.mux.accepts() {
            let Some(chain) = vring.get_queue_mut().pop_descriptor_chain(memory.clone()) else {
                break;
            };
            let head = chain.head_index();
            // A chain that points nowhere is the guest's own loss.
            if let Ok(mut reader) = chain.reader(&memory) {
                self.take_packet(&mut reader);
            }
            vring.add_used(head, 0).map_err(io::Error::other)?;
            taken += 1;
        }
        if taken > 0 && vring.needs_notification().map_err(io::Error::other)? {
            vring.signal_used_queue()?;
        }
        if taken == 0 && self.mux.accepts() {
            if self.promised {
                return Err(broken_ring());
            }
            self.promised = vring.enable_notification().map_err(io::Error::other)?;
            return Ok(self.promised);
        }
        self.promised &= taken == 0;
        Ok(taken > 0)
    }

    fn take_packet(&mut self, reader: &mut Reader<'_>) {
        let mut bytes = [0; HEADER_LEN];
        if reader.read_exact(&mut bytes).is_err() {
            return;
        }
        let header = Header::parse(&bytes);
        // The payload may lie in any number of descriptors.
        let payload = &mut self.buffer[..(header.len as usize).min(MAX_PAYLOAD)];
        let mut filled = 0;
        while filled < payload.len() {
            match reader.read(&mut payload[filled..]) {
                Ok(read) if read > 0 => filled += read,
                _ => break,
            }
        }
        // A length that is not there makes the multiplexer reset the connection.
        self.mux.take(&header, &payload[..filled]);
    }

    /// Gives a batch of packets to the guest; false once there are none or the guest has no buffers.
    fn give_to_guest(&mut self, memory: &Memory, vring: &VringRwLock) -> io::Result<bool> {
        let memory = memory.memory();
        let mut vring = vring.get_mut();
        let mut given = 0;
        while given < BATCH {
            let Some(chain) = vring.get_queue_mut().pop_descriptor_chain(memory.clone()) else {
                break;
            };
            let head = chain.head_index();
            let Ok(mut writer) = chain.writer(&memory) else {
                vring.add_used(head, 0).map_err(io::Error::other)?;
                continue;
            };
            let room = writer.available_bytes().min(self.buffer.len());
            let len = self.mux.next_packet(&mut self.buffer[..room]);
            if len == 0 && room > HEADER_LEN {
                vring.get_queue_mut().go_to_previous_position();
                break;
            }
            // A buffer too small for any packet goes back empty.
            let written = writer.write_all(&self.buffer[..len]).map_or(0, |()| len);
            vring
                .add_used(head, written as u32)
                .map_err(io::Error::other)?;
            given += 1;
        }
        if given > 0 && vring.needs_notification().map_err(io::Error::other)? {
            vring.signal_used_queue()?;
        }
        if given == 0 {
            vring.enable_notification().map_err(io::Error::other)?;
        }
        Ok(given > 0)
    }
}

/// Closes all streams; the VMM is gone.
pub(super) fn close(device: &Shared) {
    let mut device = device.lock().unwrap_or_else(PoisonError::into_inner);
    device.end();
}

impl VhostUserBackendMut for Vsock {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        QUEUES
    }

    fn max_queue_size(&self) -> usize {
        QUEUE_SIZE
    }

    fn features(&self) -> u64 {
        common_features()
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::MQ | VhostUserProtocolFeatures::CONFIG
    }

    fn set_event_idx(&mut self, _enabled: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = GUEST_CID.to_le_bytes();
        let (start, end) = (
            offset as usize,
            (offset as usize).saturating_add(size as usize),
        );
        config
            .get(start..end)
            .map(<[u8]>::to_vec)
            .unwrap_or_default()
    }

    fn update_memory(&mut self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        self.memory = Some(memory);
        Ok(())
    }

    fn handle_event(
        &mut self,
        event: u16,
        events: EventSet,
        vrings: &[VringRwLock],
        _thread: usize,
    ) -> io::Result<()> {
        if let Some(slot) = usize::from(event).checked_sub(FIRST_STREAM_EVENT) {
            let hung_up = events.intersects(EventSet::HANG_UP | EventSet::ERROR);
            let readable = events.intersects(EventSet::IN | EventSet::READ_HANG_UP);
            debug_assert!(slot < MAX_CONNECTIONS);
            self.mux
                .note_readiness(slot, readable, events.contains(EventSet::OUT), hung_up);
        }
        let pumped = self.pump(vrings);
        if pumped.is_err() {
            // The thread ends with this error: a guest that broke its own queues has no streams.
            self.end();
        }
        pumped
    }
}
