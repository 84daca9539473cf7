//! Where Redis is: one server, the master that sentinels name, or a cluster.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

/// The port of a sentinel whose address names none.
const SENTINEL_PORT: u16 = 26_379;

/// An address by URL, understood. Its text names hosts and never a login.
pub(crate) enum RedisAddress {
    /// `redis://[user:password@]host[:port][/db]`
    Server(ConnectionInfo),
    /// `redis-sentinel://[user:password@]host[:port],host[:port]/master[/db]`. The login is the
    /// server's; sentinels get it where they ask for one.
    Sentinels {
        /// What the sentinels call the master.
        name: String,
        /// How the master is reached, but for host and port.
        master: ConnectionInfo,
        /// The sentinels, with the login.
        sentinels: Vec<ConnectionInfo>,
    },
    /// `redis-cluster://[user:password@]host[:port],host[:port]`: some of its nodes, which name
    /// the others.
    Cluster(Vec<ConnectionInfo>),
}

impl RedisAddress {
    /// What is allowed, for people.
    pub(crate) const FORMS: &str = "redis://[user:password@]host[:port][/db], \
        redis-sentinel://[user:password@]host:port,host:port/master[/db], \
        redis-cluster://[user:password@]host:port,host:port (with rediss for TLS)";

    /// Understands an address; `None` where it is none.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (kind, encryption) = match scheme {
            "redis" | "rediss" => return Some(Self::Server(url.into_connection_info().ok()?)),
            "redis-sentinel" | "redis-cluster" => (scheme.strip_prefix("redis-"), "redis"),
            "rediss-sentinel" | "rediss-cluster" => (scheme.strip_prefix("rediss-"), "rediss"),
            _ => return None,
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), authority),
        };
        let info = |host: &str, db: u16| {
            let url = format!("{encryption}://{login}{host}/{db}");
            url.into_connection_info().ok()
        };
        let every = |default: Option<u16>| {
            let one = |host| {
                let (host, port) = host_and_port(host)?;
                match port.or(default) {
                    Some(port) => info(&format!("{host}:{port}"), 0),
                    None => info(host, 0),
                }
            };
            hosts.split(',').map(one).collect::<Option<Vec<_>>>()
        };
        if kind == Some("cluster") {
            return matches!(path, "" | "0").then_some(Self::Cluster(every(None)?));
        }
        let (name, db) = path.split_once('/').unwrap_or((path, ""));
        // What sentinels allow in a name.
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return None;
        }
        let db = if db.is_empty() { 0 } else { db.parse().ok()? };
        Some(Self::Sentinels {
            name: name.to_owned(),
            master: info("master", db)?,
            sentinels: every(Some(SENTINEL_PORT))?,
        })
    }

    /// The number of the database; a cluster has one only.
    pub(super) fn database(&self) -> i64 {
        match self {
            Self::Server(info) | Self::Sentinels { master: info, .. } => info.redis_settings().db(),
            Self::Cluster(_) => 0,
        }
    }

    /// Whether it names several hosts, which no parser of one address understands.
    pub(crate) fn is_of_many(&self) -> bool {
        !matches!(self, Self::Server(_))
    }
}

/// Host, in brackets where it is an IPv6 address, and port where one is named.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            !host.is_empty() && host.chars().all(fits)
        }
    };
    is_host.then_some((host, port))
}

/// `info` with another host and port.
pub(super) fn at(info: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let address = match info.addr() {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(address)
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |infos: &[ConnectionInfo]| {
            let hosts: Vec<String> = infos.iter().map(|info| info.addr().to_string()).collect();
            hosts.join(", ")
        };
        match self {
            Self::Server(info) => write!(f, "{}", info.addr()),
            Self::Sentinels {
                name, sentinels, ..
            } => write!(f, "{name} of the sentinels {}", list(sentinels)),
            Self::Cluster(nodes) => write!(f, "the cluster {}", list(nodes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> Option<String> {
        RedisAddress::parse(url).map(|address| address.to_string())
    }

    #[test]
    fn every_form_is_understood() {
        for (url, expected) in [
            ("redis://host", "host:6379"),
            ("rediss://user:pass@host:7000/3", "host:7000"),
            (
                "redis-sentinel://a,b:1/mymaster",
                "mymaster of the sentinels a:26379, b:1",
            ),
            (
                "redis-sentinel://:p%40s@[::1]:5,10.0.0.1/krx.prices-1/2",
                "krx.prices-1 of the sentinels ::1:5, 10.0.0.1:26379",
            ),
            ("redis-cluster://a:1,b:2,c", "the cluster a:1, b:2, c:6379"),
            ("rediss-cluster://u:p@a:1/", "the cluster a:1"),
        ] {
            assert_eq!(shown(url).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in [
            "",
            "host:6379",
            "redis://",
            "redis://a:1,b:2",
            "http://host",
            "redis-sentinel://a:1",
            "redis-sentinel://a:1/",
            "redis-sentinel://a:1/my master",
            "redis-sentinel://a:1/mymaster/x",
            "redis-sentinel://a:1,/mymaster",
            "redis-sentinel://a:port/mymaster",
            "redis-sentinel://a:1/mymaster?db=1",
            // A login whose end is missing must not pass for a host.
            "redis-sentinel://user:hunter2a:1/mymaster",
            "redis-cluster://",
            "redis-cluster://a:1/3",
            "redis-cluster://a:1#insecure",
            "redis-cluster://a:1,redis://b:2",
        ] {
            assert_eq!(shown(url), None, "{url}");
        }
    }

    #[test]
    fn login_database_and_encryption_reach_the_master() {
        let url = "rediss-sentinel://us%3Aer:p%2Fa@ss@a:1,b:2/mymaster/4";
        let Some(RedisAddress::Sentinels {
            master, sentinels, ..
        }) = RedisAddress::parse(url)
        else {
            panic!("not understood");
        };
        let found = at(&master, "10.0.0.9", 7_000);
        assert_eq!(found.addr().to_string(), "10.0.0.9:7000");
        assert!(matches!(found.addr(), ConnectionAddr::TcpTls { .. }));
        assert_eq!(found.redis_settings().db(), 4);
        assert_eq!(found.redis_settings().username(), Some("us:er"));
        assert_eq!(found.redis_settings().password(), Some("p/a@ss"));
        assert_eq!(sentinels.len(), 2);
        // Sentinels have no databases.
        assert!(sentinels.iter().all(|info| info.redis_settings().db() == 0));
    }
}
