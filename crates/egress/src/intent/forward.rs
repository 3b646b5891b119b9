//! `GET http://host/path`.

use openshell_codec::http1::{HeadError, RequestHead};
use openshell_types::Authority;

use super::{Intent, Opening};

/// One request, judged by the authority of its target; `None` when it is in another form.
pub(super) fn from_head(
    head: &RequestHead,
    to: Authority,
    early: Vec<u8>,
) -> Result<Option<Intent>, HeadError> {
    Ok(head.to_origin()?.map(|bytes| Intent {
        to,
        opening: Opening::Forward { head: bytes, body: head.body, early },
    }))
}
