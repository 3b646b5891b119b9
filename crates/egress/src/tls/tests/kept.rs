use std::time::Duration;

use tokio::time::Instant;

use super::{host, port};
use crate::limits;
use crate::tls::alert;
use crate::tls::alpn::{Alpn, Protocol, Remembered};

#[test]
fn d06_an_offer_keeps_its_order_and_loses_what_is_not_spoken() {
    for (offer, expected) in [
        (&[][..], Some(Alpn::Absent)),
        (&[&b"h2"[..]], Some(Alpn::Http2)),
        (&[b"http/1.1"], Some(Alpn::Http1)),
        (&[b"h2", b"http/1.1"], Some(Alpn::Http2Http1)),
        (&[b"http/1.1", b"http/1.0", b"h2"], Some(Alpn::Http1Http2)),
        (&[b"\x0a\x0a", b"h2", b"h2"], Some(Alpn::Http2)),
        (&[b"http/1.0"], Some(Alpn::Absent)),
        (&[b"http/1.0", b"h2"], Some(Alpn::Http2)),
        (&[b"H2", b"imap"], None),
    ] {
        assert_eq!(Alpn::from_offer(offer), expected, "{offer:?}");
    }
    for alpn in Alpn::ALL {
        assert_eq!(Alpn::from_offer(&alpn.to_wire()), Some(alpn));
    }
    for protocol in [Protocol::Http1, Protocol::Http2] {
        assert_eq!(Alpn::only(Some(protocol)).protocols(), [protocol]);
    }
    assert_eq!(Alpn::only(None).protocols(), []);
}

#[test]
fn what_an_upstream_chose_is_remembered_for_a_while() {
    let remembered = Remembered::new();
    let (a, https) = (host("a.example.com"), port(443));
    assert_eq!(remembered.get(&a, https, Alpn::Http2Http1), None);
    remembered.put(&a, https, Alpn::Http2Http1, Some(Protocol::Http1));
    remembered.put(&a, https, Alpn::Absent, None);
    assert_eq!(remembered.get(&a, https, Alpn::Http2Http1), Some(Some(Protocol::Http1)));
    assert_eq!(remembered.get(&a, https, Alpn::Absent), Some(None));
    assert_eq!(remembered.get(&a, https, Alpn::Http2), None);
    assert_eq!(remembered.get(&a, port(8443), Alpn::Http2Http1), None);
    assert_eq!(remembered.get(&host("b.example.com"), https, Alpn::Http2Http1), None);
    let now = Instant::now();
    let after = |time| remembered.get_at((a.clone(), https, Alpn::Absent), now + time);
    assert_eq!(after(limits::REMEMBERED_FOR - Duration::from_secs(1)), Some(None));
    assert_eq!(after(limits::REMEMBERED_FOR), None);
    assert_eq!(after(Duration::ZERO), None);
    remembered.put(&a, https, Alpn::Absent, Some(Protocol::Http2));
    assert_eq!(after(Duration::ZERO), Some(Some(Protocol::Http2)));
}

#[test]
fn d10_many_names_push_out_the_oldest_choices_one_by_one() {
    let remembered = Remembered::new();
    let numbered = |number: usize| host(&format!("n{number}.example.com"));
    for number in 0..=limits::REMEMBERED {
        remembered.put(&numbered(number), port(443), Alpn::Absent, None);
        // Asked again and again, so it stays.
        assert_eq!(remembered.get(&numbered(0), port(443), Alpn::Absent), Some(None));
    }
    assert_eq!(remembered.get(&numbered(1), port(443), Alpn::Absent), None);
    assert_eq!(remembered.get(&numbered(2), port(443), Alpn::Absent), Some(None));
}

#[test]
fn an_alert_is_a_record_of_its_own() {
    assert_eq!(
        alert(rustls::AlertDescription::UnrecognisedName),
        crate::exchange::UNRECOGNIZED_NAME
    );
}
