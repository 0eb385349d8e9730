//! Which requests go through a proxy, decided as botocore does (`get_environ_proxies` in
//! botocore/utils.py, which asks Python's urllib): HTTPS_PROXY and HTTP_PROXY by the scheme of the
//! address, NO_PROXY by the end of the host's name. ALL_PROXY does not count, nor do networks
//! (`10.0.0.0/8`) in NO_PROXY.
//!
//! Other than botocore, addresses of this host's own credentials are never sent to a proxy: it
//! would hand out its own.

use std::{collections::BTreeMap, fmt};

/// Hosts that answer for this machine or container: instance metadata, ECS, EKS.
const OF_THIS_HOST: [&str; 5] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
];

/// The variables that are looked at.
pub const VARIABLES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// Where requests go first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To the server.
    Direct,
    /// To the proxy for http.
    Plain,
    /// To the proxy for https.
    Secure,
}

/// The proxies of an environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For http.
    pub plain: Option<String>,
    /// For https.
    pub secure: Option<String>,
    exceptions: String,
}

impl Proxies {
    /// Those of these variables ([`VARIABLES`]). Lower case comes first; there the empty text means
    /// none.
    pub fn of(variables: &BTreeMap<String, String>) -> Self {
        let value = |name: &str| {
            let upper = || variables.get(&name.to_uppercase());
            let value = variables.get(name).or_else(upper)?;
            (!value.is_empty()).then(|| value.clone())
        };
        Self {
            plain: value("http_proxy").map(with_scheme),
            secure: value("https_proxy").map(with_scheme),
            exceptions: value("no_proxy").unwrap_or_default(),
        }
    }

    /// The way of a request to this address.
    pub fn route(&self, uri: &str) -> Route {
        let Some((scheme, rest)) = uri.split_once("://") else {
            return Route::Direct;
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let authority = authority.to_lowercase();
        let host = without_port(&authority);
        if OF_THIS_HOST.contains(&host) || self.is_exception(&authority, host) {
            return Route::Direct;
        }
        match scheme {
            "https" if self.secure.is_some() => Route::Secure,
            "http" if self.plain.is_some() => Route::Plain,
            _ => Route::Direct,
        }
    }

    fn is_exception(&self, authority: &str, host: &str) -> bool {
        if self.exceptions == "*" {
            return true;
        }
        let mut names = self.exceptions.split(',');
        names.any(|name| {
            let name = name.trim().trim_start_matches('.').to_lowercase();
            let below = format!(".{name}");
            let is_it = |full: &str| full == name || full.ends_with(&below);
            !name.is_empty() && (is_it(host) || is_it(authority))
        })
    }
}

/// Their addresses may hold passwords.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").finish_non_exhaustive()
    }
}

/// `proxy:3128` means http (`_fix_proxy_url` in botocore/httpsession.py).
fn with_scheme(url: String) -> String {
    if url.contains("://") {
        url
    } else {
        format!("http://{}", url.trim_start_matches('/'))
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let pairs = variables.iter();
        Proxies::of(
            &pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn lower_case_comes_first_and_may_be_empty() {
        let both = proxies(&[("HTTPS_PROXY", "http://up"), ("https_proxy", "http://low")]);
        assert_eq!(both.secure.as_deref(), Some("http://low"));
        let none = proxies(&[("HTTPS_PROXY", "http://up"), ("https_proxy", "")]);
        assert_eq!(none.secure, None);
        let bare = proxies(&[("HTTP_PROXY", "proxy:3128"), ("HTTPS_PROXY", "//proxy:1")]);
        assert_eq!(bare.plain.as_deref(), Some("http://proxy:3128"));
        assert_eq!(bare.secure.as_deref(), Some("http://proxy:1"));
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let secure = proxies(&[("HTTPS_PROXY", "http://p")]);
        assert_eq!(
            secure.route("https://s3.eu-west-1.amazonaws.com/b/k?x=1"),
            Route::Secure
        );
        assert_eq!(secure.route("http://minio:9000/b"), Route::Direct);
        let plain = proxies(&[("HTTP_PROXY", "http://p")]);
        assert_eq!(plain.route("http://minio:9000/b"), Route::Plain);
        assert_eq!(plain.route("https://minio:9000/b"), Route::Direct);
    }

    /// The table was made by `urllib.request.proxy_bypass_environment` of Python 3.11.
    #[test]
    fn exceptions_are_urllibs() {
        for (no_proxy, host, direct) in [
            ("amazonaws.com", "s3.amazonaws.com", true),
            (".amazonaws.com", "amazonaws.com", true),
            ("amazonaws.com", "notamazonaws.com", false),
            ("Amazonaws.COM, x", "S3.amazonaws.com", true),
            ("minio:9000", "minio:9000", true),
            ("minio:9000", "minio:9001", false),
            ("minio", "minio:9001", true),
            ("*", "anything", true),
            ("*.com", "a.com", false),
            ("10.0.0.0/8", "10.1.2.3", false),
            ("10.1.2.3", "10.1.2.3:80", true),
            ("", "a.com", false),
        ] {
            let proxies = proxies(&[("HTTPS_PROXY", "http://p"), ("NO_PROXY", no_proxy)]);
            let want = if direct { Route::Direct } else { Route::Secure };
            let route = proxies.route(&format!("https://{host}/"));
            assert_eq!(route, want, "{host} with {no_proxy:?}");
        }
    }

    #[test]
    fn this_hosts_credentials_are_asked_for_directly() {
        let proxies = proxies(&[("HTTP_PROXY", "http://p")]);
        for url in [
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.2/v2/credentials/x",
            "http://[fd00:ec2::254]/latest",
            "http://169.254.170.23:80/v1",
        ] {
            assert_eq!(proxies.route(url), Route::Direct, "{url}");
        }
        assert_eq!(proxies.route("http://169.254.1.1/"), Route::Plain);
    }
}
