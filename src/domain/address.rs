//! Where somebody else's word may send us: public addresses, and what the operator lists.
//!
//! Separate from the webhooks that ask, because this is one rule that must have no gap: a client names an address
//! and this server calls it, from inside of a network that the client may not see
//! (<https://owasp.org/www-community/attacks/Server_Side_Request_Forgery>). What is public is listed by the registries
//! <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks of version 4 that are nobody's on the public Internet.
const NOT_PUBLIC_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(168, 63, 129, 16, 32), // public by its number, but it is the inside of Azure, seen from each of its machines
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 3), // multicast, reserved, broadcast
];

/// All that is handed out of version 6; what lies beyond is local, multicast or reserved.
const HANDED_OUT_V6: Ipv6Net = v6(0x2000, 0, 3);

/// Networks within it that are nobody's: protocol assignments (Teredo among them), and two for documentation.
const NOT_PUBLIC_V6: [Ipv6Net; 3] = [v6(0x2001, 0, 23), v6(0x2001, 0x0db8, 32), v6(0x3fff, 0, 20)];

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(first: u16, second: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), length)
}

/// Whether an address is one of the public Internet, whatever form it is written in.
fn is_public(address: IpAddr) -> bool {
    match innermost(address) {
        IpAddr::V4(v4) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(&v4)),
        IpAddr::V6(v6) => {
            HANDED_OUT_V6.contains(&v6) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&v6))
        }
    }
}

/// The address of version 4 inside of one of version 6 that stands for it: mapped, NAT64 (RFC 6052) or 6to4 (RFC 3056).
fn innermost(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let embedded = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => IpAddr::V4(embedded(high, low)),
        _ => address,
    }
}

/// What the operator lists besides the public Internet: host names, addresses, networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    names: Vec<String>,
    networks: Vec<IpNet>,
}

impl AllowedHosts {
    /// Reads entries such as `hooks.internal`, `127.0.0.1`, `::1` and `10.1.0.0/16`.
    ///
    /// # Errors
    /// A sentence on the first entry that is none of these.
    pub fn new(entries: &[String]) -> Result<Self, String> {
        let mut allowed = Self::default();
        for entry in entries {
            let entry = entry.trim();
            let bare = entry
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .unwrap_or(entry);
            if let Ok(network) = bare.parse::<IpNet>() {
                allowed.networks.push(network.trunc());
            } else if let Ok(address) = bare.parse::<IpAddr>() {
                allowed.networks.push(IpNet::from(address));
            } else if is_name(entry) {
                allowed.names.push(plain(entry));
            } else {
                return Err(format!(
                    "\"{entry}\" is no host name without a port, no IP address and no network such as 10.1.0.0/16"
                ));
            }
        }
        Ok(allowed)
    }

    /// Whether this host name may be called, wherever it leads.
    pub fn lists(&self, name: &str) -> bool {
        self.names.contains(&plain(name))
    }

    /// Whether this address may be called: a public one, or one that is listed.
    pub fn admits(&self, address: IpAddr) -> bool {
        let inner = innermost(address);
        let listed = |network: &IpNet| network.contains(&address) || network.contains(&inner);
        is_public(address) || self.networks.iter().any(listed)
    }
}

/// A name as names are compared: in small letters, without the dot of the root.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // All digits and dots would be a mistyped address.
    text.bytes().any(|b| b.is_ascii_alphabetic()) && text.trim_end_matches('.').split('.').all(label)
}

/// The network that counts as one neighbour: who has one IPv6 address has a whole /64 of them to choose from.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Whether a host, with or without a port, is this machine itself.
pub fn is_loopback(host: &str) -> bool {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return ip.is_loopback();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    let ip = name.trim_matches(['[', ']']).parse();
    name == "localhost" || name.ends_with(".localhost") || ip.is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn listing(entries: &[&str]) -> Result<AllowedHosts, String> {
        let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
        AllowedHosts::new(&entries)
    }

    #[test]
    fn no_address_that_is_not_public_passes() {
        let cases = [
            ("unspecified", "0.0.0.0"),
            ("this network", "0.1.2.3"),
            ("private", "10.0.0.1"),
            ("private", "10.255.255.255"),
            ("shared", "100.64.0.1"),
            ("shared", "100.127.255.255"),
            ("loopback", "127.0.0.1"),
            ("loopback", "127.255.255.254"),
            ("Azure's inside", "168.63.129.16"),
            ("link-local, cloud metadata", "169.254.169.254"),
            ("private", "172.16.0.1"),
            ("private", "172.31.255.255"),
            ("protocol assignments", "192.0.0.8"),
            ("documentation", "192.0.2.1"),
            ("6to4 relays", "192.88.99.1"),
            ("private", "192.168.1.1"),
            ("benchmarks", "198.19.255.255"),
            ("documentation", "198.51.100.7"),
            ("documentation", "203.0.113.9"),
            ("multicast", "224.0.0.1"),
            ("multicast", "239.255.255.250"),
            ("reserved", "240.0.0.1"),
            ("broadcast", "255.255.255.255"),
            ("unspecified", "::"),
            ("loopback", "::1"),
            ("compatible loopback", "::127.0.0.1"),
            ("mapped loopback", "::ffff:127.0.0.1"),
            ("mapped private", "::ffff:10.0.0.1"),
            ("mapped metadata", "::ffff:169.254.169.254"),
            ("translated loopback", "::ffff:0:127.0.0.1"),
            ("NAT64 private", "64:ff9b::10.0.0.1"),
            ("NAT64 metadata", "64:ff9b::a9fe:a9fe"),
            ("local NAT64", "64:ff9b:1::8.8.8.8"),
            ("discard", "100::1"),
            ("Teredo", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
            ("benchmarks", "2001:2::1"),
            ("documentation", "2001:db8::1"),
            ("6to4 private", "2002:c0a8:101::1"),
            ("6to4 loopback", "2002:7f00:1::"),
            ("documentation", "3fff::1"),
            ("segment routing", "5f00::1"),
            ("unique local", "fc00::1"),
            ("unique local, cloud metadata", "fd00:ec2::254"),
            ("link-local", "fe80::1"),
            ("site-local", "fec0::1"),
            ("multicast", "ff02::1"),
        ];
        for (what, address) in cases {
            assert!(!is_public(ip(address)), "{what} {address}");
            assert!(!AllowedHosts::default().admits(ip(address)), "{what} {address}");
        }
    }

    #[test]
    fn public_addresses_pass_in_every_form() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "168.63.129.17",
            "172.15.255.255",
            "172.32.0.0",
            "192.169.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:200::1",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
        ] {
            assert!(is_public(ip(address)), "{address}");
        }
    }

    #[test]
    fn what_is_listed_passes_and_its_neighbours_do_not() {
        let allowed = listing(&[
            "Hooks.Internal.",
            "10.1.0.0/16",
            "127.0.0.1",
            "[::1]",
            "fd12::/64",
        ])
        .unwrap();

        assert!(allowed.lists("hooks.internal") && allowed.lists("HOOKS.internal."));
        assert!(!allowed.lists("evil-hooks.internal") && !allowed.lists("a.hooks.internal"));
        for address in ["10.1.255.1", "::ffff:10.1.0.1", "127.0.0.1", "::1", "fd12::9"] {
            assert!(allowed.admits(ip(address)), "{address}");
        }
        for address in ["10.2.0.1", "127.0.0.2", "fd13::9", "192.168.0.1"] {
            assert!(!allowed.admits(ip(address)), "{address}");
        }
    }

    #[test]
    fn an_entry_that_is_nothing_of_the_kind_is_named() {
        for entry in [
            "",
            "host:80",
            "http://host",
            "10.0.0.0/33",
            "300.1.1.1",
            "a..b",
            "*.internal",
            "host/path",
        ] {
            let complaint = listing(&["localhost", entry]).unwrap_err();
            assert!(complaint.contains(&format!("\"{entry}\"")), "{complaint}");
        }
    }
}
