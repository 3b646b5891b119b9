//! Cutting texts of the jail to their bounds.

use crate::event::{
    Bypass, Caller, Config, Destination, Dns, Event, Http, Inference, Lifecycle, Network, Process,
    Reason,
};
use crate::limits::{
    ANCESTORS, ARGV_BYTES, ARGV_ITEMS, NAME_BYTES, OPERATIONS, PATH_BYTES, TEXT_BYTES,
};

/// `text`, cut to `bytes` at a character boundary; cut text ends with `…`.
pub fn bounded(text: &str, bytes: usize) -> String {
    const MARK: char = '…';
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes.saturating_sub(MARK.len_utf8()));
    let mut cut = text.get(..end).unwrap_or_default().to_owned();
    cut.push(MARK);
    cut
}

/// An argument vector of the jail: lossy text, at most [`ARGV_ITEMS`] items of [`ARGV_BYTES`]; a
/// last item `…` stands for the rest.
pub fn bounded_argv<T: AsRef<[u8]>>(argv: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut items = argv.into_iter();
    // Cut the bytes before decoding them: an argument may have megabytes.
    let mut kept: Vec<String> = items
        .by_ref()
        .take(ARGV_ITEMS)
        .map(|item| {
            let item = item.as_ref();
            let head = item.get(..ARGV_BYTES.saturating_add(1)).unwrap_or(item);
            bounded(&String::from_utf8_lossy(head), ARGV_BYTES)
        })
        .collect();
    if items.next().is_some() {
        kept.truncate(ARGV_ITEMS.saturating_sub(1));
        kept.push("…".to_owned());
    }
    kept
}

fn cut(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        *text = bounded(text, bytes);
    }
}

fn cut_some(text: &mut Option<String>, bytes: usize) {
    if let Some(text) = text {
        cut(text, bytes);
    }
}

impl Event {
    /// The event with every text cut to its bound, so that one attempt of the jail cannot fill the
    /// log.
    pub fn bounded(mut self) -> Self {
        match &mut self {
            Self::Network(event) => event.bound(),
            Self::Http(event) => event.bound(),
            Self::Inference(event) => event.bound(),
            Self::Dns(event) => event.bound(),
            Self::Bypass(event) => event.bound(),
            Self::Process(event) => event.bound(),
            Self::Config(event) => event.bound(),
            Self::Lifecycle(event) => event.bound(),
        }
        self
    }
}

impl Network {
    fn bound(&mut self) {
        self.destination.bound();
        if let Some(caller) = &mut self.caller {
            caller.bound();
        }
        cut_some(&mut self.rule, NAME_BYTES);
        if let Some(reason) = &mut self.reason {
            reason.bound();
        }
    }
}

impl Http {
    fn bound(&mut self) {
        self.destination.bound();
        if let Some(caller) = &mut self.caller {
            caller.bound();
        }
        cut(&mut self.method, NAME_BYTES);
        cut(&mut self.path, TEXT_BYTES);
        for names in [&mut self.operations, &mut self.credentials] {
            names.truncate(OPERATIONS);
            for name in names {
                cut(name, NAME_BYTES);
            }
        }
        cut_some(&mut self.rule, NAME_BYTES);
        if let Some(reason) = &mut self.reason {
            reason.bound();
        }
    }
}

impl Inference {
    fn bound(&mut self) {
        self.destination.bound();
        if let Some(caller) = &mut self.caller {
            caller.bound();
        }
        cut(&mut self.operation, TEXT_BYTES);
        for name in [&mut self.route, &mut self.provider, &mut self.model] {
            cut_some(name, NAME_BYTES);
        }
        if let Some(reason) = &mut self.reason {
            reason.bound();
        }
    }
}

impl Destination {
    fn bound(&mut self) {
        cut_some(&mut self.name, NAME_BYTES);
    }
}

impl Caller {
    fn bound(&mut self) {
        cut(&mut self.binary, PATH_BYTES);
        bound_argv(&mut self.argv);
        self.ancestors.truncate(ANCESTORS);
        for path in &mut self.ancestors {
            cut(path, PATH_BYTES);
        }
    }
}

impl Reason {
    fn bound(&mut self) {
        cut(&mut self.predicate, NAME_BYTES);
        cut(&mut self.detail, TEXT_BYTES);
        cut_some(&mut self.nearest, TEXT_BYTES);
    }
}

impl Dns {
    fn bound(&mut self) {
        cut(&mut self.name, NAME_BYTES);
        cut(&mut self.record_type, NAME_BYTES);
        cut(&mut self.predicate, NAME_BYTES);
    }
}

impl Bypass {
    fn bound(&mut self) {
        cut(&mut self.protocol, NAME_BYTES);
    }
}

impl Process {
    fn bound(&mut self) {
        cut(&mut self.role, NAME_BYTES);
        cut(&mut self.activity, NAME_BYTES);
        bound_argv(&mut self.argv);
    }
}

impl Config {
    fn bound(&mut self) {
        cut(&mut self.activity, NAME_BYTES);
        cut_some(&mut self.detail, TEXT_BYTES);
    }
}

impl Lifecycle {
    fn bound(&mut self) {
        cut(&mut self.activity, NAME_BYTES);
        cut(&mut self.detail, TEXT_BYTES);
    }
}

fn bound_argv(argv: &mut Vec<String>) {
    if argv.len() > ARGV_ITEMS {
        argv.truncate(ARGV_ITEMS.saturating_sub(1));
        argv.push("…".to_owned());
    }
    for item in argv {
        cut(item, ARGV_BYTES);
    }
}
