//! Tests of the address classes.

use super::*;

fn class(text: &str) -> AddressClass {
    classify(text.parse().unwrap())
}

#[track_caller]
fn never(texts: &[&str]) {
    for text in texts {
        assert!(matches!(class(text), Never(_)), "{text} is {:?}", class(text));
    }
}

#[test]
fn b03_embedded_metadata_addresses_are_never_reachable() {
    never(&[
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00:0",
        "2002:a9fe:a9fe::1",
        "2002:7f00:1::",
        // Teredo: as the server, and as the inverted client.
        "2001:0:a9fe:a9fe::",
        "2001:0:808:808:0:0:5601:5601",
        "2600::5efe:169.254.169.254",
        "2600::200:5efe:127.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::127.0.0.1",
    ]);
    assert_eq!(class("64:ff9b::8.8.8.8"), Public);
    assert_eq!(class("::ffff:8.8.8.8"), Public);
    assert_eq!(class("2002:808:808::1"), Public);
    assert!(matches!(class("64:ff9b::10.0.0.1"), Private(_)));
    assert!(matches!(class("64:ff9b:1::8.8.8.8"), Private(_)));
}

#[test]
fn b04_unspecified_and_loopback_are_never_reachable() {
    never(&["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "::", "::1"]);
}

#[test]
fn b05_special_ranges_are_told_apart() {
    never(&[
        "240.0.0.1",
        "255.255.255.255",
        "224.0.0.1",
        "239.255.255.255",
        "ff02::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
    ]);
    for text in [
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "fc00::1",
        "fdff::1",
        "2001:db8::1",
        "100::1",
        "4000::1",
    ] {
        assert!(matches!(class(text), Private(_)), "{text} is {:?}", class(text));
    }
    for text in ["8.8.8.8", "172.32.0.1", "100.63.0.1", "100.128.0.1", "198.20.0.1", "2606:4700::1"]
    {
        assert_eq!(class(text), Public, "{text}");
    }
}

#[test]
fn b06_metadata_services_are_never_reachable() {
    never(&[
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "fd20:ce::254",
        "64:ff9b::168.63.129.16",
        "::ffff:100.100.100.200",
    ]);
}
