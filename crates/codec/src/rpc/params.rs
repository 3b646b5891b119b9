//! The scalars in the `params` of a call.

use super::{PATH_BYTES, RpcError};
use crate::json::{Json, Object};

/// Paths and texts of the scalars in `params`; `room` is how many bytes of paths may still come.
pub(super) fn scalars(params: &Json, room: &mut usize) -> Result<Vec<(String, String)>, RpcError> {
    let mut walk = Walk { path: String::new(), pairs: Vec::new(), room };
    walk.value(params, true)?;
    Ok(walk.pairs)
}

struct Walk<'a> {
    path: String,
    pairs: Vec<(String, String)>,
    room: &'a mut usize,
}

impl Walk<'_> {
    /// It calls itself as deep as a JSON text may be nested.
    fn value(&mut self, value: &Json, top: bool) -> Result<(), RpcError> {
        let text = match value {
            Json::Null => return Ok(()),
            Json::Array(items) => return items.iter().try_for_each(|item| self.value(item, top)),
            Json::Object(object) => return self.members(object, top),
            Json::Bool(value) => value.to_string(),
            Json::Number(number) => number.as_str().to_owned(),
            Json::String(text) => text.clone(),
        };
        *self.room = self.room.checked_sub(self.path.len()).ok_or(RpcError::LongPath)?;
        self.pairs.push((self.path.clone(), text));
        Ok(())
    }

    fn members(&mut self, object: &Object, top: bool) -> Result<(), RpcError> {
        distinct(object)?;
        let before = self.path.len();
        for (name, value) in object.iter() {
            if name.contains(char::is_control) {
                return Err(RpcError::Name);
            }
            if !top {
                self.path.push('.');
            }
            for character in name.chars() {
                // SECURITY: a member `a.b` must not stand for the member `b` of `a`.
                if matches!(character, '.' | '\\') {
                    self.path.push('\\');
                }
                self.path.push(character);
            }
            if self.path.len() > PATH_BYTES {
                return Err(RpcError::LongPath);
            }
            self.value(value, false)?;
            self.path.truncate(before);
        }
        Ok(())
    }
}

/// Refuses names that are one name to servers that ignore letter case.
fn distinct(object: &Object) -> Result<(), RpcError> {
    let mut names: Vec<String> = object.iter().map(|(name, _)| folded(name)).collect();
    names.sort_unstable();
    if names.is_sorted_by(|before, after| before < after) { Ok(()) } else { Err(RpcError::Name) }
}

/// Upper case first: it is there that U+017F meets `s`, and in lower case that U+212A meets `k`.
fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}
