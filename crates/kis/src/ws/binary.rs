//! A connection on which texts arrive as binary messages. The library ends a connection for good where
//! a text is not UTF-8, and has no setting for it; of bytes it asks nothing, so that one damaged
//! message is one damaged message.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What ends the answer to the handshake, after which there are frames.
const END_OF_ANSWER: u32 = u32::from_be_bytes(*b"\r\n\r\n");

/// Kinds of frames, the lower half of their first byte (RFC 6455, 5.2).
const KIND: u8 = 0x0f;
const TEXT: u8 = 0x01;
const BINARY: u8 = 0x02;

/// A client's connection, from before the handshake.
#[derive(Debug)]
pub(super) struct AsBinary<S> {
    inner: S,
    place: Place,
}

/// What the next byte is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Part of the answer to the handshake, after these four bytes.
    Answer(u32),
    /// The first of a frame.
    Kind,
    /// The length of a frame, or the length of its length. A broker masks nothing.
    Length,
    /// One of so many that the length still has, after those that say this much.
    Longer { left: u8, length: u64 },
    /// One of so many, at least one, of what the frame carries.
    Payload(u64),
}

impl Place {
    fn payload(length: u64) -> Self {
        match length {
            0 => Self::Kind,
            length => Self::Payload(length),
        }
    }

    /// Takes `byte` in, another where it says that a text begins, and says what comes after it.
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

    /// A frame with this first byte.
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
        // What they carry looks like beginnings of texts.
        let long = [0x81; 70_000];
        let stream = |text: u8| {
            [
                b"HTTP/1.1 101 Switching\r\nA: \x81\x01\r\n\r\n".to_vec(),
                frame(0x80 | text, b""),
                frame(0x80 | text, &[0x81; 125]),
                frame(0x80 | text, &long[..126]),
                frame(0x80 | text, &long),
                // In pieces, with a ping between them.
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
