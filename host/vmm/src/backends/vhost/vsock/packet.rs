//! The header of a virtio-vsock packet.
//!
//! ```text
//! src_cid u64 | dst_cid u64 | src_port u32 | dst_port u32 | len u32 | type u16 | op u16 | flags u32
//! | buf_alloc u32 | fwd_cnt u32                                             44 bytes, little endian
//! ```

/// Length of the header.
pub(crate) const HEADER_LEN: usize = 44;

/// Most payload of one packet, either way; Linux sends no more.
pub(crate) const MAX_PAYLOAD: usize = 64 << 10;

/// The only socket type served: a byte stream.
pub(crate) const TYPE_STREAM: u16 = 1;

/// `flags` of a SHUTDOWN: the sender of the packet will receive no more.
pub(crate) const SHUTDOWN_RECEIVE: u32 = 1;

/// `flags` of a SHUTDOWN: the sender of the packet will send no more.
pub(crate) const SHUTDOWN_SEND: u32 = 2;

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Op {
    Request = 1,
    Response = 2,
    Reset = 3,
    Shutdown = 4,
    Data = 5,
    CreditUpdate = 6,
    CreditRequest = 7,
}

impl Op {
    fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Reset,
            4 => Self::Shutdown,
            5 => Self::Data,
            6 => Self::CreditUpdate,
            7 => Self::CreditRequest,
            _ => return None,
        })
    }
}

/// A header, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) src_cid: u64,
    pub(crate) dst_cid: u64,
    pub(crate) src_port: u32,
    pub(crate) dst_port: u32,
    pub(crate) len: u32,
    pub(crate) kind: u16,
    /// `None`: a number that means nothing.
    pub(crate) op: Option<Op>,
    pub(crate) flags: u32,
    /// Size of the sender's receive buffer.
    pub(crate) buf_alloc: u32,
    /// Bytes that the sender has taken out of it so far, modulo 2³².
    pub(crate) fwd_cnt: u32,
}

impl Header {
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN]) -> Self {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        Self {
            src_cid: u64_at(0),
            dst_cid: u64_at(8),
            src_port: u32_at(16),
            dst_port: u32_at(20),
            len: u32_at(24),
            kind: u16_at(28),
            op: Op::from_number(u16_at(30)),
            flags: u32_at(32),
            buf_alloc: u32_at(36),
            fwd_cnt: u32_at(40),
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..8].copy_from_slice(&self.src_cid.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.dst_cid.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.src_port.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.dst_port.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.len.to_le_bytes());
        bytes[28..30].copy_from_slice(&self.kind.to_le_bytes());
        bytes[30..32].copy_from_slice(&self.op.map_or(0, |op| op as u16).to_le_bytes());
        bytes[32..36].copy_from_slice(&self.flags.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.buf_alloc.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.fwd_cnt.to_le_bytes());
        bytes
    }

    /// The header of an answer to this packet, without payload or credit.
    pub(crate) fn answer(&self, op: Op) -> Self {
        Self {
            src_cid: self.dst_cid,
            dst_cid: self.src_cid,
            src_port: self.dst_port,
            dst_port: self.src_port,
            len: 0,
            kind: self.kind,
            op: Some(op),
            flags: 0,
            buf_alloc: 0,
            fwd_cnt: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_survives_its_bytes() {
        let bytes: [u8; HEADER_LEN] = std::array::from_fn(|i| i as u8 + 1);
        let header = Header::parse(&bytes);
        assert_eq!(header.src_port, 0x1413_1211);
        assert_eq!(header.op, None);
        let known = Header {
            op: Some(Op::Shutdown),
            ..header
        };
        assert_eq!(Header::parse(&known.to_bytes()), known);
    }
}
