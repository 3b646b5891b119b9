//! Compiles the `.proto` files without protoc, and derives from their options what must not be
//! written twice: which fields are secret and who may call which method.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, error, fs};

use protox::prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, Value,
};

const FILES: [&str; 7] = [
    "openshell/options.proto",
    "openshell/datamodel.proto",
    "openshell/sandbox.proto",
    "openshell/openshell.proto",
    "openshell/native/v1/native.proto",
    "openshell/native/v1/inference.proto",
    "openshell/session/v1/session.proto",
];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_files(FILES)?;
    let pool = compiler.descriptor_pool();
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    let secret: Vec<MessageDescriptor> =
        pool.all_messages().filter(|message| message.fields().any(|f| is_secret(&f))).collect();
    // A server implements what it serves; the rest answers UNIMPLEMENTED.
    let mut builder =
        tonic_prost_build::configure().include_file("openshell.rs").generate_default_stubs(true);
    for message in &secret {
        builder = builder.skip_debug([format!(".{}", message.full_name())]);
        // The path of a message covers its oneofs, which hold no secret.
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            builder = builder.enum_attribute(format!(".{}", oneof.full_name()), "#[derive(Debug)]");
        }
    }
    builder.compile_fds(compiler.file_descriptor_set())?;

    write_debug(&out.join("redact.rs"), &secret)?;
    write_methods(&out.join("methods.rs"), &pool)?;
    Ok(())
}

fn is_secret(field: &FieldDescriptor) -> bool {
    extension(&field.options(), "openshell.options.v1.secret")
        .is_some_and(|value| value.as_bool() == Some(true))
}

fn extension(options: &DynamicMessage, name: &str) -> Option<Value> {
    options.extensions().find(|(ext, _)| ext.full_name() == name).map(|(_, value)| value.clone())
}

/// Implements `Debug` for messages with secret fields: these print as `[redacted]`.
fn write_debug(path: &Path, messages: &[MessageDescriptor]) -> Result<(), Box<dyn error::Error>> {
    let mut code = String::new();
    for message in messages {
        let module = message.package_name().replace('.', "::");
        write!(
            code,
            "impl ::core::fmt::Debug for {module}::{name} {{
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{
        f.debug_struct(\"{name}\")",
            name = message.name(),
        )?;
        let mut oneofs = Vec::new();
        for field in message.fields() {
            if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
                if is_secret(&field) {
                    return Err(format!("{}: a secret in a oneof", field.full_name()).into());
                }
                if !oneofs.contains(&oneof) {
                    write!(code, ".field(\"{0}\", &self.{0})", oneof.name())?;
                    oneofs.push(oneof);
                }
            } else if is_secret(&field) {
                write!(code, ".field(\"{}\", &crate::REDACTED)", field.name())?;
            } else {
                let ident = if field.name() == "type" { "r#type" } else { field.name() };
                write!(code, ".field(\"{}\", &self.{ident})", field.name())?;
            }
        }
        writeln!(code, ".finish()\n    }}\n}}")?;
    }
    Ok(fs::write(path, code)?)
}

/// Writes the table of methods and who may call them. A method without a rule does not build.
fn write_methods(path: &Path, pool: &DescriptorPool) -> Result<(), Box<dyn error::Error>> {
    let mut code = String::from("&[\n");
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let rule = rule(&method)?;
        writeln!(
            code,
            "    Method {{ path: \"/{}/{}\", mode: Mode::{}, workspace_role: {}, \
             platform_admin: {}, scope: {:?} }},",
            method.parent_service().full_name(),
            method.name(),
            rule.mode,
            rule.workspace_role,
            rule.platform_admin,
            rule.scope,
        )?;
    }
    code.push_str("]\n");
    Ok(fs::write(path, code)?)
}

struct Rule {
    mode: &'static str,
    workspace_role: &'static str,
    platform_admin: bool,
    scope: String,
}

fn rule(method: &MethodDescriptor) -> Result<Rule, Box<dyn error::Error>> {
    let missing = || format!("{}: no authorization option", method.full_name());
    let value = extension(&method.options(), "openshell.options.v1.authorization");
    let message = value.as_ref().and_then(Value::as_message).ok_or_else(missing)?;
    let text = |field: &str| -> String {
        message
            .get_field_by_name(field)
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    let mode = match text("auth_mode").as_str() {
        "unauthenticated" => "Unauthenticated",
        "bearer" => "Bearer",
        "sandbox" => "Sandbox",
        "dual" => "Dual",
        "operator" => "Operator",
        "peer" => "Peer",
        other => return Err(format!("{}: auth mode {other:?}", method.full_name()).into()),
    };
    let workspace_role = match text("workspace_role").as_str() {
        "" => "None",
        "user" => "Some(WorkspaceRole::User)",
        "admin" => "Some(WorkspaceRole::Admin)",
        other => return Err(format!("{}: role {other:?}", method.full_name()).into()),
    };
    let platform_admin = match text("global_role").as_str() {
        "" => false,
        "platform_admin" => true,
        other => return Err(format!("{}: role {other:?}", method.full_name()).into()),
    };
    Ok(Rule { mode, workspace_role, platform_admin, scope: text("scope") })
}
