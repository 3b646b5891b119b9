//! Compares the compiled policy with the interpreter of `SEMANTICS.md`, and shows that the
//! questions are good enough for that.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod page;
#[cfg(test)]
mod power;
