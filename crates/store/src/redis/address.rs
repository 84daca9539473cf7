//! Addresses of Redis: one server, the master behind sentinels, or a cluster.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

/// Default port of a sentinel.
const SENTINEL_PORT: u16 = 26_379;

/// A parsed Redis URL. Its display text names hosts and never a login.
pub enum RedisAddress {
    /// `redis://[user:password@]host[:port][/db]`
    Server(ConnectionInfo),
    /// `redis-sentinel://[user:password@]host[:port],host[:port]/master[/db]`. The login is that of
    /// the server; sentinels get it if they ask for one.
    Sentinels {
        /// Name of the master among the sentinels.
        name: String,
        /// Connection to the master, except for host and port.
        master: ConnectionInfo,
        /// Connections to the sentinels, with the login.
        sentinels: Vec<ConnectionInfo>,
    },
    /// `redis-cluster://[user:password@]host[:port],host[:port]`: some of the nodes, which know the
    /// others.
    Cluster(Vec<ConnectionInfo>),
}

impl RedisAddress {
    /// The accepted forms, for people.
    pub const FORMS: &str = "redis://[user:password@]host[:port][/db], \
        redis-sentinel://[user:password@]host:port,host:port/master[/db], \
        redis-cluster://[user:password@]host:port,host:port (with rediss for TLS)";

    /// Parses an address. The error contains no part of it, since it may hold a password.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or(NOT_UNDERSTOOD)?;
        let (kind, encryption) = match scheme {
            "redis" | "rediss" => return Ok(Self::Server(one(url)?)),
            "redis-sentinel" | "redis-cluster" => (scheme.strip_prefix("redis-"), "redis"),
            "rediss-sentinel" | "rediss-cluster" => (scheme.strip_prefix("rediss-"), "rediss"),
            _ => return Err("its scheme is unknown"),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains('@') {
            return Err(UNESCAPED);
        }
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), authority),
        };
        let info = |host: &str, db: u16| one(&format!("{encryption}://{login}{host}/{db}"));
        let every = |default: Option<u16>| {
            let one = |host| {
                let (host, port) = host_and_port(host).ok_or("a host or its port is invalid")?;
                match port.or(default) {
                    Some(port) => info(&format!("{host}:{port}"), 0),
                    None => info(host, 0),
                }
            };
            hosts.split(',').map(one).collect::<Result<Vec<_>, _>>()
        };
        if kind == Some("cluster") {
            return match path {
                "" | "0" => Ok(Self::Cluster(every(None)?)),
                _ => Err("a cluster has no databases, so nothing may follow the hosts"),
            };
        }
        let (name, db) = path.split_once('/').unwrap_or((path, ""));
        // Characters that sentinels allow in a name.
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return Err(
                "the master's name is missing, or has a character that sentinels do not allow",
            );
        }
        let db = match db {
            "" => 0,
            db => db.parse().map_err(|_| NO_DATABASE)?,
        };
        Ok(Self::Sentinels {
            name: name.to_owned(),
            master: info("master", db)?,
            sentinels: every(Some(SENTINEL_PORT))?,
        })
    }

    /// Number of the database, 0 for a cluster.
    pub(super) fn database(&self) -> i64 {
        match self {
            Self::Server(info) | Self::Sentinels { master: info, .. } => info.redis_settings().db(),
            Self::Cluster(_) => 0,
        }
    }

    /// User name in the address, or `default`.
    pub(super) fn user(&self) -> &str {
        let user = self
            .info()
            .and_then(|info| info.redis_settings().username());
        user.unwrap_or("default")
    }

    /// Whether the address contains a password.
    pub(super) fn has_password(&self) -> bool {
        let password = self.info().map(|info| info.redis_settings().password());
        password.flatten().is_some()
    }

    /// Connection to one of the servers, or the template for it.
    fn info(&self) -> Option<&ConnectionInfo> {
        match self {
            Self::Server(info) | Self::Sentinels { master: info, .. } => Some(info),
            Self::Cluster(nodes) => nodes.first(),
        }
    }

    /// Whether the address names several hosts, which parsers of single addresses do not accept.
    pub fn is_of_many(&self) -> bool {
        !matches!(self, Self::Server(_))
    }
}

/// Prints the display text, since the address may hold a password.
impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({self})")
    }
}

const NOT_UNDERSTOOD: &str = "it is not a valid address";
const NO_DATABASE: &str = "the database is not a number from 0 up";
const SEVERAL: &str = "its host or port is invalid; an address with several hosts begins with \
    redis-sentinel:// or redis-cluster://";
const UNESCAPED: &str = "user or password has special characters; percent-encode them: write %40 \
    for @, %2F for /, %3F for ?, %23 for #, %3A for :, %25 for %";

/// Parses the address of one server.
///
/// The client library would take a part of an unescaped password for the host, and ignore what it
/// does not know.
fn one(url: &str) -> Result<ConnectionInfo, &'static str> {
    let (scheme, rest) = url.split_once("://").ok_or(NOT_UNDERSTOOD)?;
    if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it contains a blank or a control character; in a password, write %20");
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, beyond) = rest.split_at_checked(end).ok_or(NOT_UNDERSTOOD)?;
    if beyond.contains('@') {
        return Err(UNESCAPED);
    }
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (Some(login), hosts),
        None => (None, authority),
    };
    let login = login.filter(|login| !login.is_empty());
    if login.is_some_and(|login| {
        login
            .split_once(':')
            .is_none_or(|(_, password)| password.is_empty())
    }) {
        return Err("it has a user without a password; a password alone is written :password@");
    }
    let (path, query) = beyond.split_once('?').unwrap_or((beyond, ""));
    let (query, fragment) = query.split_once('#').unwrap_or((query, ""));
    let (path, fragment) = path.split_once('#').unwrap_or((path, fragment));
    if !(query.is_empty() || query.starts_with("protocol=") && !query.contains('&')) {
        return Err("the part after its ? is not understood: only protocol=resp3 is allowed there");
    }
    if !(fragment.is_empty() || fragment == "insecure" && url.starts_with("rediss:")) {
        return Err("the part after its # is not understood: write %23 for a # in a password");
    }
    let database = path.trim_matches('/');
    if !(database.is_empty() || database.parse::<u16>().is_ok()) {
        return Err(NO_DATABASE);
    }
    url.into_connection_info().map_err(|_| {
        // If the address is valid without the login, the login is the trouble.
        let bare = format!("{scheme}://{hosts}{beyond}");
        match login {
            Some(_) if bare.into_connection_info().is_ok() => UNESCAPED,
            _ if hosts.contains(',') => SEVERAL,
            _ => "its host or port is invalid",
        }
    })
}

/// Splits host and optional port. An IPv6 address must be in brackets.
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

/// Returns `info` with another host and port.
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
        let address = RedisAddress::parse(url);
        address.ok().map(|address| address.to_string())
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
            // An incomplete login must not be taken for a host.
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
    fn a_password_that_is_not_escaped_is_taken_for_nothing_else() {
        for url in [
            "redis://:12/34@host:6379",
            "redis://user:12/34@host:6379",
            "redis://user:12#34@host",
            "redis://user:12?34@host",
            "redis://:p@ss/word@host",
            "redis://:p@ss#word@host:6379",
            "rediss://:p@ss?word@host",
            "redis://user:1/2#3@host/4",
            "redis-cluster://user:12/34@host:1",
            "redis-cluster://user:12#34@host:1,b:2",
            "redis-sentinel://user:12?34@host:1/mymaster",
            "redis-sentinel://user:12/34@host:1/mymaster",
        ] {
            assert_eq!(RedisAddress::parse(url).err(), Some(UNESCAPED), "{url}");
        }
        // Characters that need no escape are accepted.
        for (url, password) in [
            ("redis://:p@ss@host", "p@ss"),
            ("redis://:50%off@host", "50%off"),
            ("redis://:a:b$c@host", "a:b$c"),
            ("redis://user:p%2Fa%23s%3Fs@host/3", "p/a#s?s"),
        ] {
            let Ok(RedisAddress::Server(info)) = RedisAddress::parse(url) else {
                panic!("{url}");
            };
            assert_eq!(info.redis_settings().password(), Some(password), "{url}");
            assert_eq!(info.addr().to_string(), "host:6379", "{url}");
        }
    }

    #[test]
    fn nothing_of_an_address_is_dropped() {
        for (url, cause) in [
            ("redis://hunter2@host", "it has a user without a password"),
            ("redis://user:@host", "it has a user without a password"),
            ("redis://host?timeout=5", "after its ?"),
            ("redis://host?protocol=resp3&timeout=5", "after its ?"),
            ("redis://host#insecure", "after its #"),
            ("redis://host/prices", "the database is not a number"),
            ("redis://host/-1", "the database is not a number"),
            ("redis://host/1/2", "the database is not a number"),
            ("redis://:a b@host", "a blank"),
            ("redis://:a\tb@host", "a blank"),
            ("redis://host:port", "its host or port"),
            ("redis://:hunter2@127.0.0.1:79111", "its host or port"),
            ("rediss://u:hunter2@h:7911x/3", "its host or port"),
            ("redis://:hunter2@", "its host or port"),
            ("redis://:hunter2@:6379", "its host or port"),
            ("redis://:hunter2@a:1,b:2", "its host or port"),
            ("redis://:hunter2@a:1,b:2", "redis-cluster://"),
            ("redis-cluster://:hunter2@a:79111", "a host or its port"),
            ("redis://:hunter2%ff@host", "percent-encode them"),
            ("redis-cluster://host/3", "a cluster has no databases"),
            ("valkey://host", "its scheme"),
        ] {
            let trouble = RedisAddress::parse(url).err().unwrap();
            assert!(trouble.contains(cause), "{url}: {trouble}");
            assert!(!trouble.contains("hunter2"), "{url}: {trouble}");
        }
    }

    #[test]
    fn login_database_and_encryption_reach_the_master() {
        let url = "rediss-sentinel://us%3Aer:p%2Fa@ss@a:1,b:2/mymaster/4";
        let Ok(RedisAddress::Sentinels {
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
