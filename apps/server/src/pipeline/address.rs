//! Where a request comes from.

use crate::settings::Server;
use actix_web::HttpRequest;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The client's address. `X-Forwarded-For` is believed from trusted proxies
/// only, from the right, up to the first address that is no trusted proxy:
/// what stands to the left of it, anybody can write.
pub(super) fn of(http: &HttpRequest, settings: &Server) -> IpAddr {
    let peer = http
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    if settings.trusted_proxies.is_empty() {
        return network(peer);
    }
    let forwarded = http
        .headers()
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok())
        .collect::<Vec<_>>()
        .join(",");
    network(client(peer, &forwarded, &settings.trusted_proxies))
}

fn client(peer: IpAddr, forwarded: &str, trusted: &[String]) -> IpAddr {
    let is_trusted = |address: IpAddr| {
        trusted
            .iter()
            .any(|proxy| proxy.parse::<IpAddr>() == Ok(address))
    };
    let mut current = peer;
    for hop in forwarded.rsplit(',') {
        if !is_trusted(current) {
            break;
        }
        match hop.trim().parse() {
            Ok(address) => current = address,
            Err(_) => break,
        }
    }
    current
}

/// What a limit counts: an IPv6 client commands a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let trusted = ["10.0.0.1".to_owned(), "10.0.0.2".to_owned()];
        let seen = |peer: &str, forwarded: &str| client(ip(peer), forwarded, &trusted);
        assert_eq!(seen("1.2.3.4", "9.9.9.9"), ip("1.2.3.4"));
        assert_eq!(seen("10.0.0.1", "9.9.9.9"), ip("9.9.9.9"));
        assert_eq!(seen("10.0.0.1", "6.6.6.6, 9.9.9.9"), ip("9.9.9.9"));
        assert_eq!(seen("10.0.0.1", "9.9.9.9, 10.0.0.2"), ip("9.9.9.9"));
        assert_eq!(seen("10.0.0.1", "nonsense"), ip("10.0.0.1"));
        assert_eq!(seen("10.0.0.1", ""), ip("10.0.0.1"));
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one() {
        assert_eq!(network(ip("2001:db8:1:2:3::4")), ip("2001:db8:1:2::"));
        assert_eq!(network(ip("::ffff:1.2.3.4")), ip("1.2.3.4"));
    }
}
