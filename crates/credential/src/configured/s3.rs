//! Where a provider of the profile `aws-s3` is: its configuration says it, in the words of AWS's own
//! programs.

use std::collections::BTreeMap;

use openshell_types::{Authority, Host, Port};

use super::{ConfigError, error};
use crate::profile::Profile;

/// The type.
pub(super) const TYPE: &str = "aws-s3";

const TEXT: &str = include_str!("../../profiles/aws-s3.yaml");

/// Where the buckets are.
struct Place {
    url: String,
    host: Host,
    port: Port,
    /// With no `/` at the end; empty: the buckets are at the root.
    path: String,
}

/// The profile for a configuration.
pub(super) fn profile(config: &BTreeMap<String, String>) -> Result<Profile, ConfigError> {
    let region = region(config)?;
    let (key, Place { host, port, path, .. }) = found(config, region)?;
    let mut endpoint = format!("  - host: \"{host}\"\n    port: {port}\n");
    if !path.is_empty() {
        endpoint.push_str(&format!("    path: {path}/**\n"));
    }
    let text = TEXT
        .replace("  - host: s3.us-east-1.amazonaws.com\n    port: 443\n", &endpoint)
        .replace("signing_region: us-east-1", &format!("signing_region: {region}"));
    Profile::parse(&text).map_err(|_| no_url(key))
}

/// What a sandbox's programs have to know of it.
pub(super) fn environment(config: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    // One that is wrong is told by `profile`, without which nothing starts.
    let Ok(region) = region(config) else { return BTreeMap::new() };
    let Ok((_, place)) = found(config, region) else { return BTreeMap::new() };
    let all = [
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        // With it programs ask this host for each bucket.
        (URL, &place.url),
    ];
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect()
}

fn region(config: &BTreeMap<String, String>) -> Result<&str, ConfigError> {
    let region = config.get("AWS_REGION").map_or(REGION, String::as_str);
    if is_region(region) {
        return Ok(region);
    }
    let why = "it is no region, which has small letters, digits and hyphens, as `eu-central-1`";
    Err(error("AWS_REGION", why.to_owned()))
}

/// The place, and the key that says it.
fn found<'a>(
    config: &'a BTreeMap<String, String>,
    region: &str,
) -> Result<(&'a str, Place), ConfigError> {
    let own = [URL, "AWS_ENDPOINT_URL"].into_iter().find_map(|key| config.get_key_value(key));
    if let Some((key, url)) = own {
        return Ok((key, place(url).ok_or_else(|| no_url(key))?));
    }
    // One host for all buckets, the same for each of them: a binding never has a wildcard.
    let end = if region.starts_with("cn-") { ".cn" } else { "" };
    let url = format!("https://s3.{region}.amazonaws.com{end}");
    Ok((URL, place(&url).ok_or_else(|| no_url(URL))?))
}

/// The URL is not told: there may be a password in it.
fn no_url(key: &str) -> ConfigError {
    let why = "it is no URL of a server: that is `https://`, a host, a port if it is another than 443, and \
               the path before the buckets if there is one";
    error(key, why.to_owned())
}

fn place(url: &str) -> Option<Place> {
    let (rest, default_port) = match url.split_once("://")? {
        ("https", rest) => (rest, 443),
        ("http", rest) => (rest, 80),
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = path.trim_end_matches('/');
    let (host, port) = match Host::parse(authority) {
        Ok(host) => (host, Port::new(default_port)?),
        Err(_) => {
            let Authority { host, port } = Authority::parse(authority).ok()?;
            (host, port)
        }
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._/".contains(&b);
    let is_plain = path.len() <= 256 && path.bytes().all(plain);
    let dots = path.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."));
    (is_plain && !dots).then(|| Place { url: url.to_owned(), host, port, path: path.to_owned() })
}

fn is_region(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=40).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What AWS takes for a region where none is said.
const REGION: &str = "us-east-1";

const URL: &str = "AWS_ENDPOINT_URL_S3";

#[cfg(test)]
mod tests {
    use openshell_policy::EndpointHost;

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn of_s3(pairs: &[(&str, &str)]) -> Result<Profile, ConfigError> {
        profile(&config(pairs))
    }

    #[test]
    fn i10_keys_of_s3_are_bound_to_the_place_of_the_configuration() {
        let url = "AWS_ENDPOINT_URL_S3";
        for (config, to, path, region, url) in [
            (
                &[][..],
                "s3.us-east-1.amazonaws.com:443",
                None,
                "us-east-1",
                "https://s3.us-east-1.amazonaws.com",
            ),
            (
                &[("AWS_REGION", "cn-north-1")],
                "s3.cn-north-1.amazonaws.com.cn:443",
                None,
                "cn-north-1",
                "https://s3.cn-north-1.amazonaws.com.cn",
            ),
            (
                &[("AWS_ENDPOINT_URL", "http://minio.internal:9000/"), ("AWS_REGION", "eu-1")],
                "minio.internal:9000",
                None,
                "eu-1",
                "http://minio.internal:9000/",
            ),
            (
                &[
                    ("AWS_ENDPOINT_URL", "https://other.test"),
                    (url, "https://a.test/storage/v1/s3"),
                ],
                "a.test:443",
                Some("/storage/v1/s3/**"),
                "us-east-1",
                "https://a.test/storage/v1/s3",
            ),
        ] {
            let profile = of_s3(config).unwrap();
            let environment = environment(&self::config(config));
            for (variable, part) in [
                ("AWS_ACCESS_KEY_ID", "key"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("AWS_SESSION_TOKEN", "token"),
            ] {
                let bindings = profile.bindings_of(variable);
                let [one] = bindings.as_slice() else { panic!("{bindings:?}") };
                assert_eq!(format!("{}:{}", one.host, one.port), to);
                assert_eq!(one.path.as_deref(), path);
                assert_eq!(one.placement.to_string(), format!("sigv4:{part}:s3:{region}"));
            }
            assert_eq!(environment["AWS_ENDPOINT_URL_S3"], url);
            assert_eq!(environment["AWS_REGION"], region);
            assert_eq!(environment["AWS_DEFAULT_REGION"], region);
            // The rule leads to the same place, and is one that can be enforced.
            let rule = profile.policy_rule("_provider_x").unwrap();
            assert!(rule.unenforced().is_none());
            let host = rule.endpoint_views().next().unwrap().host;
            assert_eq!(host, Some(EndpointHost::One(profile.bindings()[0].host.clone())));
        }
    }

    #[test]
    fn a_configuration_that_names_no_place_is_told() {
        for region in ["", "EU", "a/b", "a\"\n", "-a", "x".repeat(41).as_str()] {
            assert_eq!(of_s3(&[("AWS_REGION", region)]).unwrap_err().key, "AWS_REGION", "{region}");
        }
        for url in [
            "",
            "a.test",
            "ftp://a.test",
            "https://",
            "https://user:secret@a.test",
            "https://*.a.test",
            "https://a.test/x?y",
            "https://a.test/x/../y",
            "https://a.test/x y",
            "https://a.test:0",
            "https://a.test\"\n",
        ] {
            let refused = of_s3(&[("AWS_ENDPOINT_URL_S3", url)]).unwrap_err();
            assert_eq!(refused.key, "AWS_ENDPOINT_URL_S3", "{url}");
            assert!(!refused.to_string().contains("secret"));
        }
    }
}
