use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use openshell_types::{ConnectBy, PlainHttp};

use super::upstream::read_auth;
use super::*;

const PROXY: &str = "proxy = \"http://proxy.corp.example:3128\"\n";

fn parse(upstream: &str) -> Result<Settings, String> {
    let text = format!("[upstream]\n{upstream}");
    Settings::parse(Path::new("/gateway.toml"), &text).map_err(|error| error.to_string())
}

fn refused(upstream: &str) -> String {
    parse(upstream).map_or_else(|error| error, |_| panic!("{upstream} was accepted"))
}

#[test]
fn reads_the_upstream_table_and_refuses_what_it_does_not_know() {
    let path = Path::new("/gateway.toml");
    let text = "[upstream]\nresolver = \"192.0.2.1:53\"\nca_file = \"/ca.pem\"\n";
    let upstream = Settings::parse(path, text).expect("settings").upstream();
    assert_eq!(upstream.resolver, "192.0.2.1:53".parse().ok());
    assert_eq!(upstream.ca_file.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(upstream.proxy, None);
    for bad in
        ["[upstream]\nresolvers = \"x\"", "[upstream]\nca_file = \"ca.pem\"", "debug = true", "["]
    {
        assert!(Settings::parse(path, bad).is_err(), "{bad}");
    }
}

#[test]
fn a_proxy_is_read_with_all_that_is_said_of_it() {
    let proxy = parse(PROXY).unwrap().upstream().proxy.unwrap();
    assert_eq!(proxy.url.to_string(), "http://proxy.corp.example:3128");
    assert_eq!((proxy.connect_by, proxy.plain), (ConnectBy::Address, PlainHttp::Connect));
    let settings = parse(
        "proxy = \"https://proxy.corp.example:443\"\nproxy_connect_by_hostname = true\n\
         no_proxy = [\".corp.example\", \"10.0.0.0/8:22\"]\nproxy_auth_file = \"/etc/auth\"\n",
    )
    .unwrap();
    let proxy = settings.upstream().proxy.unwrap();
    assert_eq!(proxy.connect_by, ConnectBy::Hostname);
    let exceptions: Vec<String> = proxy.no_proxy.iter().map(ToString::to_string).collect();
    assert_eq!(exceptions, [".corp.example", "10.0.0.0/8:22"]);
    assert_eq!(settings.upstream.proxy_auth_file.as_deref(), Some(Path::new("/etc/auth")));
    let forward = parse(&format!("{PROXY}proxy_plain = \"forward\"")).unwrap();
    assert_eq!(forward.upstream().proxy.unwrap().plain, PlainHttp::Forward);
}

#[test]
fn every_mistake_about_a_proxy_names_its_key_and_what_to_do() {
    let with = |more: &str| format!("{PROXY}{more}");
    for (text, key, fix) in [
        ("proxy = \"proxy:3128\"".to_owned(), "`upstream.proxy`", "http://host:port"),
        ("proxy = \"socks5://proxy:1\"".to_owned(), "`upstream.proxy`", "http://host:port"),
        ("proxy = \"http://proxy\"".to_owned(), "`upstream.proxy`", "http://host:port"),
        ("proxy = 3128".to_owned(), "line 2", "string"),
        (with("no_proxy = \"a\""), "line 3", "sequence"),
        (with("no_proxy = [\"a\", \"*.b\"]"), "`upstream.no_proxy`, entry 2", ".example.com"),
        (with("no_proxy = [\"10.0.0.1/8\"]"), "`upstream.no_proxy`, entry 1", "zero"),
        (with("proxy_plain = \"direct\""), "`upstream.proxy_plain`", "\"connect\" or \"forward\""),
        (
            with("proxy_auth_file = \"auth\"\nproxy_auth_allow_insecure = true"),
            "proxy_auth_file",
            "absolute",
        ),
        (
            with("proxy_auth_file = \"/auth\""),
            "`upstream.proxy_auth_file`",
            "proxy_auth_allow_insecure",
        ),
        (
            with(
                "proxy_auth_file = \"/auth\"\nproxy_auth_allow_insecure = true\nproxy_plain = \"forward\"",
            ),
            "`upstream.proxy_plain`",
            "\"connect\"",
        ),
        ("no_proxy = []".to_owned(), "`upstream.no_proxy`", "add it"),
        ("proxy_plain = \"connect\"".to_owned(), "`upstream.proxy_plain`", "add it"),
        ("proxy_auth_file = \"/auth\"".to_owned(), "`upstream.proxy_auth_file`", "add it"),
        ("proxy_connect_by_hostname = false".to_owned(), "by_hostname`", "add it"),
        ("proxy_auth_allow_insecure = true".to_owned(), "allow_insecure`", "add it"),
    ] {
        let error = refused(&text);
        assert!(error.starts_with("`/gateway.toml`: "), "{error}");
        assert!(error.contains(key) && error.contains(fix), "{text}: {error}");
    }
    let many = format!("{PROXY}no_proxy = [{}]", "\"a\",".repeat(limits::NO_PROXY + 1));
    assert!(refused(&many).contains("more than"));
}

#[test]
fn i08_a_password_in_the_settings_is_refused_and_never_shown() {
    for text in [
        "proxy = \"http://ada:s3cret@proxy:3128\"",
        "proxy = \"http://ada:s3cret@proxy:3128\n",
        "proxy = 'http://ada:s3cret@proxy:3128' # \"\nx = ",
        "no_proxy = \"http://ada:s3cret@proxy:3128\"",
        "resolver = \"http://ada:s3cret@proxy:3128\"",
        "proxy_plain = \"http://ada:s3cret@proxy:3128\"",
        "proxy = \"http://p:1\"\nno_proxy = [\"http://ada:s3cret@proxy:3128\"]",
        "proxy_auth_allow_insecure = \"ada:s3cret\"",
    ] {
        let error = refused(text);
        assert!(!error.contains("s3cret"), "{text}: {error}");
        let error = parse(text).unwrap_err();
        assert!(!format!("{error:?}").contains("s3cret"), "{text}");
    }
}

#[test]
fn the_file_with_the_password_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth");
    let write = |content: &[u8], mode: u32| {
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        read_auth(&path)
    };
    for content in ["ada:s3c:ret", "ada:s3c:ret\n", "ada:s3c:ret\r\n"] {
        let read = write(content.as_bytes(), 0o600).unwrap();
        assert_eq!(read.expose(), "ada:s3c:ret");
        assert!(!format!("{read:?}").contains("s3c"));
    }
    assert_eq!(write(b"ada:", 0o400).unwrap().expose(), "ada:");
    let longest = format!("ada:{}", "x".repeat(limits::PROXY_AUTH - 4));
    assert_eq!(write(longest.as_bytes(), 0o600).unwrap().expose(), &longest);
    let long = format!("{longest}x");
    for (content, mode, says) in [
        (&b"ada:s3cret"[..], 0o640, "chmod 0600"),
        (b"ada:s3cret", 0o604, "chmod 0600"),
        (b"ada:s3cret", 0o620, "chmod 0600"),
        (b"s3cret", 0o600, "user:password"),
        (b":s3cret", 0o600, "user:password"),
        (b"", 0o600, "user:password"),
        (b"ada:s3cret\nmore\n", 0o600, "one line"),
        (b"ada:s3\0cret", 0o600, "control"),
        (b"ada:s3cret\xff", 0o600, "UTF-8"),
        (long.as_bytes(), 0o600, "4096 bytes"),
    ] {
        let error = write(content, mode).unwrap_err();
        assert!(error.contains(says) && error.contains("proxy_auth_file"), "{error}");
        assert!(!error.contains("s3"), "{error}");
    }
    // Whoever owns what a link leads to counts, and a folder or a device is no file.
    let link = folder.path().join("link");
    symlink("/etc/passwd", &link).unwrap();
    for other in [link.as_path(), folder.path(), Path::new("/dev/null"), Path::new("/none")] {
        assert!(read_auth(other).is_err(), "{}", other.display());
    }
    if rustix::process::geteuid().is_root() {
        write(b"ada:s3cret", 0o600).unwrap();
        std::os::unix::fs::chown(&path, Some(1), None).unwrap();
        assert!(read_auth(&path).unwrap_err().contains("belongs to"));
    }
}

#[test]
fn the_command_for_the_key_is_an_absolute_path_with_arguments() {
    let path = Path::new("/gateway.toml");
    let parse = |text: &str| Settings::parse(path, &format!("[credentials]\n{text}"));
    let settings = parse("key_command = [\"/usr/bin/pass\", \"show\", \"key\"]").unwrap();
    let command: Vec<&str> = settings.key_command().unwrap().iter().map(String::as_str).collect();
    assert_eq!(command, ["/usr/bin/pass", "show", "key"]);
    assert_eq!(parse("").unwrap().key_command(), None);
    for bad in ["[]", "[\"pass\"]", "\"/usr/bin/pass show\""] {
        let refused = parse(&format!("key_command = {bad}")).unwrap_err().to_string();
        assert!(refused.contains("key_command") || refused.contains("line 2"), "{refused}");
    }
}
