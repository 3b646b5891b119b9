//! The other end of the cable: a network namespace that plays the Internet.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::process::must;

/// The addresses of the cable's two ends, and of the machine that the test plays.
pub(crate) const HOST_V4: &str = "10.77.0.2";
pub(crate) const HOST_V6: &str = "2600:1f18:77::2";
const GATEWAY_V4: &str = "10.77.0.1";
const GATEWAY_V6: &str = "2600:1f18:77::1";

/// Counts what arrives, per destination, whether or not somebody has that address. Neighbour
/// discovery and multicast reports are the kernel's own talk, not an attempt of anybody.
const COUNTERS: &str = "
table inet world {
    set seen4 { type ipv4_addr; size 65536; flags dynamic; counter; }
    set seen6 { type ipv6_addr; size 65536; flags dynamic; counter; }
    chain count {
        type filter hook prerouting priority raw; policy accept;
        iifname != \"internet\" return
        icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 137, 143 } return
        meta nfproto ipv4 update @seen4 { ip daddr }
        meta nfproto ipv6 update @seen6 { ip6 daddr }
    }
}
";

/// A namespace with servers, behind a veth pair.
#[derive(Debug)]
pub(crate) struct Internet {
    namespace: File,
    addresses: Mutex<BTreeSet<IpAddr>>,
}

impl Internet {
    /// Makes the namespace and the cable to it, and gives this one a route there.
    pub(crate) fn new() -> Self {
        let (mut holder, namespace) = hold_namespace();
        let peer = holder.id().to_string();
        must("ip", &["link", "set", "lo", "up"]);
        must(
            "ip",
            &["link", "add", "eth0", "type", "veth", "peer", "name", "internet", "netns", &peer],
        );
        holder.kill().expect("a child can be killed");
        holder.wait().expect("a child can be waited for");
        let internet = Self { namespace, addresses: Mutex::default() };
        internet.within(|| {
            batch(
                "ip",
                &["-batch", "-"],
                &format!(
                    "link set lo up\nlink set internet up\n\
                     addr add {GATEWAY_V4}/24 dev internet\n\
                     addr add {GATEWAY_V6}/64 dev internet nodad\n"
                ),
            );
            batch("nft", &["-f", "-"], COUNTERS);
        });
        batch(
            "ip",
            &["-batch", "-"],
            &format!(
                "link set eth0 up\n\
                 addr add {HOST_V4}/24 dev eth0\n\
                 addr add {HOST_V6}/64 dev eth0 nodad\n\
                 route add default via {GATEWAY_V4}\n\
                 route add ::/0 via {GATEWAY_V6}\n"
            ),
        );
        internet
    }

    /// Runs `task` on a thread of the Internet's namespace. Sockets that it makes stay there.
    pub(crate) fn within<T: Send>(&self, task: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("the namespace can be entered");
                task()
            });
            inside.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
        })
    }

    /// Gives the Internet an address, once.
    pub(crate) fn add_address(&self, address: IpAddr) {
        let is_new = self.addresses.lock().expect("nothing panics with it").insert(address);
        if is_new {
            let (length, flag) = if address.is_ipv4() { (32, "") } else { (128, " nodad") };
            let line = format!("addr add {address}/{length} dev internet{flag}\n");
            self.within(|| batch("ip", &["-batch", "-"], &line));
        }
    }

    /// Listens at an address of the Internet; port 0 is any.
    pub(crate) fn listen(&self, address: SocketAddr) -> TcpListener {
        self.add_address(address.ip());
        self.within(|| TcpListener::bind(address))
            .unwrap_or_else(|error| panic!("nothing else listens at {address}: {error}"))
    }

    /// A datagram socket at an address of the Internet.
    pub(crate) fn datagrams(&self, address: SocketAddr) -> UdpSocket {
        self.add_address(address.ip());
        self.within(|| UdpSocket::bind(address))
            .unwrap_or_else(|error| panic!("nothing else has {address}: {error}"))
    }

    /// The packets that arrived, by destination.
    pub(crate) fn packets(&self) -> Vec<(IpAddr, u64)> {
        let listing = self.within(|| must("nft", &["-j", "list", "table", "inet", "world"]));
        let listing: Value = serde_json::from_str(&listing).expect("nft prints JSON");
        let objects = listing.get("nftables").and_then(Value::as_array);
        objects
            .into_iter()
            .flatten()
            .filter_map(|object| object.get("set")?.get("elem")?.as_array())
            .flatten()
            .filter_map(|element| {
                let element = element.get("elem")?;
                let address = element.get("val")?.as_str()?.parse().ok()?;
                Some((address, element.get("counter")?.get("packets")?.as_u64()?))
            })
            .collect()
    }
}

/// Makes a network namespace that lives as long as the file is open, and a process in it that is
/// needed until the cable is plugged in.
fn hold_namespace() -> (Child, File) {
    let mut holder = Command::new("unshare")
        .args(["--net", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("`unshare` of util-linux is installed");
    let path = format!("/proc/{}/ns/net", holder.id());
    let ours = fs::read_link("/proc/self/ns/net").expect("/proc is mounted");
    let started = Instant::now();
    loop {
        if fs::read_link(&path).is_ok_and(|theirs| theirs != ours) {
            return (holder, File::open(&path).expect("a child's namespace can be opened"));
        }
        let ended = holder.try_wait().expect("a child can be waited for");
        assert!(ended.is_none(), "no network namespace could be made");
        assert!(started.elapsed() < Duration::from_secs(10), "no namespace after 10 s");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a program that reads commands from its standard input and must succeed.
fn batch(program: &str, arguments: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("`{program}` is needed: {error}"));
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(input.as_bytes()).expect("the program reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("a child can be waited for");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} refused {input}: {complaint}");
}
