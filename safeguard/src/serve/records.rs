//! TLS 1.3's record layer (RFC 8446, section 5), for a connection that rests from beat to beat: what rustls agreed on with the client goes on
//! without rustls, which keeps four kilobytes for a connection. At rest this keeps the two keys.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, MAX_TAG_LEN, Nonce, UnboundKey};
use bytes::{Buf as _, BytesMut};
use rustls::crypto::cipher;
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Type, version and length of a record.
const HEADER: usize = 5;
/// Bytes of content in a record at most, and of a sealed one (5.1, 5.2).
const MOST: usize = 1 << 14;
const MOST_SEALED: usize = MOST + 256;
/// A sealed record has a byte that says what is in it, and a tag.
const LEAST_SEALED: usize = 1 + MAX_TAG_LEN;
/// Records under one key: less than half of what AES-GCM allows (5.5). A node that beats once a minute needs 15 years for them.
const MOST_RECORDS: u64 = 1 << 23;
/// Records in a row without content, as many as rustls lets pass: a client could keep us busy with them, and no deadline would notice.
const MOST_EMPTY: u8 = 32;
/// What is read at once: a beat and its head are one piece.
const PIECE: usize = 4_096;

const ALERT: u8 = 21;
const APPLICATION_DATA: u8 = 23;
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// A stream over records. Every error ends the connection; the client takes another.
pub(super) struct Records<S> {
    stream: S,
    reads: Direction,
    writes: Direction,
    /// None at rest.
    spoken: Option<Box<Spoken>>,
    /// Records in a row that had no content.
    empty: u8,
    /// The client has said that nothing more comes.
    ended: bool,
    /// Something came that cannot be believed: nothing after it is read, and no good-bye is said.
    failed: bool,
    closed: bool,
}

/// One half of what was agreed on.
struct Direction {
    secrets: ConnectionTrafficSecrets,
    /// Of the next record. No two records have the same.
    sequence: u64,
}

/// What is needed while something is said.
struct Spoken {
    opens: LessSafeKey,
    seals: LessSafeKey,
    /// Records as they came.
    incoming: BytesMut,
    /// What was in one, and is not read yet.
    opened: BytesMut,
    /// Sealed, and not sent yet.
    outgoing: BytesMut,
}

/// What a record that was opened is.
enum Record {
    Data,
    Goodbye,
}

impl<S> Records<S> {
    /// Goes on where the handshake's side has ended, to the record.
    pub(super) fn new(stream: S, secrets: ExtractedSecrets) -> Self {
        let direction = |(sequence, secrets)| Direction { secrets, sequence };
        let (reads, writes) = (direction(secrets.rx), direction(secrets.tx));
        Self { stream, reads, writes, spoken: None, empty: 0, ended: false, failed: false, closed: false }
    }

    /// Gives back what is not needed while nothing is said.
    pub(super) fn rest(&mut self) {
        self.spoken
            .take_if(|spoken| spoken.incoming.is_empty() && spoken.opened.is_empty() && spoken.outgoing.is_empty());
    }

    fn spoken(&mut self) -> Result<&mut Spoken> {
        if self.spoken.is_none() {
            let (incoming, opened, outgoing) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
            let (opens, seals) = (self.reads.key()?, self.writes.key()?);
            self.spoken = Some(Box::new(Spoken { opens, seals, incoming, opened, outgoing }));
        }
        self.spoken.as_deref_mut().ok_or_else(|| unfit("no keys"))
    }

    fn seal(&mut self, kind: u8, content: &[IoSlice<'_>]) -> Result<usize> {
        let nonce = self.writes.next()?;
        self.spoken()?.seal(nonce, kind, content)
    }
}

impl<S: AsyncWrite + Unpin> Records<S> {
    /// Sends what is sealed.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(spoken) = &mut self.spoken else { return Poll::Ready(Ok(())) };
        while !spoken.outgoing.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &spoken.outgoing))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                sent => spoken.outgoing.advance(sent),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Direction {
    fn key(&self) -> Result<LessSafeKey> {
        let (algorithm, key) = match &self.secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, .. } => (&AES_128_GCM, key),
            ConnectionTrafficSecrets::Aes256Gcm { key, .. } => (&AES_256_GCM, key),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, .. } => (&CHACHA20_POLY1305, key),
            _ => return Err(unfit("a cipher suite that is not known")),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| unfit("a key of another length"))?;
        Ok(LessSafeKey::new(key))
    }

    fn next(&mut self) -> Result<Nonce> {
        let iv = match &self.secrets {
            ConnectionTrafficSecrets::Aes128Gcm { iv, .. }
            | ConnectionTrafficSecrets::Aes256Gcm { iv, .. }
            | ConnectionTrafficSecrets::Chacha20Poly1305 { iv, .. } => iv,
            _ => return Err(unfit("a cipher suite that is not known")),
        };
        if self.sequence >= MOST_RECORDS {
            return Err(unfit("too many records under one key"));
        }
        let nonce = cipher::Nonce::new(iv, self.sequence).0;
        self.sequence += 1;
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

impl Spoken {
    /// Opens the next record, if it is there to its end.
    fn open(&mut self, from: &mut Direction) -> Result<Option<Record>> {
        let Some(&header) = self.incoming.first_chunk::<HEADER>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if header[0] != APPLICATION_DATA || !(LEAST_SEALED..=MOST_SEALED).contains(&length) {
            return Err(unfit("not a sealed record"));
        }
        if self.incoming.len() < HEADER + length {
            return Ok(None);
        }
        let mut record = self.incoming.split_to(HEADER + length);
        record.advance(HEADER);
        let nonce = from.next()?;
        let opened = self.opens.open_in_place(nonce, Aad::from(header), &mut record);
        let opened = opened.map_err(|_| unfit("a record of somebody else"))?;
        // Zeros pad it, after the byte that says what it is (5.4).
        let end = opened.iter().rposition(|byte| *byte != 0).ok_or_else(|| unfit("a record of zeros"))?;
        let (content, kind) = (&opened[..end], opened[end]);
        match kind {
            APPLICATION_DATA if end <= MOST => {
                record.truncate(end);
                self.opened = record;
                Ok(Some(Record::Data))
            }
            ALERT if content.get(1) == CLOSE_NOTIFY.get(1) => Ok(Some(Record::Goodbye)),
            ALERT => Err(ErrorKind::ConnectionAborted.into()),
            // Also the wish for new keys: no client of ours needs that for a beat a minute.
            _ => Err(unfit("a record that is not expected here")),
        }
    }

    /// Seals what fits into one record, and says how much that is.
    fn seal(&mut self, nonce: Nonce, kind: u8, content: &[IoSlice<'_>]) -> Result<usize> {
        let begin = self.outgoing.len();
        let length = content.iter().map(|piece| piece.len()).sum::<usize>().min(MOST);
        let sealed = u16::try_from(length + LEAST_SEALED).map_err(Error::other)?.to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, sealed[0], sealed[1]];
        self.outgoing.reserve(HEADER + length + LEAST_SEALED);
        self.outgoing.extend_from_slice(&header);
        let mut left = length;
        for piece in content {
            let most = left.min(piece.len());
            self.outgoing.extend_from_slice(&piece[..most]);
            left -= most;
        }
        self.outgoing.extend_from_slice(&[kind]);
        match self.seals.seal_in_place_separate_tag(nonce, Aad::from(header), &mut self.outgoing[begin + HEADER..]) {
            Ok(tag) => {
                self.outgoing.extend_from_slice(tag.as_ref());
                Ok(length)
            }
            Err(_) => {
                // It is not sealed: it never leaves.
                self.outgoing.truncate(begin);
                Err(unfit("a record could not be sealed"))
            }
        }
    }
}

fn unfit(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Records<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.failed {
            return Poll::Ready(Err(unfit("after a record that does not count")));
        }
        let polled = self.poll_open(context, into);
        self.failed = matches!(polled, Poll::Ready(Err(_)));
        polled
    }
}

impl<S: AsyncRead + Unpin> Records<S> {
    fn poll_open(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let records = self;
        while !records.ended {
            if let Some(spoken) = &mut records.spoken {
                if !spoken.opened.is_empty() {
                    let most = spoken.opened.len().min(into.remaining());
                    into.put_slice(&spoken.opened[..most]);
                    spoken.opened.advance(most);
                    break;
                }
                match spoken.open(&mut records.reads)? {
                    Some(Record::Data) if !spoken.opened.is_empty() => {
                        records.empty = 0;
                        continue;
                    }
                    Some(Record::Data) if records.empty < MOST_EMPTY => {
                        records.empty += 1;
                        continue;
                    }
                    Some(Record::Data) => return Poll::Ready(Err(unfit("too many records without content"))),
                    Some(Record::Goodbye) => {
                        records.ended = true;
                        break;
                    }
                    None => {}
                }
            }
            let mut piece = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut piece);
            ready!(Pin::new(&mut records.stream).poll_read(context, &mut piece))?;
            if piece.filled().is_empty() {
                // Who ends it says so first: this may be somebody in between.
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
            records.spoken()?.incoming.extend_from_slice(piece.filled());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Records<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        ready!(self.poll_send(context))?;
        let sealed = self.seal(APPLICATION_DATA, slices)?;
        // What cannot be sent now goes before what is written next.
        match self.poll_send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(sealed)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.closed && !self.failed {
            self.closed = true;
            self.seal(ALERT, &[IoSlice::new(&CLOSE_NOTIFY)])?;
        }
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
