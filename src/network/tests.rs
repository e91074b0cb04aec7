use super::*;

fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, InvalidProxy> {
    Proxies::new(|name| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
}

fn shown(proxy: Option<&Proxy>) -> Option<String> {
    proxy.map(|proxy| proxy.url().authority().unwrap().to_string())
}

#[test]
fn proxies_are_read_in_upper_and_lower_case() {
    /// A case, the variables, and the proxies for https, for http, and for the API server.
    type Row = (&'static str, &'static [(&'static str, &'static str)], [Option<&'static str>; 3]);
    let table: [Row; 9] = [
        ("nothing", &[], [None, None, None]),
        ("upper case", &[("HTTPS_PROXY", "http://p:1")], [Some("p:1"), None, Some("p:1")]),
        ("lower case", &[("https_proxy", "http://p:1")], [Some("p:1"), None, Some("p:1")]),
        (
            "upper case before lower",
            &[("https_proxy", "http://l:1"), ("HTTPS_PROXY", "http://u:1")],
            [Some("u:1"), None, Some("u:1")],
        ),
        (
            "an empty one is absent",
            &[("HTTPS_PROXY", ""), ("https_proxy", "http://l:1"), ("NO_PROXY", " ")],
            [Some("l:1"), None, Some("l:1")],
        ),
        ("http alone", &[("HTTP_PROXY", "http://p:1")], [None, Some("p:1"), None]),
        ("all, which kubectl does not know", &[("ALL_PROXY", "http://p:1")], [Some("p:1"), Some("p:1"), None]),
        ("no scheme", &[("HTTPS_PROXY", "p.corp:3128")], [Some("p.corp:3128"), None, Some("p.corp:3128")]),
        (
            "a user, a slash at the end",
            &[("HTTPS_PROXY", "https://u:p%40w@p:1/")],
            [Some("u:p%40w@p:1"), None, Some("u:p%40w@p:1")],
        ),
    ];
    let server = Uri::from_static("https://api.example.com");
    for (case, variables, expected) in table {
        let read = proxies(variables).unwrap();
        let found = [read.https(), read.http(), read.for_api_server(&server)].map(shown);
        assert_eq!(found, expected.map(|proxy| proxy.map(str::to_owned)), "{case}");
    }
}

#[test]
fn a_host_in_no_proxy_is_called_directly() {
    let table = [
        ("nothing", "", "https://api.example.com", false),
        ("the host", "api.example.com", "https://api.example.com:6443", true),
        ("upper case", "API.Example.COM", "https://api.example.com", true),
        ("a domain", "example.com", "https://api.example.com", true),
        ("a domain with a dot", ".svc", "https://kubernetes.default.svc", true),
        ("a domain with a star", "*.example.com", "https://api.example.com", true),
        ("no domain of that end", "ample.com", "https://api.example.com", false),
        ("kubernetes.default.svc itself", "a, kubernetes.default.svc ,b", "https://kubernetes.default.svc:443", true),
        ("a network", "10.0.0.0/8", "https://10.96.0.1", true),
        ("another network", "10.0.0.0/16", "https://10.96.0.1", false),
        ("a network of IPv6", "fd00:10::/32", "https://[fd00:10::1]:6443", true),
        ("an address", "10.96.0.1", "https://10.96.0.1:443", true),
        ("an address in brackets", "[fd00:10::1]", "https://[fd00:10::1]:6443", true),
        ("an address in brackets with a port", "[fd00:10::1]:6443", "https://[fd00:10::1]:6443", true),
        ("a port", "api.example.com:6443", "https://api.example.com:6443", true),
        ("a comma at the end", "10.0.0.0/8,.svc,", "https://kubernetes.default.svc", true),
        ("blanks", "10.0.0.0/8 .svc", "https://kubernetes.default.svc", true),
        ("everything", "*", "https://api.example.com", true),
        ("everything, addresses too", "a,*", "https://10.96.0.1", true),
        ("this machine", "", "https://127.0.0.1:6443", true),
        ("this machine by name", "", "https://localhost:6443", true),
        ("this machine in IPv6", "", "https://[::1]:6443", true),
        ("EKS Pod Identity", "", "http://169.254.170.23/v1/credentials", true),
        ("EKS Pod Identity in IPv6", "", "http://[fd00:ec2::23]/v1/credentials", true),
        ("the instance metadata", "", "http://169.254.169.254", true),
    ];
    for (case, no_proxy, url, is_direct) in table {
        let set = [("HTTP_PROXY", "http://p:1"), ("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", no_proxy)];
        let lower = [("http_proxy", "http://p:1"), ("https_proxy", "http://p:1"), ("no_proxy", no_proxy)];
        for read in [proxies(&set).unwrap(), proxies(&lower).unwrap()] {
            assert_eq!(read.for_api_server(&url.parse().unwrap()).is_none(), is_direct, "{case}: {}", read.direct());
        }
    }
}

#[test]
fn an_unusable_proxy_is_named_without_its_password() {
    for (setting, value) in [
        ("HTTPS_PROXY", "socks5://u:hunter2@p:1080"),
        ("https_proxy", "http://"),
        ("HTTP_PROXY", "http://u:hunter2@ p"),
        ("ALL_PROXY", "ftp://p:21"),
    ] {
        let error = proxies(&[(setting, value)]).unwrap_err().to_string();
        assert!(error.starts_with(setting) && error.contains("http://HOST:PORT"), "{setting}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let read = proxies(&[("HTTPS_PROXY", "http://u:hunter2@p:1")]).unwrap();
    assert!(!format!("{read:?}").contains("hunter2"), "{read:?}");
}
