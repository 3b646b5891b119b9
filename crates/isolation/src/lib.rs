//! The jail: namespaces, root file system, Landlock, seccomp, capture and the identity of callers.
