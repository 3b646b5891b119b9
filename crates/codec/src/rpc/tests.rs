use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Vec<Message>, RpcError> {
    calls(&Json::parse(text.as_bytes()).unwrap())
}

/// The only message, which is a call.
fn one(text: &str) -> Call {
    match read(text).unwrap().as_slice() {
        [Message::Call(call)] => call.clone(),
        other => panic!("{other:?}"),
    }
}

fn refused(cases: &[(&str, RpcError)]) {
    for (text, error) in cases {
        assert_eq!(read(text), Err(*error), "{text}");
    }
}

/// The scalars in these params.
fn scalars(params: &str) -> Result<Vec<(String, String)>, RpcError> {
    let messages = read(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}"#))?;
    match messages.as_slice() {
        [Message::Call(call)] => Ok(call.params.clone()),
        other => panic!("{other:?}"),
    }
}

fn are(params: &str, expected: &[(&str, &str)]) {
    let pairs = scalars(params).unwrap();
    let pairs: Vec<_> = pairs.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(pairs, expected, "{params}");
}

#[test]
fn requests_and_notifications_are_calls() {
    let call = one(r#"{"jsonrpc":"2.0","id":"7","method":"a/b"}"#);
    let id = Some(Id::String("7".into()));
    assert_eq!(call, Call { id, method: "a/b".into(), tool: None, params: Vec::new() });
    assert_eq!(one(r#"{"method":"n","jsonrpc":"2.0","params":null}"#).id, None);
    assert_eq!(
        one(r#"{"method":"n","jsonrpc":"2.0","id":1e0}"#).id,
        Some(Id::Number("1e0".into()))
    );
    assert_eq!(one(r#"{"method":"n","jsonrpc":"2.0","id":null}"#).id, Some(Id::Null));
}

#[test]
fn params_are_dotted_paths_and_texts() {
    are(
        r#"{"name":"t","arguments":{"path":"/etc","n":1.50,"ok":true,"none":null,"in":{"a":"\n"}}}"#,
        &[
            ("name", "t"),
            ("arguments.path", "/etc"),
            ("arguments.n", "1.50"),
            ("arguments.ok", "true"),
            ("arguments.in.a", "\n"),
        ],
    );
    are(
        r#"{"a":[1,[2,{"b":3}],{"b":[4]},null,[]],"c":{}}"#,
        &[("a", "1"), ("a", "2"), ("a.b", "3"), ("a.b", "4")],
    );
    are(r#"["x",{"y":1},[2]]"#, &[("", "x"), ("y", "1"), ("", "2")]);
    are("{}", &[]);
}

#[test]
fn h06_a_name_with_a_dot_imitates_no_path() {
    are(
        r#"{"a.b":1,"a":{"b":2,"c.d":3},"a\\":{"b":4},"":{"":5}}"#,
        &[(r"a\.b", "1"), ("a.b", "2"), (r"a.c\.d", "3"), (r"a\\.b", "4"), (".", "5")],
    );
}

#[test]
fn h06_names_that_some_servers_take_for_one_are_refused() {
    for params in [
        r#"{"name":"safe","Name":"evil"}"#,
        r#"{"arguments":{"task":1,"TASK":2}}"#,
        r#"{"list":[{"kind":1,"\u212aind":2}]}"#,
        r#"{"safe":1,"\u017fafe":2}"#,
        r#"{"name\u0000":1}"#,
        r#"{"a\u009f":1}"#,
    ] {
        assert_eq!(scalars(params), Err(RpcError::Name), "{params}");
    }
}

#[test]
fn h06_a_tool_is_the_exact_name() {
    let call = |name: &str| {
        read(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{name}}}}}"#
        ))
    };
    let tool = |name: &str| match call(name).unwrap().remove(0) {
        Message::Call(call) => call.tool,
        Message::Response { .. } => panic!("an answer"),
    };
    assert_eq!(tool(r#""read_file""#).as_deref(), Some("read_file"));
    // A twin of `a` and a prefix are other names, and stay so.
    assert_eq!(tool(r#""re\u0430d_file""#).as_deref(), Some("re\u{430}d_file"));
    assert_eq!(tool(r#"" read_file""#).as_deref(), Some(" read_file"));
    assert_eq!(tool(r#""""#).as_deref(), Some(""));
    for name in [r#""read_file\u0000x""#, r#""a\n""#, "1", "null", r#"["read_file"]"#, "{}"] {
        assert_eq!(call(name), Err(RpcError::Tool), "{name}");
    }
    assert_eq!(one(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#).tool, None);
    assert_eq!(one(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["a"]}"#).tool, None);
    // Elsewhere `name` is a parameter like others.
    let other = one(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p"}}"#);
    assert_eq!((other.tool, other.params.len()), (None, 1));
}

#[test]
fn h04_all_messages_of_a_batch_are_read() {
    let batch = read(
        r#"[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"b"},
            {"jsonrpc":"2.0","id":2,"result":null}]"#,
    );
    let methods: Vec<_> = batch
        .unwrap()
        .into_iter()
        .map(|message| match message {
            Message::Call(call) => call.method,
            Message::Response { .. } => "answer".to_owned(),
        })
        .collect();
    assert_eq!(methods, ["a", "b", "answer"]);
    let many = |count: usize| {
        read(&format!("[{}]", vec![r#"{"jsonrpc":"2.0","method":"a"}"#; count].join(",")))
    };
    assert_eq!(many(BATCH).unwrap().len(), BATCH);
    assert_eq!(many(BATCH + 1), Err(RpcError::LongBatch));
    refused(&[
        ("[]", RpcError::EmptyBatch),
        ("1", RpcError::Shape),
        ("null", RpcError::Shape),
        (r#"[{"jsonrpc":"2.0","method":"a"},1]"#, RpcError::Shape),
        (r#"[[{"jsonrpc":"2.0","method":"a"}]]"#, RpcError::Shape),
        (r#"[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0"}]"#, RpcError::Kind),
    ]);
}

#[test]
fn h04_answers_are_told_from_calls() {
    let id = Id::Number("1".into());
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"result":{"method":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":""}}"#,
    ] {
        assert_eq!(read(text), Ok(vec![Message::Response { id: id.clone() }]));
    }
    refused(&[
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","result":1}"#, RpcError::Kind),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","error":null}"#, RpcError::Kind),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":null}"#, RpcError::Kind),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"params":{}}"#, RpcError::Kind),
        (r#"{"jsonrpc":"2.0","id":1}"#, RpcError::Kind),
        (r#"{"jsonrpc":"2.0","result":1}"#, RpcError::Id),
    ]);
}

#[test]
fn h02_malformed_messages_are_refused() {
    let long = format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "a".repeat(METHOD_BYTES + 1));
    refused(&[
        (r#"{"id":1,"method":"a"}"#, RpcError::Version),
        (r#"{"jsonrpc":2.0,"method":"a"}"#, RpcError::Version),
        (r#"{"jsonrpc":"1.0","method":"a"}"#, RpcError::Version),
        (r#"{"jsonrpc":"2.0","method":"a","Method":"b"}"#, RpcError::Member),
        (r#"{"jsonrpc":"2.0","method":"a","method\u0000":"b"}"#, RpcError::Member),
        (r#"{"jsonrpc":"2.0","method":"a","auth":"b"}"#, RpcError::Member),
        (r#"{"jsonrpc":"2.0","method":1}"#, RpcError::Method),
        (r#"{"jsonrpc":"2.0","method":null}"#, RpcError::Method),
        (r#"{"jsonrpc":"2.0","method":["a"]}"#, RpcError::Method),
        (r#"{"jsonrpc":"2.0","method":""}"#, RpcError::Method),
        (r#"{"jsonrpc":"2.0","method":"a\u0000b"}"#, RpcError::Method),
        (r#"{"jsonrpc":"2.0","method":"a\u0085"}"#, RpcError::Method),
        (long.as_str(), RpcError::Method),
        (r#"{"jsonrpc":"2.0","method":"a","id":true}"#, RpcError::Id),
        (r#"{"jsonrpc":"2.0","method":"a","id":[1]}"#, RpcError::Id),
        (r#"{"jsonrpc":"2.0","method":"a","id":{}}"#, RpcError::Id),
        (r#"{"jsonrpc":"2.0","method":"a","params":"x"}"#, RpcError::Params),
        (r#"{"jsonrpc":"2.0","method":"a","params":1}"#, RpcError::Params),
    ]);
}

#[test]
fn n06_long_names_do_not_multiply() {
    let long = "a".repeat(PATH_BYTES);
    let zeros = |count: usize| format!("{{\"{long}\":[{}0]}}", "0,".repeat(count - 1));
    let fit = PATHS_BYTES / PATH_BYTES;
    assert_eq!(scalars(&zeros(fit)).unwrap().len(), fit);
    assert_eq!(scalars(&zeros(fit + 1)), Err(RpcError::LongPath));
    assert_eq!(scalars(&format!("{{\"{long}a\":0}}")), Err(RpcError::LongPath));
    assert_eq!(scalars(&format!("{{\"{long}\":{{\"b\":0}}}}")), Err(RpcError::LongPath));
}

/// Trees of which names are as hostile as names get.
fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop::sample::select(&["1", "x"][..]).prop_map(Tree::Leaf);
    let name = prop::sample::select(&["a", "b", ".", "a.b", "\\", "\\.", "", "a\\"][..]);
    leaf.prop_recursive(4, 16, 3, move |inner| {
        prop::collection::btree_map(name.clone(), inner, 0..3).prop_map(Tree::Node)
    })
}

#[derive(Clone, Debug)]
enum Tree {
    Leaf(&'static str),
    Node(std::collections::BTreeMap<&'static str, Tree>),
}

impl Tree {
    fn json(&self) -> String {
        match self {
            Self::Leaf(text) => format!("{text:?}"),
            Self::Node(members) => {
                let member = |(name, value): (&&str, &Self)| format!("{name:?}:{}", value.json());
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
        }
    }

    fn leaves(&self) -> usize {
        match self {
            Self::Leaf(_) => 1,
            Self::Node(members) => members.values().map(Self::leaves).sum(),
        }
    }
}

proptest! {
    #[test]
    fn different_places_have_different_paths(tree in tree()) {
        let params = format!("{{\"top\":{}}}", tree.json());
        let pairs = scalars(&params).unwrap();
        let mut paths: Vec<_> = pairs.iter().map(|(path, _)| path).collect();
        paths.sort();
        paths.dedup();
        prop_assert_eq!(paths.len(), tree.leaves(), "{}", params);
    }
}
