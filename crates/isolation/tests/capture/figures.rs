//! What the capture costs, measured and printed: run it with `--nocapture`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use openshell_isolation::net;

use crate::lab::{address, listener};

const CONNECTIONS: usize = 1000;
const BYTES: usize = 256 << 20;

pub fn are_printed() {
    openshell_testkit::alone(|| {
        let started = Instant::now();
        let listeners = net::configure().unwrap();
        println!("configure: {:?}", started.elapsed());
        let captured = listener(&listeners.tcp4);
        captured.set_nonblocking(false).unwrap();
        let direct = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = direct.local_addr().unwrap();
        for (name, listener, to) in
            [("direct", direct, local), ("captured", captured, address("93.184.216.34:443"))]
        {
            let mut times = connect(&listener, to);
            times.sort();
            let (p50, p99) = (times[CONNECTIONS / 2], times[CONNECTIONS * 99 / 100]);
            let rate = throughput(&listener, to);
            println!("{name}: connect p50 {p50:?}, p99 {p99:?}; {rate:.2} GB/s");
        }
    });
}

/// The time of each connection until it is accepted, one after another.
fn connect(listener: &TcpListener, to: SocketAddr) -> Vec<Duration> {
    (0..CONNECTIONS)
        .map(|_| {
            let started = Instant::now();
            let _client = TcpStream::connect(to).unwrap();
            listener.accept().unwrap();
            started.elapsed()
        })
        .collect()
}

fn throughput(listener: &TcpListener, to: SocketAddr) -> f64 {
    let mut client = TcpStream::connect(to).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let started = Instant::now();
    let writer = thread::spawn(move || {
        let chunk = vec![7; 1 << 18];
        for _ in 0..BYTES / chunk.len() {
            server.write_all(&chunk).unwrap();
        }
    });
    let mut buffer = vec![0; 1 << 18];
    while client.read(&mut buffer).unwrap() > 0 {}
    writer.join().unwrap();
    BYTES as f64 / started.elapsed().as_secs_f64() / 1e9
}
