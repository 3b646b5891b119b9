//! A sandbox, driven through the command line.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use openshell_testkit::{Finished, Product, finish};
use serde_json::Value;

use crate::Log;

/// A command in a sandbox that takes longer is killed.
const DEADLINE: Duration = Duration::from_secs(60);

/// A sandbox of a [`Product`].
#[derive(Debug)]
pub struct Sandbox<'p> {
    product: &'p Product,
    name: String,
}

impl<'p> Sandbox<'p> {
    /// Creates one that only sleeps, with a policy.
    #[track_caller]
    pub fn start(product: &'p Product, name: &str, policy: &str) -> Self {
        Self::start_with(product, name, policy, &["sleep", "1000000"])
    }

    /// Creates one with a main command that nobody is attached to.
    #[track_caller]
    pub fn start_with(product: &'p Product, name: &str, policy: &str, command: &[&str]) -> Self {
        let sandbox = Self { product, name: name.to_owned() };
        let file = sandbox.write_policy(policy);
        let create = ["sandbox", "create", "--name", name, "--policy", &file, "--detach", "--"];
        product.run(&[&create, command].concat()).succeeded();
        sandbox
    }

    /// One that exists already.
    pub fn existing(product: &'p Product, name: &str) -> Self {
        Self { product, name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a shell script in it.
    pub fn sh(&self, script: &str) -> Finished {
        self.exec(&["sh", "-c", script])
    }

    /// Runs a shell script in it that has never heard of a proxy.
    pub fn direct(&self, script: &str) -> Finished {
        let unset = "unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY";
        self.sh(&format!("{unset}; {script}"))
    }

    /// Runs a Python program in it.
    pub fn python(&self, program: &str, arguments: &[&str]) -> Finished {
        self.exec(&[&["/usr/bin/python3", "-c", program], arguments].concat())
    }

    /// Runs a command in it.
    pub fn exec(&self, command: &[&str]) -> Finished {
        finish(&mut self.exec_command(&[], command), DEADLINE)
    }

    /// `sandbox exec` with options of its own, ready to be run.
    pub fn exec_command(&self, options: &[&str], command: &[&str]) -> Command {
        let head = ["sandbox", "exec", "--name", &self.name];
        self.product.command(&[&head, options, &["--"], command].concat())
    }

    /// Puts a policy in force, and returns when it is.
    pub fn set_policy(&self, policy: &str) -> Finished {
        let file = self.write_policy(policy);
        self.product.run(&["policy", "set", &self.name, "--policy", &file, "--wait"])
    }

    /// What `sandbox get -o json` says.
    #[track_caller]
    pub fn detail(&self) -> Value {
        let said = self.product.run(&["sandbox", "get", &self.name, "-o", "json"]).succeeded();
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Its phase.
    #[track_caller]
    pub fn phase(&self) -> String {
        self.detail()["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// What `openshell logs` prints for people.
    #[track_caller]
    pub fn logs(&self) -> String {
        self.product.run(&["logs", &self.name, "-n", "1000"]).succeeded().stdout
    }

    /// Where its files are.
    #[track_caller]
    pub fn folder(&self) -> PathBuf {
        let id = self.detail()["id"].as_str().unwrap_or_default().to_owned();
        self.product.state().join("sandboxes").join(id)
    }

    /// Its audit log.
    #[track_caller]
    pub fn log(&self) -> Log {
        Log::new(self.folder().join("audit.jsonl"))
    }

    /// Writes a policy file; returns its path.
    pub fn write_policy(&self, policy: &str) -> String {
        let path = self.product.home().join(format!("{}.yaml", self.name));
        self.product.write(&path, policy);
        path.to_str().unwrap_or_default().to_owned()
    }
}
