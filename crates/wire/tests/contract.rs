//! The generated code against the facts of the published protocol.

use std::collections::HashMap;

use openshell_wire::{METHODS, Method, Mode, WorkspaceRole, datamodel, session, v1};
use prost::Message as _;
use prost_types::FileDescriptorSet;

#[test]
fn has_every_method_and_message_of_the_published_api() {
    let set = FileDescriptorSet::decode(openshell_wire::FILE_DESCRIPTOR_SET).expect("descriptors");
    let file = |name: &str| {
        set.file.iter().find(|file| file.name() == name).unwrap_or_else(|| panic!("{name}"))
    };
    let counts = [
        ("openshell/datamodel.proto", 7, 1),
        ("openshell/openshell.proto", 249, 22),
        ("openshell/options.proto", 1, 0),
        ("openshell/sandbox.proto", 24, 5),
    ];
    for (name, messages, enums) in counts {
        assert_eq!((file(name).message_type.len(), file(name).enum_type.len()), (messages, enums));
    }
    let service = &file("openshell/openshell.proto").service;
    assert_eq!(service.iter().map(|service| service.method.len()).collect::<Vec<_>>(), [84]);
}

#[test]
fn authorisation_is_what_the_published_api_declares() {
    let mut modes = HashMap::new();
    for method in METHODS.iter().filter(|m| m.path.starts_with("/openshell.v1.OpenShell/")) {
        *modes.entry(format!("{:?}", method.mode)).or_insert(0) += 1;
    }
    let facts = [
        ("Bearer", 60),
        ("Sandbox", 14),
        ("Peer", 5),
        ("Dual", 3),
        ("Operator", 1),
        ("Unauthenticated", 1),
    ];
    assert_eq!(modes, facts.map(|(mode, count)| (mode.to_owned(), count)).into());
    let update = Method::of_path("/openshell.v1.OpenShell/UpdateConfig").expect("method");
    assert_eq!(update.mode, Mode::Dual);
    assert_eq!(update.workspace_role, Some(WorkspaceRole::Admin));
    assert_eq!(update.scope, "config:write");
}

#[test]
fn debug_never_prints_a_secret() {
    let provider = datamodel::Provider {
        credentials: HashMap::from([("API_KEY".into(), "hunter2".into())]),
        ..datamodel::Provider::default()
    };
    let create = v1::CreateProviderRequest { provider: Some(provider), ..Default::default() };
    let forward = v1::TcpForwardInit {
        authorization_token: "hunter2".into(),
        target: Some(v1::tcp_forward_init::Target::Ssh(v1::SshRelayTarget {})),
        ..Default::default()
    };
    let hello = session::Hello { token: "hunter2".into(), ..Default::default() };
    for text in [format!("{create:?}"), format!("{forward:?}"), format!("{hello:?}")] {
        assert!(text.contains("[redacted]") && !text.contains("hunter2"), "{text}");
    }
}
