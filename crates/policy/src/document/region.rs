//! Regions of AWS, as hosts name them.

/// The region that a host of AWS is in: the label before its domain, as in
/// `s3.eu-central-1.amazonaws.com`. Services of no region are signed for `us-east-1`. `None`: the host
/// does not say.
pub(super) fn of_host(host: &str) -> Option<&str> {
    let (before, is_global) =
        match DOMAINS.iter().find_map(|end| Some((host.strip_suffix(end)?, end))) {
            Some((before, end)) => (before, *end == ".amazonaws.com"),
            None => return None,
        };
    let mut labels = before.rsplit('.');
    let mut last = labels.next()?;
    if KINDS.contains(&last) {
        last = labels.next()?;
    }
    let old = last.strip_prefix("s3-").filter(|rest| is_region(rest));
    match old.or_else(|| is_region(last).then_some(last)) {
        None if is_global && !before.contains('.') => Some("us-east-1"),
        found => found,
    }
}

const DOMAINS: [&str; 4] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".on.aws"];

/// Labels that stand behind the region.
const KINDS: [&str; 2] = ["vpce", "aoss"];

/// Whether it has the form of `us-east-1` or `us-gov-west-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    let letters = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase()) && !part.is_empty();
    let Some((number, words)) = parts.split_last() else { return false };
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let is_place = words.first().is_some_and(|first| (2..=4).contains(&first.len()));
    is_number && is_place && (2..=3).contains(&words.len()) && words.iter().all(|one| letters(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i10_a_region_is_taken_from_hosts_that_say_one_and_from_no_other() {
        for (host, region) in [
            ("s3.eu-central-1.amazonaws.com", Some("eu-central-1")),
            ("bucket.s3.eu-central-1.amazonaws.com", Some("eu-central-1")),
            ("s3.dualstack.us-west-2.amazonaws.com", Some("us-west-2")),
            ("s3-us-west-2.amazonaws.com", Some("us-west-2")),
            ("bedrock-runtime.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("lambda.us-east-1.api.aws", Some("us-east-1")),
            ("abc.lambda-url.us-east-1.on.aws", Some("us-east-1")),
            ("abc.eu-west-1.aoss.amazonaws.com", Some("eu-west-1")),
            ("vpce-1.s3.eu-west-1.vpce.amazonaws.com", Some("eu-west-1")),
            ("sts.amazonaws.com", Some("us-east-1")),
            // A bucket of any region, whatever its name.
            ("my-bucket-1.s3.amazonaws.com", None),
            ("iam.amazonaws.com.cn", None),
            ("eu-central-1.example.com", None),
            ("s3.eu-central-1.amazonaws.com.example.com", None),
            ("amazonaws.com", None),
            ("10.0.0.1", None),
        ] {
            assert_eq!(of_host(host), region, "{host}");
        }
    }
}
