//! The virtio-fs device: carries FUSE requests from the guest's queue to the share and back.

use std::io::{self, Read, Write};
use std::sync::Arc;

use kiln_share::{MAX_READ, MAX_REQUEST, OUT_HEADER_LEN, Server};
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost_user_backend::{VhostUserBackendMut, VringRwLock, VringT};
use virtio_queue::QueueT;
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

use super::{Memory, broken_ring, common_features};

/// High-priority queue (FORGET, INTERRUPT) and one request queue.
const QUEUES: usize = 2;

/// Descriptors of one queue: 256 pages of a read and its headers fit.
pub(super) const QUEUE_SIZE: usize = 1024;

/// The state of the device.
#[derive(Debug)]
pub(super) struct Fs {
    share: Arc<Server>,
    memory: Option<Memory>,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Fs {
    pub(super) fn new(share: Arc<Server>) -> Self {
        let reply = Vec::with_capacity(OUT_HEADER_LEN + MAX_READ as usize);
        Self {
            share,
            memory: None,
            request: Vec::with_capacity(MAX_REQUEST),
            reply,
        }
    }

    /// Answers what is queued; tells whether anything was, and whether more has come since.
    fn answer(&mut self, memory: &Memory, vring: &VringRwLock) -> io::Result<(bool, bool)> {
        let memory = memory.memory();
        let mut answered = false;
        loop {
            let popped = vring
                .get_mut()
                .get_queue_mut()
                .pop_descriptor_chain(memory.clone());
            let Some(chain) = popped else { break };
            answered = true;
            let head = chain.head_index();
            let mut written = 0;
            // A chain that points nowhere is the guest's own loss.
            if let (Ok(reader), Ok(mut writer)) =
                (chain.clone().reader(&memory), chain.writer(&memory))
            {
                self.request.clear();
                let _ = reader
                    .take(MAX_REQUEST as u64)
                    .read_to_end(&mut self.request);
                let room = writer.available_bytes();
                self.share.handle(&self.request, room, &mut self.reply);
                written = writer
                    .write_all(&self.reply)
                    .map_or(0, |()| self.reply.len());
            }
            let mut vring = vring.get_mut();
            vring
                .add_used(head, written as u32)
                .map_err(io::Error::other)?;
            if vring.needs_notification().map_err(io::Error::other)? {
                vring.signal_used_queue()?;
            }
        }
        let more = vring
            .get_mut()
            .enable_notification()
            .map_err(io::Error::other)?;
        Ok((answered, more))
    }
}

impl VhostUserBackendMut for Fs {
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
        VhostUserProtocolFeatures::MQ
    }

    fn set_event_idx(&mut self, _enabled: bool) {}

    fn update_memory(&mut self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> io::Result<()> {
        self.memory = Some(memory);
        Ok(())
    }

    fn handle_event(
        &mut self,
        event: u16,
        _events: EventSet,
        vrings: &[VringRwLock],
        _thread: usize,
    ) -> io::Result<()> {
        let (Some(memory), Some(vring)) = (self.memory.clone(), vrings.get(usize::from(event)))
        else {
            return Ok(());
        };
        let mut promised = false;
        loop {
            let (answered, more) = self.answer(&memory, vring)?;
            if promised && !answered {
                return Err(broken_ring());
            }
            if !answered && !more {
                return Ok(());
            }
            promised = more;
        }
    }
}
