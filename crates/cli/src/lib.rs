//! The command line of OpenShell.
