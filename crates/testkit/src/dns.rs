//! The Internet's name server: answers what the test says, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// One question that arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    /// The name, in lower case and without the last dot.
    pub name: String,
    /// The type of record: 1 is A, 28 is AAAA.
    pub kind: u16,
}

/// A name server with a table. Names that are not in it do not exist.
#[derive(Clone, Debug, Default)]
pub struct Dns {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The answers to come; the last one stays.
    names: HashMap<String, VecDeque<Vec<IpAddr>>>,
    asked: Vec<Question>,
    silent: bool,
}

const A: u16 = 1;
const AAAA: u16 = 28;
const HEADER: usize = 12;
const NXDOMAIN: u8 = 3;

impl Dns {
    /// Answers for `name` with `addresses`, of both families, until it is told otherwise.
    pub fn set(&self, name: &str, addresses: &[IpAddr]) {
        self.set_sequence(name, &[addresses]);
    }

    /// Answers for `name` with each set in turn, and then with the last: a rebinding name. A turn
    /// ends with a question for an A record, or with any question if the set has no IPv4 address.
    pub fn set_sequence(&self, name: &str, answers: &[&[IpAddr]]) {
        let answers = answers.iter().map(|addresses| addresses.to_vec()).collect();
        self.state().names.insert(canonical(name), answers);
    }

    /// Makes `name` unknown again.
    pub fn forget(&self, name: &str) {
        self.state().names.remove(&canonical(name));
    }

    /// While it is silent the server receives and counts questions but answers none.
    pub fn set_silent(&self, silent: bool) {
        self.state().silent = silent;
    }

    /// Every question so far.
    pub fn questions(&self) -> Vec<Question> {
        self.state().asked.clone()
    }

    /// How often `name` was asked for, with any type.
    pub fn questions_for(&self, name: &str) -> usize {
        let name = canonical(name);
        self.state().asked.iter().filter(|question| question.name == name).count()
    }

    /// Answers what arrives at `socket` until the process ends.
    pub(crate) fn serve(&self, socket: UdpSocket) {
        let dns = self.clone();
        thread::spawn(move || {
            let mut question = [0u8; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                let answer = question.get(..length).and_then(|bytes| dns.answer(bytes));
                if let Some(answer) = answer {
                    // A client that has gone is no concern of a name server.
                    drop(socket.send_to(&answer, from));
                }
            }
        });
    }

    fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name(message)?;
        let kind = u16::from_be_bytes(*message.get(end..)?.first_chunk()?);
        let question = message.get(HEADER..end + 4)?;
        let addresses = self.look_up(Question { name, kind })?;
        let code = if addresses.is_some() { 0 } else { NXDOMAIN };
        let records: Vec<IpAddr> = addresses
            .unwrap_or_default()
            .into_iter()
            .filter(|address| kind == if address.is_ipv4() { A } else { AAAA })
            .collect();
        let mut out = message.get(..2)?.to_vec();
        // An answer, authoritative, with recursion desired and available.
        out.extend_from_slice(&[0x85, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).ok()?]);
        out.extend_from_slice(&[0, 0, 0, 0]);
        out.extend_from_slice(question);
        for record in records {
            // The name is the one at offset 12; class IN; TTL 0.
            out.extend_from_slice(&[0xc0, 12]);
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
            match record {
                IpAddr::V4(v4) => out.extend([&[0, 4][..], &v4.octets()].concat()),
                IpAddr::V6(v6) => out.extend([&[0, 16][..], &v6.octets()].concat()),
            }
        }
        Some(out)
    }

    /// Remembers the question. The outer `None` is silence, the inner one an unknown name.
    fn look_up(&self, question: Question) -> Option<Option<Vec<IpAddr>>> {
        let mut state = self.state();
        let kind = question.kind;
        let answers = state.names.get_mut(&question.name).map(|answers| {
            let current = answers.front().cloned().unwrap_or_default();
            let ends_turn = kind == A || !current.iter().any(IpAddr::is_ipv4);
            if ends_turn && answers.len() > 1 {
                answers.pop_front();
            }
            current
        });
        state.asked.push(question);
        (!state.silent).then_some(answers)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics with it")
    }
}

/// Reads the name of the first question, and where it ends.
fn name(message: &[u8]) -> Option<(String, usize)> {
    let mut at = HEADER;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join(".").to_ascii_lowercase(), at));
        }
        let label = message.get(at..at + length).filter(|_| length < 64)?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        at += length;
    }
}

fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x04test\x00\x00\x01\x00\x01";

    #[test]
    fn a_sequence_ends_with_its_last_answer() {
        let dns = Dns::default();
        let (public, private) = (IpAddr::from([93, 184, 216, 34]), IpAddr::from([10, 0, 0, 1]));
        dns.set_sequence("API.test.", &[&[public], &[private]]);
        let answers = [(); 3].map(|()| dns.answer(QUESTION).unwrap());
        assert!(answers[0].ends_with(&[93, 184, 216, 34]));
        assert!(answers[1].ends_with(&[10, 0, 0, 1]) && answers[2].ends_with(&[10, 0, 0, 1]));
        assert_eq!(dns.questions_for("api.test"), 3);
    }

    #[test]
    fn an_unknown_name_does_not_exist_and_is_counted() {
        let dns = Dns::default();
        assert_eq!(dns.answer(QUESTION).unwrap()[3] & 15, NXDOMAIN);
        assert_eq!(dns.questions(), [Question { name: "api.test".to_owned(), kind: A }]);
    }

    #[test]
    fn a_cut_message_is_ignored() {
        let dns = Dns::default();
        for end in 0..QUESTION.len() {
            assert!(dns.answer(&QUESTION[..end]).is_none());
        }
    }
}
