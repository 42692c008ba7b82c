//! Hosts and origins, local and foreign.

use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let lines = lines
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    lines.collect()
}

fn sites(bound: &str, hosts: &[&str], origins: &[&str]) -> AllowedSites {
    AllowedSites::new(
        bound.parse().unwrap(),
        hosts
            .iter()
            .map(|host| AllowedHost::parse(host).unwrap())
            .collect(),
        origins
            .iter()
            .map(|origin| AllowedOrigin::parse(origin).unwrap())
            .collect(),
    )
}

fn post(sites: &AllowedSites, lines: &[(&'static str, &str)]) -> Result<(), SiteRefusal> {
    sites.check(&Method::POST, &Uri::from_static("/"), &headers(lines))
}

#[test]
fn hosts_of_this_machine() {
    let loopback = AllowedSites::default();
    let own = [
        "127.0.0.1",
        "127.0.0.1:4566",
        "127.8.8.8",
        "[::1]",
        "[::1]:4566",
        "[::ffff:127.0.0.1]:1",
        "localhost",
        "LOCALHOST:4566",
        "localhost.",
        "shop.localhost:4566",
    ];
    let foreign = [
        "evil.example",
        "evil.example:4566",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "dev",
        "host.docker.internal",
        "10.0.0.7:4566",
        "0x7f000001.example",
        "notlocalhost",
        "user@localhost",
        "",
        "a b",
        "localhost:4566:1",
        "metadata.google.internal",
        "2130706433x",
    ];
    for host in own {
        assert_eq!(post(&loopback, &[("host", host)]), Ok(()), "{host}");
    }
    for host in foreign {
        let refused = post(&loopback, &[("host", host)]);
        assert!(
            matches!(refused, Err(SiteRefusal::Host(_))),
            "{host}: {refused:?}"
        );
    }
    assert_eq!(post(&loopback, &[]), Err(SiteRefusal::NoHost));
    let mut two = headers(&[("host", "localhost")]);
    two.append(HOST, "evil.example".parse().unwrap());
    let refused = loopback.check(&Method::GET, &Uri::from_static("/"), &two);
    assert_eq!(refused, Err(SiteRefusal::NoHost));
    let absolute = Uri::from_static("http://evil.example/health");
    let refused = loopback.check(&Method::GET, &absolute, &headers(&[("host", "localhost")]));
    assert_eq!(refused, Err(SiteRefusal::Host("evil.example".into())));
}

#[test]
fn hosts_by_flag_and_by_the_bound_address() {
    let named = sites(
        "127.0.0.1",
        &["dev", "host.docker.internal", "10.0.0.7", "fd00::1"],
        &[],
    );
    for host in [
        "dev:4566",
        "DEV",
        "host.docker.internal",
        "10.0.0.7:1",
        "[fd00::1]:4566",
    ] {
        assert_eq!(post(&named, &[("host", host)]), Ok(()), "{host}");
    }
    assert!(post(&named, &[("host", "a.dev")]).is_err());
    let bound = sites("192.168.1.5", &[], &[]);
    assert_eq!(post(&bound, &[("host", "192.168.1.5:4566")]), Ok(()));
    assert!(post(&bound, &[("host", "192.168.1.6")]).is_err());
    let everywhere = sites("0.0.0.0", &[], &[]);
    assert_eq!(post(&everywhere, &[("host", "192.168.1.6")]), Ok(()));
    assert!(post(&everywhere, &[("host", "evil.example")]).is_err());
}

#[test]
fn origins() {
    let loopback = AllowedSites::default();
    let from = |sites: &AllowedSites, origin: &str| {
        post(sites, &[("host", "localhost:4566"), ("origin", origin)])
    };
    for near in [
        "http://localhost:4566",
        "http://localhost:5173",
        "https://127.0.0.1:8443",
        "http://[::1]:3000",
        "http://app.localhost",
        "capacitor://localhost",
        "http://0.0.0.0:8000",
    ] {
        assert_eq!(from(&loopback, near), Ok(()), "{near}");
    }
    for foreign in [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://203.0.113.9",
        "http://dev:3000",
        "chrome-extension://abcdef",
        "file://",
        "",
        "localhost",
        "http://evil.example@localhost",
    ] {
        let refused = SiteRefusal::Origin(foreign.to_owned());
        assert_eq!(from(&loopback, foreign), Err(refused), "{foreign}");
    }
    let listed = sites(
        "127.0.0.1",
        &["dev"],
        &["https://App.example/", "null", "http://b.example:80"],
    );
    for allowed in [
        "https://app.example",
        "null",
        "http://b.example",
        "http://dev:3000",
    ] {
        assert_eq!(from(&listed, allowed), Ok(()), "{allowed}");
    }
    for other in [
        "http://app.example",
        "https://app.example:8443",
        "https://www.app.example",
    ] {
        assert!(from(&listed, other).is_err(), "{other}");
    }
    // The page comes from the address of the request, as with a listener on all interfaces.
    let everywhere = sites("0.0.0.0", &[], &[]);
    let page = |origin| {
        post(
            &everywhere,
            &[("host", "192.168.1.5:4566"), ("origin", origin)],
        )
    };
    assert_eq!(page("http://192.168.1.5:8080"), Ok(()));
    assert!(page("http://192.168.1.6:8080").is_err());
}

#[test]
fn requests_of_other_sites_without_an_origin() {
    let loopback = AllowedSites::default();
    let sent = |method: &Method, lines: &[(&'static str, &str)]| {
        let lines = [&[("host", "localhost")], lines].concat();
        loopback.check(method, &Uri::from_static("/"), &headers(&lines))
    };
    let cross = ("sec-fetch-site", "cross-site");
    assert_eq!(sent(&Method::POST, &[cross]), Err(SiteRefusal::CrossSite));
    assert_eq!(
        sent(&Method::GET, &[cross, ("sec-fetch-mode", "no-cors")]),
        Err(SiteRefusal::CrossSite)
    );
    let link = [
        cross,
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(sent(&Method::GET, &link), Ok(()));
    assert_eq!(sent(&Method::POST, &link), Err(SiteRefusal::CrossSite));
    let frame = [
        cross,
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
    ];
    assert_eq!(sent(&Method::GET, &frame), Err(SiteRefusal::CrossSite));
    for site in ["same-origin", "same-site", "none"] {
        assert_eq!(
            sent(&Method::POST, &[("sec-fetch-site", site)]),
            Ok(()),
            "{site}"
        );
    }
    for values in [
        &["Cross-Site"][..],
        &["cross-site, none"],
        &["none, cross-site"],
        &["none", "cross-site"],
        &["cross-site", "same-origin"],
        &["same-origin,"],
        &["anywhere"],
        &[""],
    ] {
        let lines: Vec<_> = values
            .iter()
            .map(|value| ("sec-fetch-site", *value))
            .collect();
        assert_eq!(
            sent(&Method::POST, &lines),
            Err(SiteRefusal::CrossSite),
            "{values:?}"
        );
    }
    for values in [
        &["Same-Origin"][..],
        &["none, same-site"],
        &["NONE", "none"],
    ] {
        let lines: Vec<_> = values
            .iter()
            .map(|value| ("sec-fetch-site", *value))
            .collect();
        assert_eq!(sent(&Method::POST, &lines), Ok(()), "{values:?}");
    }
    let modes = [link.as_slice(), &[("sec-fetch-mode", "no-cors")]].concat();
    assert_eq!(sent(&Method::GET, &modes), Err(SiteRefusal::CrossSite));
    // Pages on localhost and 127.0.0.1 are different sites, and both are local.
    assert_eq!(
        sent(&Method::POST, &[cross, ("origin", "http://127.0.0.1:3000")]),
        Ok(())
    );
}

#[test]
fn values_of_flags() {
    for wrong in [
        "",
        "http://dev",
        "dev:4566",
        "dev/x",
        "*.example",
        "a b",
        "me@dev",
    ] {
        assert!(AllowedHost::parse(wrong).is_err(), "{wrong}");
    }
    for wrong in [
        "",
        "*",
        "app.example",
        "http://",
        "http://a.example/path",
        "https://*.example",
        "http://me@a",
    ] {
        assert!(AllowedOrigin::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn answers_that_listed_origins_may_read() {
    let listed = sites("127.0.0.1", &[], &["http://localhost:5173"]);
    let readable = |origin: &str| {
        listed
            .readable_by(&headers(&[("origin", origin)]))
            .is_some()
    };
    assert!(readable("http://localhost:5173"));
    assert!(!readable("http://localhost:4000"));
    assert!(!readable("https://evil.example"));
    assert!(listed.readable_by(&HeaderMap::new()).is_none());
}
