//! Asks the interpreter and the compiled policy the same, and stops where they differ.

use std::fmt;

use crate::choices::Choices;
use crate::connect::World;
use crate::generate::{BOUND, document, question};
use crate::product::Product;
use crate::question::{Answer, Question};
use crate::shrink::Case;
use crate::tally::Tally;
use crate::tree::Node;

/// How much to compare.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Pairs of a document and a question.
    pub pairs: u64,
    /// Where the choices start.
    pub seed: u64,
    /// Questions to each document.
    pub questions: u64,
}

/// A case in which the two sides do not say the same.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The smallest such case that was found.
    pub case: Case,
    /// What the page says.
    pub wanted: String,
    /// What the compiled policy says.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { document, question } = &self.case;
        write!(f, "{}\nquestion: {question:#?}\n", document.to_policy())?;
        write!(f, "the page says:   {}\nthe policy says: {}\n", self.wanted, self.found)
    }
}

/// Compares so many pairs and stops at the first difference.
pub fn run(run: Run) -> Result<Tally, Box<Difference>> {
    let mut tally = Tally::default();
    let mut choices = Choices::seeded(run.seed);
    while tally.pairs < run.pairs {
        let document = document(&mut choices);
        compare(&document, &mut choices, run.questions, &mut tally)?;
    }
    Ok(tally)
}

/// Compares the document and the questions that these bytes choose; what a fuzzer calls.
pub fn run_bytes(bytes: &[u8]) -> Result<Tally, Box<Difference>> {
    /// Questions to the document; the later ones are the same for most inputs.
    const QUESTIONS: u64 = 8;
    let mut choices = Choices::of_bytes(bytes);
    let mut tally = Tally::default();
    let document = document(&mut choices);
    compare(&document, &mut choices, QUESTIONS, &mut tally)?;
    Ok(tally)
}

/// Compares one document by so many questions.
pub fn compare(
    document: &Node,
    choices: &mut Choices<'_>,
    questions: u64,
    tally: &mut Tally,
) -> Result<(), Box<Difference>> {
    let text = document.to_policy();
    let world = World::new(&text, BOUND);
    let product = Product::new(&text, BOUND);
    let (world, product) = match (world, product) {
        (Ok(world), Ok(product)) => (world, product),
        (Ok(_), Err(said)) if only_disagreeing_options(&said) => return Ok(()),
        (world, product) => {
            return Err(unreadable(document, choices, (world.err(), product.err())));
        }
    };
    tally.count_document(&world);
    for _ in 0..questions {
        let question = question(choices, &world);
        let wanted = world.answer(&question);
        tally.count(&question, &wanted);
        if !product.answer(&question).is_ok_and(|found| wanted.agrees(&found)) {
            let case = Case { document: document.clone(), question };
            return Err(Box::new(smallest(case)));
        }
    }
    Ok(())
}

/// Whether all that is wrong is that endpoints for the same requests have different options. The
/// generator draws each by itself, so that this happens; such a document asks nothing.
fn only_disagreeing_options(said: &str) -> bool {
    let mut errors = said.lines().filter(|line| line.starts_with("error["));
    errors.all(|line| line.starts_with("error[P0419]"))
}

/// Both answers, when both sides can read the document.
fn both(case: &Case) -> Option<(Answer, Result<Answer, String>)> {
    let text = case.document.to_policy();
    let world = World::new(&text, BOUND).ok()?;
    let product = Product::new(&text, BOUND).ok()?;
    Some((world.answer(&case.question), product.answer(&case.question)))
}

fn smallest(case: Case) -> Difference {
    let differs = |case: &Case| {
        both(case).is_some_and(|(wanted, found)| !found.is_ok_and(|found| wanted.agrees(&found)))
    };
    let case = case.shrink(differs);
    let (wanted, found) = match both(&case) {
        Some((wanted, found)) => (format!("{wanted:?}"), format!("{found:?}")),
        None => Default::default(),
    };
    Difference { case, wanted, found }
}

/// A document that one side cannot read, which is no document for the other either.
fn unreadable(
    document: &Node,
    choices: &mut Choices<'_>,
    (world, product): (Option<String>, Option<String>),
) -> Box<Difference> {
    let first = |said: &Option<String>| {
        said.as_ref().map(|said| said.lines().next().unwrap_or_default().to_owned())
    };
    let wanted = first(&product);
    let question = Question::Connect(crate::generate::connection(choices, &[]));
    let case = Case { document: document.clone(), question };
    let case = match (&world, wanted) {
        (None, Some(wanted)) => case.shrink(|case| {
            let text = case.document.to_policy();
            let said = Product::new(&text, BOUND).err();
            World::new(&text, BOUND).is_ok() && first(&said).as_ref() == Some(&wanted)
        }),
        _ => case,
    };
    let text = case.document.to_policy();
    let said = |error: Option<String>| error.unwrap_or_else(|| "a document".to_owned());
    Box::new(Difference {
        wanted: said(World::new(&text, BOUND).err()),
        found: said(Product::new(&text, BOUND).err()),
        case,
    })
}
