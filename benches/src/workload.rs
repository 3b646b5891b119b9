//! Rules of several shapes and sizes, and what is asked of them.

use clap::ValueEnum;

/// Sizes that are measured, in rules.
pub const SIZES: [usize; 5] = [1, 10, 100, 1_000, 10_000];

/// The port of every endpoint and every question.
pub const PORT: u16 = 443;

/// The method of every rule and every request.
pub const METHOD: &str = "GET";

/// The program of every rule, where there is only one.
const TOOL: &str = "/usr/bin/tool";

/// What grows with the number of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Hosts by their exact names.
    Hosts,
    /// Paths of one host.
    Paths,
    /// Host patterns.
    Wildcards,
    /// Programs, each with the same hosts: 200 × 50 at 10,000 rules.
    Programs,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hosts, Self::Paths, Self::Wildcards, Self::Programs];

    /// A title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Hosts => "exact hosts, each with a path",
            Self::Paths => "one host, paths /r<i>/**",
            Self::Wildcards => "host patterns *.svc<i>.example.com and api-*.x<i>.example.com",
            Self::Programs => "programs, each with a path on the same hosts",
        }
    }

    /// Programs and hosts of each.
    const fn programs(rules: usize) -> (usize, usize) {
        match rules {
            0..=1 => (1, 1),
            2..=10 => (5, 2),
            11..=100 => (20, 5),
            101..=1_000 => (50, 20),
            _ => (200, rules / 200),
        }
    }
}

/// Rules in no engine's words.
#[derive(Debug)]
pub struct Workload {
    /// Who may go where.
    pub rules: Vec<Rule>,
    /// The first, the last and no rule matches; for connections, then for requests.
    pub questions: Vec<Question>,
}

/// What one program may do.
#[derive(Debug)]
pub struct Rule {
    /// The path of its file.
    pub program: String,
    /// Where it may go.
    pub endpoints: Vec<Endpoint>,
}

/// A host and what may be asked there.
#[derive(Debug)]
pub struct Endpoint {
    /// A name, or a pattern with `*` in its first label.
    pub host: String,
    /// Path patterns that end in `/**`.
    pub paths: Vec<String>,
}

/// What one decision is about.
#[derive(Debug)]
pub struct Question {
    /// Which rule it is made to match.
    pub title: &'static str,
    /// What is asked.
    pub about: About,
    /// Where to.
    pub host: String,
    /// By whom.
    pub program: String,
    /// The request's path; for a connection of no meaning.
    pub path: String,
    /// The right answer.
    pub allowed: bool,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Whether a connection may be opened.
    Connection,
    /// Whether a request may be sent over it.
    Request,
}

impl Workload {
    /// Rules of this shape, as many as asked for, and questions.
    pub fn new(shape: Shape, rules: usize) -> Self {
        let last = rules.saturating_sub(1);
        let path = || "/v1/**".to_owned();
        match shape {
            Shape::Hosts => Self {
                rules: (0..rules).map(|i| one_endpoint(exact(i), [path()])).collect(),
                questions: questions([
                    (&exact(0), TOOL, "/v1/items"),
                    (&exact(last), TOOL, "/v1/items"),
                    ("api.nowhere.example.com", TOOL, "/v2/items"),
                ]),
            },
            Shape::Paths => Self {
                rules: vec![one_endpoint(exact(0), (0..rules).map(|i| format!("/r{i}/**")))],
                questions: questions([
                    (&exact(0), TOOL, "/r0/items/7"),
                    (&exact(0), TOOL, &format!("/r{last}/items/7")),
                    ("api.nowhere.example.com", TOOL, "/s0/items/7"),
                ]),
            },
            Shape::Wildcards => Self {
                rules: (0..rules).map(|i| one_endpoint(pattern(i), [path()])).collect(),
                questions: questions([
                    (&pattern(0).replace('*', "a7"), TOOL, "/v1/items"),
                    (&pattern(last).replace('*', "a7"), TOOL, "/v1/items"),
                    ("api-7.nowhere.example.com", TOOL, "/v2/items"),
                ]),
            },
            Shape::Programs => Self::programs(rules),
        }
    }

    fn programs(rules: usize) -> Self {
        let (programs, hosts) = Shape::programs(rules);
        let tool = |i: usize| format!("{TOOL}{i}");
        let rule = |i: usize| Rule {
            program: tool(i),
            endpoints: (0..hosts)
                .map(|host| Endpoint { host: exact(host), paths: vec![format!("/p{i}/**")] })
                .collect(),
        };
        let last = programs.saturating_sub(1);
        let last_host = exact(hosts.saturating_sub(1));
        let mut questions = questions([
            (&exact(0), &tool(0), "/p0/items"),
            (&last_host, &tool(last), &format!("/p{last}/items")),
            (&last_host, &tool(programs), "/p0/items"),
        ]);
        // The last program, on a path that is another's.
        if let Some(none) = questions.last_mut() {
            none.program = tool(last);
            none.host = last_host;
            none.path = format!("/p{programs}/items");
        }
        Self { rules: (0..programs).map(rule).collect(), questions }
    }

    /// How many rules there are: pairs of a host and a path.
    pub fn size(&self) -> usize {
        self.rules.iter().flat_map(|rule| &rule.endpoints).map(|to| to.paths.len()).sum()
    }
}

fn exact(number: usize) -> String {
    format!("api{number}.example.com")
}

fn pattern(number: usize) -> String {
    if number.is_multiple_of(2) {
        format!("*.svc{number}.example.com")
    } else {
        format!("api-*.x{number}.example.com")
    }
}

fn one_endpoint(host: String, paths: impl IntoIterator<Item = String>) -> Rule {
    let endpoint = Endpoint { host, paths: paths.into_iter().collect() };
    Rule { program: TOOL.to_owned(), endpoints: vec![endpoint] }
}

/// The six questions out of where the first, the last and no rule matches. A request that no rule
/// matches is one over a connection that is allowed, since there is no other: only its path is not.
fn questions([first, last, none]: [(&str, &str, &str); 3]) -> Vec<Question> {
    let ask = |title, about, (host, program, path): (&str, &str, &str), allowed| Question {
        title,
        about,
        host: host.to_owned(),
        program: program.to_owned(),
        path: path.to_owned(),
        allowed,
    };
    let (host, program, _) = last;
    vec![
        ask("connect, first", About::Connection, first, true),
        ask("connect, last", About::Connection, last, true),
        ask("connect, none", About::Connection, none, false),
        ask("request, first", About::Request, first, true),
        ask("request, last", About::Request, last, true),
        ask("request, none", About::Request, (host, program, none.2), false),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_has_as_many_rules_as_it_says() {
        for shape in Shape::ALL {
            for size in SIZES {
                assert_eq!(Workload::new(shape, size).size(), size, "{shape:?}");
            }
        }
    }
}
