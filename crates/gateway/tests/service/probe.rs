//! A backend is asked before a route to it is stored.

use std::sync::{Arc, Mutex};

use openshell_wire::native;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tonic::Code;

use crate::route::{provider, route};
use crate::support::{World, scope};

/// A server that answers every request with the same, and what it was asked.
async fn server(answer: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
                // What is no HTTP has no end that could be seen.
                if head[0] != b'G' {
                    break;
                }
            }
            noted.lock().unwrap().push(String::from_utf8_lossy(&head).to_ascii_lowercase());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, asked)
}

fn verified(name: &str, model: &str) -> native::SetRouteRequest {
    native::SetRouteRequest { no_verify: false, ..route(name, model) }
}

async fn count(world: &World) -> usize {
    let request = native::GetRoutesRequest { workspace_scope: scope(), ..Default::default() };
    world.inference().get_routes(request).await.unwrap().into_inner().routes.len()
}

/// A world with a provider `own` whose server is at this port.
async fn world_with(kind: &str, key: &str, port: u16) -> World {
    let world = World::start().await;
    let url = format!("http://host.openshell.internal:{port}/base/v1");
    provider(&world, "own", kind, &[(key, url.as_str())]).await;
    world
}

const LISTED: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\
                      {\"object\":\"list\",\"data\":[{\"id\":\"m-1\",\"object\":\"model\"}]}";

#[tokio::test]
async fn a_server_that_takes_the_key_is_asked_once_and_with_it() {
    let (port, asked) = server(LISTED).await;
    let world = world_with("openai-compatible", "OPENAI_BASE_URL", port).await;
    let answer = world.inference().set_route(verified("own", "m-1")).await.expect("set");
    assert_eq!(answer.into_inner().notes, Vec::<String>::new());
    {
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].starts_with("get /base/v1/models http/1.1\r\n"), "{}", asked[0]);
        assert!(asked[0].contains("authorization: bearer sk-first\r\n"), "{}", asked[0]);
    }
    // What says nothing new to it is not asked again; another model is.
    let update = |change: fn(&mut native::UpdateRouteRequest)| {
        let mut request =
            native::UpdateRouteRequest { workspace_scope: scope(), ..Default::default() };
        change(&mut request);
        request
    };
    let timeout = update(|own| own.idle_seconds = Some(5));
    world.inference().update_route(timeout).await.expect("updated");
    assert_eq!(asked.lock().unwrap().len(), 1);
    let model = update(|own| own.model = Some("m-2".into()));
    let answer = world.inference().update_route(model).await.expect("updated").into_inner();
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert!(answer.notes[0].contains("does not list a model `m-2`"), "{:?}", answer.notes);
}

#[tokio::test]
async fn anthropics_servers_are_asked_as_they_want_to_be() {
    let (port, asked) = server(LISTED).await;
    let world = world_with("anthropic", "ANTHROPIC_BASE_URL", port).await;
    world.inference().set_route(verified("own", "m-1")).await.expect("set");
    let asked = asked.lock().unwrap();
    assert!(asked[0].contains("x-api-key: sk-first\r\n"), "{}", asked[0]);
    assert!(asked[0].contains("anthropic-version: 2023-06-01\r\n"), "{}", asked[0]);
}

#[tokio::test]
async fn a_key_that_is_refused_makes_no_route() {
    let (port, _) = server("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    let world = world_with("openai", "OPENAI_BASE_URL", port).await;
    let status = world.inference().set_route(verified("own", "m-1")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let message = status.message();
    assert!(message.contains("the provider refused the key"), "{message}");
    assert!(message.contains("--no-verify") && !message.contains("sk-first"), "{message}");
    assert_eq!(count(&world).await, 0);
    world.inference().set_route(route("own", "m-1")).await.expect("set without asking");
}

#[tokio::test]
async fn a_server_that_is_not_there_makes_no_route() {
    let closed = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let world = world_with("openai", "OPENAI_BASE_URL", port).await;
    let status = world.inference().set_route(verified("own", "m-1")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let message = status.message();
    assert!(message.contains(&format!("host.openshell.internal:{port}")), "{message}");
    assert!(message.contains("refused"), "{message}");
    assert_eq!(count(&world).await, 0);
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_not_trusted() {
    let (port, asked) = server("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let world = World::start().await;
    let url = format!("https://host.openshell.internal:{port}/v1");
    provider(&world, "own", "openai", &[("OPENAI_BASE_URL", url.as_str())]).await;
    let call = world.inference().set_route(verified("own", "m-1")).await;
    let status = call.unwrap_err();
    assert!(status.message().contains(&format!("host.openshell.internal:{port}")), "{status}");
    assert!(asked.lock().unwrap().iter().all(|head| !head.contains("sk-first")));
    assert_eq!(count(&world).await, 0);
}

#[tokio::test]
async fn other_answers_are_told_and_redirects_are_not_followed() {
    for (answer, code) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "404"),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "302"),
    ] {
        let (port, asked) = server(answer).await;
        let world = world_with("openai", "OPENAI_BASE_URL", port).await;
        let answer = world.inference().set_route(verified("own", "m-1")).await.expect("set");
        let notes = answer.into_inner().notes;
        assert!(notes[0].contains(code) && notes[0].contains("/base/v1/models"), "{notes:?}");
        assert_eq!(asked.lock().unwrap().len(), 1);
        assert_eq!(count(&world).await, 1);
    }
}
