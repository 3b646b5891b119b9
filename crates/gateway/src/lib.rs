//! The control plane: API, state, auth, lifecycle and sessions.
