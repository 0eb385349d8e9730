//! A body on its way out: small ones whole, large ones in pieces that are read while the client takes them.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use s3s::{Body, StdError, dto::StreamingBlob};
use tokio::task::{JoinHandle, spawn_blocking};

use super::object::{Content, Object};

/// How much is read at once.
const CHUNK: u64 = 256 * 1024;

/// The bytes of an object in a range that lies within it.
pub(super) fn body(object: Arc<Object>, range: Range<u64>) -> io::Result<StreamingBlob> {
    if let Content::Inline(data) = &object.content {
        let data = data.slice(range.start as usize..range.end as usize);
        return Ok(Body::from(data).into());
    }
    let mut reader = Reader::new(object, range);
    if reader.left() <= CHUNK {
        // Most likely in the page cache, so not worth a trip to another thread.
        let mut data = Vec::with_capacity(reader.left() as usize);
        while let Some(chunk) = reader.next()? {
            data.extend_from_slice(&chunk);
        }
        return Ok(Body::from(data).into());
    }
    reader.open()?;
    let left = reader.left();
    let reading = read_ahead(reader);
    Ok(Body::http_body(Sending { reading, left }).into())
}

/// Reads an object piece by piece. It holds the object, and with it the files, also when it was replaced meanwhile.
pub(super) struct Reader {
    object: Arc<Object>,
    at: u64,
    end: u64,
    /// The open file, and which bytes of the object are in it.
    file: Option<(File, Range<u64>)>,
}

impl Reader {
    pub(super) fn new(object: Arc<Object>, range: Range<u64>) -> Self {
        Self {
            object,
            at: range.start,
            end: range.end,
            file: None,
        }
    }

    fn left(&self) -> u64 {
        self.end - self.at
    }

    /// The next bytes; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.at >= self.end {
            return Ok(None);
        }
        if let Content::Inline(data) = &self.object.content {
            let data = data.slice(self.at as usize..self.end as usize);
            self.at = self.end;
            return Ok(Some(data));
        }
        let (file, holds) = self.open()?;
        let (offset, in_file) = (holds.0, holds.1);
        let length = in_file.min(CHUNK);
        let mut data = vec![0; length as usize];
        file.read_exact_at(&mut data, offset)?;
        self.at += length;
        Ok(Some(Bytes::from(data)))
    }

    /// The file that has the next byte, the byte's offset in it, and how many bytes are to be had from there.
    fn open(&mut self) -> io::Result<(&File, (u64, u64))> {
        let at = self.at;
        if !matches!(&self.file, Some((_, holds)) if holds.contains(&at)) {
            self.file = Some(open_at(&self.object, at)?);
        }
        let Some((file, holds)) = &self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        Ok((file, (at - holds.start, self.end.min(holds.end) - at)))
    }
}

fn open_at(object: &Object, at: u64) -> io::Result<(File, Range<u64>)> {
    match &object.content {
        Content::Inline(_) => {}
        Content::Blob(blob) => return Ok((blob.open()?, 0..object.size)),
        Content::Parts(parts) => {
            let mut start = 0;
            for part in parts {
                let end = start + part.size;
                if at < end {
                    return Ok((part.blob.open()?, start..end));
                }
                start = end;
            }
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

type Reading = JoinHandle<(Reader, io::Result<Option<Bytes>>)>;

/// A body of which the next piece is always being read.
struct Sending {
    reading: Reading,
    left: u64,
}

fn read_ahead(mut reader: Reader) -> Reading {
    spawn_blocking(move || {
        let data = reader.next();
        (reader, data)
    })
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let (reader, data) = match ready!(Pin::new(&mut self.reading).poll(cx)) {
            Ok(done) => done,
            Err(error) => return Poll::Ready(Some(Err(error.into()))),
        };
        match data {
            Ok(Some(data)) => {
                self.left -= data.len() as u64;
                if self.left > 0 {
                    self.reading = read_ahead(reader);
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Ok(None) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
