//! `hosts allow` and `hosts deny`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::HostPattern;

/// The patterns of a list, which blanks or commas separate.
///
/// # Errors
/// The first pattern that cannot be used, with what to write in its place.
pub(super) fn parse(list: &str) -> Result<Vec<HostPattern>, String> {
    let words = list.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    let patterns = words.map(pattern).collect::<Result<Vec<_>, _>>()?;
    Ok(patterns.into_iter().flatten().collect())
}

/// `*`, an address, `address/bits`, `address/mask`, `10.1.*`; `localhost` stands for both loopbacks.
fn pattern(word: &str) -> Result<Vec<HostPattern>, String> {
    if word == "*" {
        return Ok(vec![HostPattern::Any]);
    }
    if word.eq_ignore_ascii_case("localhost") {
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        return Ok(vec![HostPattern::Net(v4, 32), HostPattern::Net(v6, 128)]);
    }
    if let Some(net) = octets(word) {
        return Ok(vec![net]);
    }
    let (address, mask) = word.split_once('/').map_or((word, None), |(address, mask)| (address, Some(mask)));
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    let Ok(ip) = bare.parse::<IpAddr>() else {
        return Err(format!("`{word}` is no address: who may write must not depend on a resolver"));
    };
    let width = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match mask {
        None => Some(width),
        Some(mask) => bits(mask, &ip).filter(|bits| *bits <= width),
    };
    match bits {
        Some(bits) => Ok(vec![HostPattern::Net(ip, bits)]),
        None => Err(format!("`{word}` has no netmask: write {bare}/24 or a mask of leading ones")),
    }
}

/// How many leading bits `mask` keeps, as a number or as an address of leading ones.
fn bits(mask: &str, ip: &IpAddr) -> Option<u8> {
    if let Ok(bits) = mask.parse() {
        return Some(bits);
    }
    let (ones, all) = match (mask.parse().ok()?, ip) {
        (IpAddr::V4(mask), IpAddr::V4(_)) => (u32::from(mask).leading_ones(), u32::from(mask).count_ones()),
        (IpAddr::V6(mask), IpAddr::V6(_)) => (u128::from(mask).leading_ones(), u128::from(mask).count_ones()),
        _ => return None,
    };
    u8::try_from(ones).ok().filter(|_| ones == all)
}

/// `10.1.*`, `10.1.2.*`: whole octets, then stars.
fn octets(word: &str) -> Option<HostPattern> {
    let mut numbers = [0u8; 4];
    let mut kept = 0;
    let mut stars = false;
    for (at, part) in word.split('.').enumerate() {
        match part {
            "*" => stars = true,
            _ if stars => return None,
            _ => {
                *numbers.get_mut(at)? = part.parse().ok()?;
                kept += 8;
            }
        }
    }
    let parts = word.split('.').count();
    (stars && kept > 0 && parts <= 4).then(|| HostPattern::Net(IpAddr::V4(Ipv4Addr::from(numbers)), kept))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(ip: &str, bits: u8) -> HostPattern {
        HostPattern::Net(ip.parse().expect("address"), bits)
    }

    #[test]
    fn addresses_networks_masks_and_stars() {
        let list = "10.0.0.1, 192.168.1.0/24 172.16.0.0/255.240.0.0,[fe80::]/10 10.1.* *";
        let expected = vec![
            net("10.0.0.1", 32),
            net("192.168.1.0", 24),
            net("172.16.0.0", 12),
            net("fe80::", 10),
            net("10.1.0.0", 16),
            HostPattern::Any,
        ];
        assert_eq!(parse(list), Ok(expected));
        assert_eq!(parse("localhost"), Ok(vec![net("127.0.0.1", 32), net("::1", 128)]));
    }

    #[test]
    fn a_name_or_a_broken_mask_decides_nothing() {
        for wrong in ["web1", "*.example.com", "@staff", "10.0.0.0/33", "10.0.0.0/255.0.255.0", "10.0.0.0/", "10.*.1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_list_panics(list in "[0-9a-f.:/*, \\[\\]]{0,30}") {
            let _ = parse(&list);
        }
    }
}
