//! The trusted process of one sandbox.
