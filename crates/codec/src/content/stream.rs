//! Undoing the codings of a body as it comes, for whoever looks through what passes.

use super::ContentError;
use super::brotli::BrotliStream;
use super::decode::{Coding, RATIO, read};
use super::zlib::ZlibStream;
use super::zstd::ZstdStream;

/// Bytes that a body may have decoded beyond [`RATIO`]: what looks through it takes no longer for
/// that.
pub const STREAM_FREE: u64 = 16 * 1024 * 1024;

/// Undoes the codings of a body that comes in parts. Other than [`decode`](super::decode), it takes
/// several members of gzip and frames of zstd, as clients do.
///
/// What a decoder could give of the bytes so far is given at once, but for a block of zstd whose end
/// has not come: see [`Decoder::is_settled`].
#[derive(Debug)]
pub struct Decoder {
    /// The coding that was applied last comes first.
    steps: Vec<Step>,
    taken: u64,
    given: u64,
}

#[derive(Debug)]
enum Step {
    Zlib(ZlibStream),
    Brotli(Box<BrotliStream>),
    Zstd(Box<ZstdStream>),
}

impl Decoder {
    /// Of a body with these values of `Content-Encoding`, in order; `None`: it has no coding.
    pub fn new(codings: &[&str]) -> Result<Option<Self>, ContentError> {
        let step = |coding| match coding {
            Coding::Identity => None,
            Coding::Gzip => Some(Step::Zlib(ZlibStream::gzip())),
            Coding::Deflate => Some(Step::Zlib(ZlibStream::deflate())),
            Coding::Brotli => Some(Step::Brotli(Box::new(BrotliStream::new()))),
            Coding::Zstd => Some(Step::Zstd(Box::new(ZstdStream::new()))),
        };
        let steps: Vec<Step> = read(codings)?.into_iter().rev().filter_map(step).collect();
        Ok((!steps.is_empty()).then_some(Self { steps, taken: 0, given: 0 }))
    }

    /// Most bytes that it holds.
    pub fn memory(&self) -> usize {
        let of = |step: &Step| match step {
            Step::Zlib(_) => ZlibStream::MEMORY,
            Step::Brotli(_) => BrotliStream::MEMORY,
            Step::Zstd(_) => ZstdStream::MEMORY,
        };
        self.steps.iter().map(of).sum()
    }

    /// Takes the next bytes, and gives what they become part by part. After an error nothing more
    /// may be taken.
    pub fn push(&mut self, bytes: &[u8], give: &mut dyn FnMut(&[u8])) -> Result<(), ContentError> {
        self.taken = self.taken.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let ratio = u64::try_from(RATIO).unwrap_or(u64::MAX);
        let most = self.taken.saturating_mul(ratio).max(STREAM_FREE);
        let given = &mut self.given;
        run(&mut self.steps, bytes, &mut |part| {
            *given = given.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
            if *given > most {
                return Err(ContentError::Ratio);
            }
            give(part);
            Ok(())
        })
    }

    /// Whether everything that was taken has become what it can become for any decoder.
    pub fn is_settled(&self) -> bool {
        self.steps.iter().all(|step| match step {
            Step::Zlib(_) | Step::Brotli(_) => true,
            Step::Zstd(zstd) => zstd.is_settled(),
        })
    }
}

/// Takes what a step gives.
pub(super) type Give<'a> = dyn FnMut(&[u8]) -> Result<(), ContentError> + 'a;

fn run(steps: &mut [Step], bytes: &[u8], give: &mut Give<'_>) -> Result<(), ContentError> {
    let Some((step, rest)) = steps.split_first_mut() else { return give(bytes) };
    let mut next = |part: &[u8]| run(rest, part, give);
    match step {
        Step::Zlib(zlib) => zlib.push(bytes, &mut next),
        Step::Brotli(brotli) => brotli.push(bytes, &mut next),
        Step::Zstd(zstd) => zstd.push(bytes, &mut next),
    }
}
