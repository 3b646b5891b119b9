//! Proxies that refuse, and such that do not know how to answer.

use std::time::Duration;

use tokio::sync::Notify;

use super::*;
use crate::limits;

/// A proxy that answers `answer` to whatever it is asked, and closes if `is_final`.
async fn answering(answer: Vec<u8>, is_final: bool) -> Upstream {
    Upstream::serve(move |mut stream, seen| {
        let answer = answer.clone();
        async move {
            let Some(head) = read_head(&mut stream).await else { return };
            seen.lock().unwrap().1.extend_from_slice(head.as_bytes());
            let _ = stream.write_all(&answer).await;
            if !is_final {
                let _ = stream.read_u8().await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn e08_only_a_plain_yes_opens_a_tunnel() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(9 * 1024));
    let endless = "x".repeat(limits::PROXY_HEAD + 1);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(300));
    let upstream = Upstream::echo("").await;
    for (answer, reason, says) in [
        ("HTTP/1.1 407 Who\r\n\r\n", "upstream_proxy_refused", "407"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "upstream_proxy_refused", "403"),
        ("HTTP/1.0 503 Down\r\n\r\nbody", "upstream_proxy_refused", "503"),
        ("HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n", "upstream_proxy_refused", "302"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "upstream_proxy_refused", "100"),
        ("HTTP/1.1 101 Switching\r\n\r\n", "upstream_proxy_refused", "101"),
        ("HTTP/1.1 199 X\r\n\r\n", "upstream_proxy_refused", "199"),
        ("HTTP/1.1 300 X\r\n\r\n", "upstream_proxy_refused", "300"),
        (&long, "upstream_proxy_answer", "8192 bytes"),
        (&format!("HTTP/1.1 200 OK\r\nX: {endless}"), "upstream_proxy_answer", "8192 bytes"),
        (&many, "upstream_proxy_answer", "256 fields"),
        ("<html>200 OK</html>", "upstream_proxy_answer", "not HTTP/1"),
        ("HTTP/2 200\r\n\r\n", "upstream_proxy_answer", "not HTTP/1"),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", "upstream_proxy_answer", "not HTTP/1"),
        ("HTTP/1.1 200 OK\n\n", "upstream_proxy_answer", "CR LF"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "upstream_proxy_answer", "folded"),
        ("HTTP/1.1 20 OK\r\n\r\n", "upstream_proxy_answer", "malformed"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "upstream_proxy_answer", "malformed"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "upstream_proxy_answer",
            "ambiguous",
        ),
        ("HTTP/1.1 200 OK\r\nX: y\0z\r\n\r\n", "upstream_proxy_answer", "control"),
        ("", "upstream_proxy_answer", "closed"),
        ("HTTP/1.1 200 OK\r\nX: y", "upstream_proxy_answer", "closed"),
    ] {
        let is_final = says == "closed";
        let proxy = answering(answer.as_bytes().to_vec(), is_final).await;
        let world = world(&endpoint(upstream.port, ""), at(proxy.port)).await;
        let told = world.ask(&connect_to(&format!("{NAME}:{}", upstream.port))).await;
        let head = answer.get(..40).unwrap_or(answer);
        assert!(told.starts_with("HTTP/1.1 502 "), "{head:?}: {told}");
        assert!(told.contains(r#""error":"upstream_unreachable""#), "{head:?}: {told}");
        let reason_told = format!(r#""reason":"{reason}""#);
        assert!(told.contains(&reason_told) && told.contains(says), "{head:?}: {told}");
        let event = world.one_network().await;
        assert_eq!(event.outcome, Outcome::Failed, "{head:?}");
        assert_eq!(event.reason.unwrap().predicate, reason, "{head:?}");
        // No second attempt, and none around it.
        assert_eq!((proxy.connections(), upstream.connections()), (1, 0), "{head:?}");
    }
}

#[tokio::test]
async fn any_success_opens_a_tunnel_and_what_follows_it_is_the_servers() {
    let certifier = Certifier::new();
    for answer in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\n\r\n",
        "HTTP/1.1 204 \r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let early = format!("{answer}early\r\n\r\nHTTP/1.1 500 No\r\n\r\n");
        let plain = answering(early.clone().into_bytes(), true).await;
        let acceptor = certifier.acceptor("localhost", &[]);
        let secure = Upstream::serve(move |stream, _| {
            let (acceptor, early) = (acceptor.clone(), early.clone());
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = read_head(&mut stream).await;
                stream.write_all(early.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        })
        .await;
        for settings in [at(plain.port), through(&format!("https://localhost:{}", secure.port))] {
            let trusted = Some(certifier.pem.clone());
            let world = world_with(&endpoint(5000, ""), settings, trusted).await;
            let mut client = tunnel(&world, &format!("{NAME}:5000")).await;
            client.shutdown().await.unwrap();
            let got = read_all(&mut client).await;
            assert_eq!(got, "early\r\n\r\nHTTP/1.1 500 No\r\n\r\n", "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_yes_in_single_bytes_is_one() {
    let proxy = Upstream::serve(|mut stream, _| async move {
        let _ = read_head(&mut stream).await;
        stream.set_nodelay(true).unwrap();
        for byte in b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello" {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
    let world = world(&endpoint(5000, ""), at(proxy.port)).await;
    let mut client = tunnel(&world, &format!("{NAME}:5000")).await;
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, "hello");
}

/// The clock is turned on by hand, when the proxy has begun its answer.
#[tokio::test]
async fn a_proxy_that_never_ends_its_answer_is_given_up() {
    let begun = Arc::new(Notify::new());
    let told = Arc::clone(&begun);
    let proxy = Upstream::serve(move |mut stream, _| {
        let told = Arc::clone(&told);
        async move {
            let _ = read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await.unwrap();
            told.notify_one();
            // Until we go away.
            let _ = stream.read_u8().await;
        }
    })
    .await;
    let world = world(&endpoint(5000, ""), at(proxy.port)).await;
    let mut client = world.connect().await;
    client.write_all(connect_to(&format!("{NAME}:5000")).as_bytes()).await.unwrap();
    begun.notified().await;
    tokio::time::pause();
    tokio::time::advance(limits::PROXY_HANDSHAKE + Duration::from_secs(1)).await;
    tokio::time::resume();
    let answer = read_all(&mut client).await;
    assert!(answer.contains("upstream_proxy_answer") && answer.contains("in time"), "{answer}");
}

/// A proxy that refuses the first address with `status` and takes the second.
async fn second_only(status: u16) -> Upstream {
    Upstream::serve(move |mut stream, seen| async move {
        let Some(head) = read_head(&mut stream).await else { return };
        seen.lock().unwrap().1.extend_from_slice(head.as_bytes());
        let answer = if head.starts_with("CONNECT 203.0.113.1:") {
            format!("HTTP/1.1 {status} No\r\n\r\n")
        } else {
            "HTTP/1.1 200 OK\r\n\r\nhello".to_owned()
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await
}

#[tokio::test]
async fn another_address_is_tried_when_the_proxy_did_not_reach_the_first() {
    for (status, tried) in [(502, 2), (503, 2), (504, 2), (403, 1), (407, 1)] {
        let proxy = second_only(status).await;
        let set = vec![Ipv4Addr::new(203, 0, 113, 1), Ipv4Addr::new(203, 0, 113, 2)];
        let (resolver, _) = name_server(vec![set]).await;
        let (resolver, settings) = (vec![resolver], Some(at(proxy.port)));
        let options = Options { resolver, proxy: settings, ..Options::default() };
        let world = World::with(&endpoint(443, ""), options).await;
        let answer = world.ask(&connect_to(&format!("{NAME}:443"))).await;
        assert_eq!(proxy.connections(), tried, "{status}: {answer}");
        assert_eq!(answer.starts_with("HTTP/1.1 200 "), tried == 2, "{status}: {answer}");
        if tried == 2 {
            let address: IpAddr = "203.0.113.2".parse().unwrap();
            assert_eq!(allowed(&world.events(1).await), [Some(address)]);
        }
    }
}
