//! A limit on the frames that a client sends over a WebSocket. Every frame counts, even if it
//! completes no message, as in a message that never ends.

use std::io::{self, Cursor};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

/// Frames per second of a client; bursts may have twice as many.
const FRAMES: NonZeroU32 = match NonZeroU32::new(20) {
    Some(rate) => rate,
    None => NonZeroU32::MIN,
};

/// Longest header of a frame, in bytes.
const LONGEST_HEADER: usize = 14;

/// A connection that fails if its client sends too many frames.
pub(super) struct Counted<S> {
    connection: S,
    frames: Frames,
    limiter: DefaultDirectRateLimiter,
}

impl<S> Counted<S> {
    pub(super) fn new(connection: S) -> Self {
        let quota = Quota::per_second(FRAMES).allow_burst(FRAMES.saturating_add(FRAMES.get()));
        Self {
            connection,
            frames: Frames::default(),
            limiter: RateLimiter::direct(quota),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.connection).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        let Some(frames) = NonZeroU32::new(this.frames.count(read)) else {
            return Poll::Ready(Ok(()));
        };
        match this.limiter.check_n(frames) {
            Ok(Ok(())) => Poll::Ready(Ok(())),
            // Too fast, or more at once than the limit ever allows.
            Ok(Err(_)) | Err(_) => Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().connection).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(context)
    }
}

/// Parser state: the position within the sequence of frames.
#[derive(Debug, Default)]
struct Frames {
    /// The beginning of a header.
    header: [u8; LONGEST_HEADER],
    filled: usize,
    /// Bytes of the content still to come.
    content: u64,
}

impl Frames {
    /// Returns the number of frames whose headers end in these bytes.
    fn count(&mut self, mut bytes: &[u8]) -> u32 {
        let mut frames = 0;
        while !bytes.is_empty() {
            let content = usize::try_from(self.content).unwrap_or(usize::MAX);
            let passed = content.min(bytes.len());
            self.content -= u64::try_from(passed).unwrap_or(u64::MAX);
            bytes = bytes.get(passed..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            if let Some(place) = self.header.get_mut(self.filled) {
                *place = *byte;
                self.filled += 1;
            }
            let header = self.header.get(..self.filled).unwrap_or_default();
            match FrameHeader::parse(&mut Cursor::new(header)) {
                Ok(None) => {}
                Ok(Some((_, content))) => {
                    frames += 1;
                    self.filled = 0;
                    self.content = content;
                }
                // The WebSocket reader finds the same error and ends the connection.
                Err(_) => {
                    frames += 1;
                    self.filled = 0;
                }
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::*;

    /// Frames with contents of these lengths, masked as a client masks them.
    fn sent(lengths: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for length in lengths {
            let content = vec![0x81_u8; *length];
            let mut frame = Frame::message(content.clone(), OpCode::Data(Data::Continue), false);
            frame.header_mut().mask = Some([1, 2, 3, 4]);
            let length = u64::try_from(*length).unwrap();
            frame.header().format(length, &mut bytes).unwrap();
            bytes.extend(content);
        }
        bytes
    }

    proptest! {
        #[test]
        fn every_frame_counts_once_however_it_is_cut(
            lengths in prop::collection::vec(prop_oneof![0_usize..200, 60_000_usize..70_000], 0..12),
            cut in 1_usize..2_000,
        ) {
            let mut frames = Frames::default();
            let bytes = sent(&lengths);
            let counts = bytes.chunks(cut).map(|part| frames.count(part));
            prop_assert_eq!(counts.sum::<u32>(), u32::try_from(lengths.len()).unwrap());
        }
    }
}
