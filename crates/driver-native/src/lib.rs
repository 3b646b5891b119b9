//! The native driver: a supervisor is a process of this machine.
