//! Reading the one request of a proxy client.

use openshell_audit::Way;
use openshell_codec::http1::{RequestHead, Target};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{Intent, connect, forward};
use crate::limits;
use crate::refusal::Refusal;
use crate::report::Attempt;

/// Reads a request head and says what it wants.
pub(crate) async fn read_request(
    client: &mut TcpStream,
    attempt: &mut Attempt,
) -> Result<Intent, Refusal> {
    let read = tokio::time::timeout(limits::HEAD_TIMEOUT, read_head(client, attempt)).await;
    let (head, early) = read.unwrap_or_else(|_| {
        Err(Refusal::no_request("head_timeout", "the client did not end its request head in time"))
    })?;
    let intent = match &head.target {
        Target::Authority(to) => Some(connect::from_head(to.clone(), early)),
        Target::Absolute { authority, .. } => {
            forward::from_head(&head, authority.clone(), early).map_err(Refusal::request)?
        }
        Target::Origin { .. } => None,
    };
    intent.ok_or_else(Refusal::not_for_a_proxy)
}

/// A head, and the bytes behind it.
async fn read_head(
    client: &mut TcpStream,
    attempt: &mut Attempt,
) -> Result<(RequestHead, Vec<u8>), Refusal> {
    let mut bytes = Vec::new();
    loop {
        let before = bytes.len();
        let gone = match client.read_buf(&mut bytes).await {
            Ok(0) => Some("the client closed before it ended a request head".to_owned()),
            Ok(_) => None,
            Err(error) => Some(format!("the client went away: {error}")),
        };
        if let Some(detail) = gone {
            return Err(Refusal::no_request("no_request", &detail));
        }
        attempt.came(if bytes.starts_with(b"CONNECT ") { Way::Connect } else { Way::Forward });
        // A head ends with a line: between line ends there is nothing new to see.
        let is_news = bytes.get(before..).is_some_and(|new| new.contains(&b'\n'))
            || bytes.len() >= RequestHead::LONGEST;
        if is_news
            && let Some((head, length)) = RequestHead::parse(&bytes).map_err(Refusal::request)?
        {
            let early = bytes.split_off(length.min(bytes.len()));
            return Ok((head, early));
        }
    }
}
