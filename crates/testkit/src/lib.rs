//! Builders, fakes and the test world.
