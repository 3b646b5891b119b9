//! What the generated documents and questions can tell apart, whatever the compiled policy does.

use std::collections::{BTreeMap, BTreeSet};

use openshell_policy_oracle::{
    Answer, BOUND, Carried, Case, Choices, Mutant, Question, Tally, World, document, question,
};

/// Pairs in which a wrong meaning has to show: as many as the ordinary comparison asks.
const PAIRS: u64 = 20_000;

/// Whether there is more to find out.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    Stop,
}

/// Asks so many pairs of the interpreter alone; `each` gets the question and its number.
fn ask(seed: u64, pairs: u64, mut each: impl FnMut(&mut World, &Question, u32) -> Go) {
    let mut choices = Choices::seeded(seed);
    let mut asked = 0;
    while asked < pairs {
        let text = document(&mut choices).to_policy();
        let mut world = World::new(&text, BOUND).unwrap_or_else(|error| panic!("{error}\n{text}"));
        for number in 0..40 {
            let question = question(&mut choices, &world);
            if each(&mut world, &question, number) == Go::Stop {
                return;
            }
            asked += 1;
        }
    }
}

#[test]
fn every_mutant_is_noticed() {
    assert!(Mutant::ALL.len() >= 25);
    let mut unnoticed: BTreeSet<Mutant> = Mutant::ALL.iter().copied().collect();
    ask(1, PAIRS, |world, question, _| {
        world.set_mutant(None);
        let right = world.answer(question);
        unnoticed.retain(|mutant| {
            world.set_mutant(Some(*mutant));
            world.answer(question).agrees(&right)
        });
        world.set_mutant(None);
        if unnoticed.is_empty() { Go::Stop } else { Go::On }
    });
    assert!(unnoticed.is_empty(), "nobody noticed {unnoticed:?}");
}

const fn kind_of(content: &Carried) -> &'static str {
    match content {
        Carried::Plain => "plain",
        Carried::Message { .. } => "message",
        Carried::Graphql(_) => "graphql",
        Carried::Rpc(_) => "rpc",
    }
}

#[test]
fn questions_are_allowed_and_denied_often_for_every_reason_and_protocol() {
    let mut tally = Tally::default();
    let mut contents: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    ask(2, PAIRS, |world, question, number| {
        if number == 0 {
            tally.count_document(world);
        }
        let answer = world.answer(question);
        if let Question::Request(_, asked) = question {
            let (allowed, denied) = contents.entry(kind_of(&asked.content)).or_default();
            *allowed += u32::from(matches!(answer, Answer::Allow { .. }));
            *denied += u32::from(matches!(answer, Answer::Deny { .. }));
        }
        tally.count(question, &answer);
        Go::On
    });
    println!("{tally}");
    for kind in ["connect", "request"] {
        let (allowed, denied) = tally.kinds[kind].percent();
        assert!(allowed >= 30 && denied >= 30, "{kind}: {allowed} % allowed, {denied} % denied");
    }
    let words = [
        "host",
        "port",
        "binary",
        "binary_digest",
        "expired",
        "never_reachable",
        "connection",
        "path",
        "protocol",
        "rule",
        "deny_rule",
    ];
    for word in words {
        assert!(tally.words.get(word).is_some_and(|count| *count >= 20), "{word} is too rare");
    }
    for (content, (allowed, denied)) in &contents {
        assert!(*allowed >= 200 && *denied >= 200, "{content}: {allowed} allowed, {denied} denied");
    }
    assert_eq!(contents.len(), 4);
    assert_eq!(tally.protocols.len(), 9, "{:?}", tally.protocols);
    assert!(tally.noted >= 200);
}

#[test]
fn a_difference_is_shown_by_a_small_document() {
    let differs = |case: &Case| {
        let Ok(mut world) = World::new(&case.document.to_policy(), BOUND) else { return false };
        let right = world.answer(&case.question);
        world.set_mutant(Some(Mutant::DenyLoses));
        !world.answer(&case.question).agrees(&right)
    };
    let mut choices = Choices::seeded(4);
    let case = loop {
        let document = document(&mut choices);
        let world = World::new(&document.to_policy(), BOUND).unwrap();
        let question = question(&mut choices, &world);
        let case = Case { document, question };
        if differs(&case) {
            break case;
        }
    };
    let small = case.shrink(differs);
    assert!(differs(&small));
    let text = small.document.to_policy();
    assert_eq!(text.lines().count(), 7, "one rule of one endpoint and one binary:\n{text}");
}
