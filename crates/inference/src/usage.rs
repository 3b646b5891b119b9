//! How many tokens an answer cost, read from it as it passes.

use memchr::{memchr, memchr2, memmem};
use serde::Deserialize;

use crate::limits;
use crate::operation::Operation;

/// What a call cost, in tokens, as its backend says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the question, with those that were cached.
    pub input: Option<u64>,
    /// Of the answer, with those of thinking.
    pub output: Option<u64>,
    /// Of the question, those that were read from the backend's cache.
    pub cached: Option<u64>,
}

/// Reads an answer as it passes.
#[derive(Debug)]
pub struct Observer {
    operation: Operation,
    form: Form,
    counts: Counts,
    /// Octets of text that passed, and those of what was not looked at.
    text: u64,
}

#[derive(Debug)]
enum Form {
    /// One that costs nothing, or whose end was looked at.
    Other,
    /// One that says nothing, or for which there is no room.
    Unread,
    /// In one piece, as much of it as was kept.
    Whole { kept: Vec<u8>, is_cut: bool },
    /// Lines of events: the one that was begun, unless it is too long.
    Events { line: Vec<u8>, is_cut: bool },
}

impl Observer {
    /// Of an answer to `operation` with this `Content-Type`.
    pub fn new(operation: Operation, content_type: &[u8]) -> Self {
        let begins = |word: &[u8]| {
            content_type.get(..word.len()).is_some_and(|own| own.eq_ignore_ascii_case(word))
        };
        let form = match operation {
            _ if !operation.costs() => Form::Other,
            _ if begins(b"text/event-stream") => Form::Events { line: Vec::new(), is_cut: false },
            _ if begins(b"application/json") => Form::Whole { kept: Vec::new(), is_cut: false },
            _ => Form::Unread,
        };
        Self { operation, form, counts: Counts::default(), text: 0 }
    }

    /// Looks at the next bytes.
    pub fn see(&mut self, mut bytes: &[u8]) {
        let Self { operation, form, counts, text } = self;
        let mut unread = 0_usize;
        match form {
            Form::Other => {}
            Form::Unread => unread = bytes.len(),
            Form::Whole { kept, is_cut } => unread = keep(kept, is_cut, bytes, limits::ANSWER),
            Form::Events { line, is_cut } => {
                while let Some(end) = memchr(b'\n', bytes) {
                    let (rest, after) = bytes.split_at(end);
                    if line.is_empty() && !*is_cut {
                        // Most lines come whole, and are not copied.
                        *text = text.saturating_add(counts.event(*operation, rest));
                    } else {
                        unread = unread.saturating_add(keep(line, is_cut, rest, limits::EVENT));
                        if !*is_cut {
                            *text = text.saturating_add(counts.event(*operation, line));
                        }
                        line.clear();
                        *is_cut = false;
                    }
                    bytes = after.get(1..).unwrap_or_default();
                }
                unread = unread.saturating_add(keep(line, is_cut, bytes, limits::EVENT));
            }
        }
        *text = text.saturating_add(u64::try_from(unread).unwrap_or(u64::MAX));
    }

    /// How many bytes it holds.
    pub const fn held(&self) -> usize {
        match &self.form {
            Form::Other | Form::Unread => 0,
            Form::Whole { kept, .. } => kept.capacity(),
            Form::Events { line, .. } => line.capacity(),
        }
    }

    /// Holds nothing any more, and looks at nothing: what comes counts by its length.
    pub fn give_up(&mut self) {
        let held = self.held();
        if !matches!(self.form, Form::Other) {
            self.form = Form::Unread;
        }
        self.text = self.text.saturating_add(u64::try_from(held).unwrap_or(u64::MAX));
    }

    /// How many tokens the answer took until now, and the question as far as that was said. Where
    /// the backend says nothing of the answer, or only at its end, four octets of text count as one.
    /// SECURITY: H12; a stream that never ends, or says that it took nothing, takes some.
    pub fn so_far(&self) -> (Option<u64>, u64) {
        let total = self.counts.total().unwrap_or_default();
        (total.input, total.output.unwrap_or(0).max(self.estimate()))
    }

    /// The same of an answer that is whole: what was said holds.
    pub fn whole(&self) -> (Option<u64>, u64) {
        let total = self.counts.total().unwrap_or_default();
        (total.input, total.output.unwrap_or_else(|| self.estimate()))
    }

    fn estimate(&self) -> u64 {
        match self.operation {
            // Those of an answer of numbers are nobody's.
            Operation::Embeddings => 0,
            _ => estimate(self.text),
        }
    }

    /// Looks at what is held, after which nothing is, and says what was found; `None`: nothing was
    /// said.
    pub fn tokens(&mut self) -> Option<Tokens> {
        match std::mem::replace(&mut self.form, Form::Other) {
            Form::Whole { kept, is_cut: false } => {
                self.counts.whole(&kept);
                let octets = u64::try_from(kept.len()).unwrap_or(u64::MAX);
                self.text = self.text.saturating_add(octets);
            }
            Form::Events { line, is_cut: false } => {
                let octets = self.counts.event(self.operation, &line);
                self.text = self.text.saturating_add(octets);
            }
            _ => {}
        }
        self.counts.total()
    }
}

/// How many tokens text of so many octets is, about.
pub const fn estimate(octets: u64) -> u64 {
    octets / 4
}

/// Keeps bytes; when there are too many, none. Says how many are not kept.
fn keep(kept: &mut Vec<u8>, is_cut: &mut bool, bytes: &[u8], most: usize) -> usize {
    let mut lost = 0;
    if kept.len().saturating_add(bytes.len()) > most {
        *is_cut = true;
        lost = kept.len();
        kept.clear();
    }
    if *is_cut {
        return lost.saturating_add(bytes.len());
    }
    kept.extend_from_slice(bytes);
    0
}

/// The octets of text in a line of JSON: of the strings of these members, as they are written.
fn text_in(json: &[u8], members: &[&str]) -> u64 {
    let (mut octets, mut rest, mut member) = (0_u64, json, &[][..]);
    while let Some((string, behind)) = next_string(rest) {
        rest = behind;
        let next = rest.iter().find(|byte| !byte.is_ascii_whitespace());
        if next == Some(&b':') {
            member = string;
        } else if members.iter().any(|own| own.as_bytes() == member) {
            octets = octets.saturating_add(u64::try_from(string.len()).unwrap_or(u64::MAX));
        }
    }
    octets
}

/// The next string of JSON without its quotes, and what follows it.
fn next_string(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let string = json.get(memchr(b'"', json)?.checked_add(1)?..)?;
    let mut at = 0_usize;
    loop {
        let end = at.checked_add(memchr2(b'"', b'\\', string.get(at..)?)?)?;
        if string.get(end) == Some(&b'"') {
            return Some((string.get(..end)?, string.get(end.checked_add(1)?..)?));
        }
        at = end.checked_add(2)?;
    }
}

/// The counts as they were last said. Streams say them in parts, and each as the sum so far.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    input: Option<u64>,
    /// Those that `input` leaves out.
    beside: Option<u64>,
    cached: Option<u64>,
    output: Option<u64>,
    thoughts: Option<u64>,
}

impl Counts {
    /// One line of a stream of events (the HTML standard, section 9.2.6). Returns its octets of text.
    fn event(&mut self, operation: Operation, line: &[u8]) -> u64 {
        let Some(data) = line.strip_prefix(b"data:") else { return 0 };
        if memmem::find(data, b"usage").is_some()
            && let Ok(said) = serde_json::from_slice::<Said>(data)
        {
            self.said(&said);
        }
        text_in(data, operation.text())
    }

    /// An answer in one piece; Gemini's streams can be one list.
    fn whole(&mut self, body: &[u8]) {
        if memmem::find(body, b"usage").is_none() {
            return;
        }
        match serde_json::from_slice::<Answer>(body) {
            Ok(Answer::One(said)) => self.said(&said),
            Ok(Answer::List(all)) => all.iter().for_each(|said| self.said(said)),
            Err(_) => {}
        }
    }

    fn said(&mut self, said: &Said) {
        let nested = [&said.response, &said.message].into_iter().flatten();
        for usage in nested.filter_map(|own| own.usage.as_ref()).chain(&said.usage) {
            let Usage { input_tokens, prompt_tokens, output_tokens, completion_tokens, .. } = usage;
            let details =
                usage.input_tokens_details.as_ref().or(usage.prompt_tokens_details.as_ref());
            put(&mut self.input, input_tokens.or(*prompt_tokens));
            put(&mut self.output, output_tokens.or(*completion_tokens));
            put(&mut self.cached, details.and_then(|own| own.cached_tokens));
            // Anthropic counts apart what was in its cache, and what went there.
            let (read, made) = (usage.cache_read_input_tokens, usage.cache_creation_input_tokens);
            if read.is_some() || made.is_some() {
                put(&mut self.cached, read);
                let beside = read.unwrap_or(0).saturating_add(made.unwrap_or(0));
                put(&mut self.beside, Some(beside));
            }
        }
        if let Some(own) = &said.usage_metadata {
            put(&mut self.input, own.prompt_token_count);
            put(&mut self.output, own.candidates_token_count);
            put(&mut self.thoughts, own.thoughts_token_count);
            put(&mut self.cached, own.cached_content_token_count);
        }
    }

    fn total(&self) -> Option<Tokens> {
        let sum = |count: Option<u64>, more: Option<u64>| {
            count.map(|count| count.saturating_add(more.unwrap_or(0)))
        };
        let tokens = Tokens {
            input: sum(self.input, self.beside),
            output: sum(self.output, self.thoughts),
            cached: self.cached,
        };
        (tokens != Tokens::default()).then_some(tokens)
    }
}

fn put(into: &mut Option<u64>, count: Option<u64>) {
    if count.is_some() {
        *into = count;
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    One(Box<Said>),
    List(Vec<Said>),
}

/// What of an answer, or of one event, says tokens.
#[derive(Deserialize)]
struct Said {
    usage: Option<Usage>,
    response: Option<Nested>,
    message: Option<Nested>,
    #[serde(rename = "usageMetadata")]
    usage_metadata: Option<UsageMetadata>,
}

#[derive(Deserialize)]
struct Nested {
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Usage {
    input_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
    output_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens_details: Option<Details>,
    prompt_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &[u8] = b"text/event-stream; charset=utf-8";
    const JSON: &[u8] = b"application/json";

    fn seen(operation: Operation, kind: &[u8], answer: &str, part: usize) -> Option<Tokens> {
        let mut observer = Observer::new(operation, kind);
        answer.as_bytes().chunks(part).for_each(|part| observer.see(part));
        observer.tokens()
    }

    fn tokens(input: u64, output: u64, cached: Option<u64>) -> Option<Tokens> {
        Some(Tokens { input: Some(input), output: Some(output), cached })
    }

    #[test]
    fn streams_of_all_protocols_are_counted_however_they_are_cut() {
        let anthropic = "event: message_start\r\n\
            data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\
            \"cache_read_input_tokens\":5,\"cache_creation_input_tokens\":2,\"output_tokens\":1}}}\r\n\r\n\
            data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"usage\"}}\r\n\r\n\
            data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":30}}\r\n\r\n";
        let responses = "data: {\"type\":\"response.created\",\"response\":{\"usage\":null}}\n\n\
            data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":7,\
            \"input_tokens_details\":{\"cached_tokens\":3},\"output_tokens\":9}}}\n\n";
        let chat = "data: {\"choices\":[{}],\"usage\":null}\n\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":6}}\n\n\
            data: [DONE]\n\n";
        let gemini = "data: {\"usageMetadata\":{\"promptTokenCount\":8}}\n\n\
            data: {\"usageMetadata\":{\"promptTokenCount\":8,\"candidatesTokenCount\":2,\
            \"thoughtsTokenCount\":3}}";
        for (operation, text, expected) in [
            (Operation::Messages, anthropic, tokens(17, 30, Some(5))),
            (Operation::Responses, responses, tokens(7, 9, Some(3))),
            (Operation::ChatCompletions, chat, tokens(4, 6, None)),
            (Operation::StreamGenerateContent, gemini, tokens(8, 5, None)),
        ] {
            for part in [1, 2, 3, 7, 64, 4096] {
                assert_eq!(seen(operation, EVENTS, text, part), expected, "{operation:?} {part}");
            }
        }
    }

    #[test]
    fn answers_in_one_piece_are_counted() {
        let chat =
            r#"{"choices":[],"usage":{"prompt_tokens":4,"input_tokens":4,"completion_tokens":6}}"#;
        assert_eq!(seen(Operation::ChatCompletions, JSON, chat, 5), tokens(4, 6, None));
        let list = r#"[{"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":1}},
            {"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":2}}]"#;
        assert_eq!(seen(Operation::StreamGenerateContent, JSON, list, 9), tokens(8, 2, None));
    }

    #[test]
    fn what_says_nothing_has_no_tokens() {
        for (kind, text) in [
            (JSON, "{}"),
            (JSON, "usage"),
            (JSON, r#"{"usage":-1}"#),
            (EVENTS, "data: {\"usage\":{\"output_tokens\":-1}}\n"),
            (EVENTS, "usage\n\n"),
            (&b"text/html"[..], r#"{"usage":{"input_tokens":1}}"#),
        ] {
            assert_eq!(seen(Operation::Messages, kind, text, 3), None, "{text}");
        }
    }

    /// What an answer took until its end, without being whole, and as a whole.
    fn took(operation: Operation, kind: &[u8], answer: &str) -> (u64, u64) {
        let mut observer = Observer::new(operation, kind);
        observer.see(answer.as_bytes());
        let before = observer.so_far().1;
        observer.tokens();
        (before, observer.whole().1)
    }

    #[test]
    fn h12_text_counts_while_it_streams_until_its_backend_says_more() {
        let chat = "data: {\"id\":\"0123456789\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\
            \"content\":\"12345\\\"78\"}}]}\n\n";
        let told = "data: {\"usage\":{\"completion_tokens\":1,\"prompt_tokens\":2}}\n\n";
        let chat_op = Operation::ChatCompletions;
        assert_eq!(took(chat_op, EVENTS, chat), (2, 2));
        assert_eq!(took(chat_op, EVENTS, &format!("{}{told}", chat.repeat(3))), (6, 1));
        let responses = "data: {\"type\":\"response.output_text.delta\",\"delta\": \"1234\"}\n\n\
            data: {\"type\":\"response.output_text.done\",\"text\":\"1234\"}\n\n";
        assert_eq!(took(Operation::Responses, EVENTS, responses), (1, 1));
        let messages = "data: {\"delta\":{\"type\":\"text_delta\",\"text\":\"1234\"}}\n\n\
            data: {\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"1234\"}}\n\n\
            data: {\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"1234\"}}\n\n";
        assert_eq!(took(Operation::Messages, EVENTS, messages), (3, 3));
        let gemini =
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"12345678\"}]}}]}\n";
        assert_eq!(took(Operation::StreamGenerateContent, EVENTS, gemini), (2, 2));
    }

    #[test]
    fn h12_what_is_not_looked_at_counts_by_its_length() {
        let mega = "x".repeat(1_000_000);
        // A line that does not end, an answer that says nothing, and one of another kind.
        let (endless, _) = took(Operation::Messages, EVENTS, &format!("data: {mega}{mega}"));
        assert!(endless >= 500_000, "{endless}");
        assert_eq!(took(Operation::Messages, b"application/x", &mega), (250_000, 250_000));
        assert_eq!(took(Operation::Messages, JSON, &mega), (0, 250_000));
        let mut given_up = Observer::new(Operation::Messages, EVENTS);
        given_up.see(b"data: 45678");
        given_up.give_up();
        given_up.see(mega.as_bytes());
        assert!(given_up.so_far().1 >= 250_000);
        // Numbers are no text, and what costs nothing stays so.
        assert_eq!(took(Operation::Embeddings, b"application/x", &mega), (0, 0));
        for operation in [Operation::Models, Operation::CountTokens] {
            assert_eq!(took(operation, JSON, &mega), (0, 0));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_not_kept() {
        let mut observer = Observer::new(Operation::Messages, EVENTS);
        for _ in 0..40 {
            observer.see(&vec![b'x'; 100_000]);
        }
        let Form::Events { line, .. } = &observer.form else { panic!("it is a stream") };
        assert!(line.len() <= limits::EVENT);
        observer.see(b"\ndata: {\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}\n");
        assert_eq!(observer.tokens(), tokens(1, 2, None));
    }
}
