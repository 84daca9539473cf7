//! A connection that presents text messages as binary ones.
//!
//! The WebSocket library closes a connection if a text is not UTF-8, and has no setting to change
//! this. It does not check binary messages, so that a damaged message costs only that message.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// End of the handshake response, after which frames begin.
const END_OF_ANSWER: u32 = u32::from_be_bytes(*b"\r\n\r\n");

/// Frame opcodes, the lower half of the first byte (RFC 6455, 5.2).
const KIND: u8 = 0x0f;
const TEXT: u8 = 0x01;
const BINARY: u8 = 0x02;

/// Client side of a connection, wrapped before the handshake.
#[derive(Debug)]
pub(super) struct AsBinary<S> {
    inner: S,
    place: Place,
}

/// Meaning of the next byte.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Part of the handshake response; the value holds the last four bytes.
    Answer(u32),
    /// First byte of a frame.
    Kind,
    /// Length of a frame, or the length of its length. The broker does not mask frames.
    Length,
    /// One of the `left` remaining bytes of an extended length; `length` is the value so far.
    Longer { left: u8, length: u64 },
    /// One of the remaining bytes of the payload, at least one.
    Payload(u64),
}

impl Place {
    fn payload(length: u64) -> Self {
        match length {
            0 => Self::Kind,
            length => Self::Payload(length),
        }
    }

    /// Consumes `byte`, changing it if it starts a text frame, and returns the next place.
    fn pass(self, byte: &mut u8) -> Self {
        match self {
            Self::Answer(last) => match (last << 8) | u32::from(*byte) {
                END_OF_ANSWER => Self::Kind,
                last => Self::Answer(last),
            },
            Self::Kind => {
                if *byte & KIND == TEXT {
                    *byte = (*byte & !KIND) | BINARY;
                }
                Self::Length
            }
            Self::Length => match *byte & 0x7f {
                126 => Self::Longer { left: 2, length: 0 },
                127 => Self::Longer { left: 8, length: 0 },
                length => Self::payload(length.into()),
            },
            Self::Longer { left, length } => {
                let length = (length << 8) | u64::from(*byte);
                match left.saturating_sub(1) {
                    0 => Self::payload(length),
                    left => Self::Longer { left, length },
                }
            }
            Self::Payload(left) => Self::payload(left.saturating_sub(1)),
        }
    }
}

impl<S> AsBinary<S> {
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            place: Place::Answer(0),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AsBinary<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buffer))?;
        for byte in buffer.filled_mut().iter_mut().skip(before) {
            this.place = this.place.pass(byte);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AsBinary<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Returns a frame with this first byte.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..126 => bytes.push(u8::try_from(length).unwrap()),
            length @ 126..65_536 => {
                bytes.push(126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                bytes.push(127);
                bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.extend(payload);
        bytes
    }

    #[tokio::test]
    async fn texts_become_binary_and_nothing_else_changes_however_it_is_cut() {
        // The payloads look like starts of text frames.
        let long = [0x81; 70_000];
        let stream = |text: u8| {
            [
                b"HTTP/1.1 101 Switching\r\nA: \x81\x01\r\n\r\n".to_vec(),
                frame(0x80 | text, b""),
                frame(0x80 | text, &[0x81; 125]),
                frame(0x80 | text, &long[..126]),
                frame(0x80 | text, &long),
                // Fragmented, with a ping in between.
                frame(text, &[0x01, 0xff]),
                frame(0x89, &[0x01]),
                frame(0x80, &[0x81]),
                frame(0x82, &[0x01]),
                frame(0x88, b""),
                frame(0x80 | text, &[0x01]),
            ]
            .concat()
        };
        for size in [1, 7, 4_096, 1 << 20] {
            let (mut far, near) = tokio::io::duplex(size);
            let sending = async {
                far.write_all(&stream(TEXT)).await.unwrap();
                far.shutdown().await.unwrap();
            };
            let mut near = AsBinary::new(near);
            let mut read = Vec::new();
            let ((), count) = tokio::join!(sending, near.read_to_end(&mut read));
            assert_eq!(count.unwrap(), read.len());
            assert!(read == stream(BINARY), "{size}");
        }
    }
}
