//! An independent judge of policies, for tests only.
//!
//! [`World`] is a naive interpreter of `SEMANTICS.md`: it reads the text with its own structs, loops
//! over every rule and tries every way a pattern can match. It shares nothing with the compiled
//! policy, so that no mistake is made twice. [`document`] and [`question`] make documents and
//! questions over small alphabets, [`compare`] asks both sides, and [`Mutant`] shows that the
//! questions tell a wrong meaning from the right one.

mod choices;
mod compare;
mod connect;
mod generate;
mod model;
mod mutant;
mod product;
mod question;
mod request;
mod shrink;
mod tally;
mod text;
mod tree;

pub use choices::Choices;
pub use compare::{Difference, Run, compare, run, run_bytes};
pub use connect::World;
pub use generate::{BOUND, document, question};
pub use mutant::Mutant;
pub use product::Product;
pub use question::{
    Answer, Asked, Call, Carried, Connection, Kind, Operation, Program, Question, Target,
};
pub use shrink::Case;
pub use tally::{Shares, Tally};
pub use tree::Node;
