//! Values as people write them: durations with units, switches, addresses with ports.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Compression, DEFAULT_PORT, DeletePolicy, Family, Transport};

/// Units of a duration with their length in microseconds.
const UNITS: [(&str, u64); 7] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("min", 60_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

/// `10s`, `5ms`, `2min`; `0` needs no unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no duration: write 10s, 5ms or 2min"))?;
    if unit.is_empty() && number == 0 {
        return Ok(Duration::ZERO);
    }
    if unit.is_empty() {
        return Err(format!("`{text}` has no unit: write {text}s, {text}ms or {text}min"));
    }
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, micros) = known.ok_or_else(|| format!("`{unit}` is no unit: there are us, ms, s, min, h and d"))?;
    let micros = number.checked_mul(*micros).ok_or_else(|| format!("`{text}` is too long"))?;
    Ok(Duration::from_micros(micros))
}

/// `on` or `off`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err(format!("`{text}` is neither on nor off")),
    }
}

/// `guarded`, `always` or `never`.
pub(super) fn delete_policy(text: &str) -> Result<DeletePolicy, String> {
    match text {
        "guarded" => Ok(DeletePolicy::Guarded),
        "always" => Ok(DeletePolicy::Always),
        "never" => Ok(DeletePolicy::Never),
        _ => Err(format!("`{text}` is no policy: there are guarded, always and never")),
    }
}

/// `off`, `zstd`, or `zstd:LEVEL`.
pub(super) fn compression(text: &str) -> Result<Compression, String> {
    match text.split_once(':') {
        None if text == "off" => Ok(Compression::Off),
        None if text == "zstd" => Ok(Compression::Zstd(3)),
        Some(("zstd", level)) => match level.parse() {
            Ok(level @ 1..=19) => Ok(Compression::Zstd(level)),
            _ => Err(format!("`{level}` is no level of zstd: there are 1 to 19")),
        },
        _ => Err(format!("`{text}` is no compression: there are off, zstd and zstd:LEVEL")),
    }
}

/// `ipv4` or `ipv6`.
pub(super) fn family(text: &str) -> Result<Family, String> {
    match text {
        "ipv4" => Ok(Family::V4),
        "ipv6" => Ok(Family::V6),
        _ => Err(format!("`{text}` is no kind of addresses: there are ipv4 and ipv6")),
    }
}

/// `quic`, `rsync` or `auto`.
pub(super) fn transport(text: &str) -> Result<Transport, String> {
    match text {
        "quic" => Ok(Transport::Quic),
        "rsync" => Ok(Transport::Rsync),
        "auto" => Ok(Transport::Auto),
        _ => Err(format!("`{text}` is no transport: there are quic, rsync and auto")),
    }
}

/// A port that can be sent to, thus not 0.
pub(super) fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(format!("`{}` is no port: there are 1 to 65535", text.trim())),
    }
}

/// An address to listen on: `0.0.0.0:873`, `[::]:873`, or an address alone. Port 0 lets the kernel
/// choose.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    text.parse().or_else(|_| bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DEFAULT_PORT))).map_err(|_| {
        format!("`{text}` is no address to listen on: write 0.0.0.0:{DEFAULT_PORT} or [::]:{DEFAULT_PORT}")
    })
}

/// A host name or address with an optional port.
pub(super) fn host_port(text: &str, default: u16) -> Result<(String, u16), String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok((ip.to_string(), default));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), port(&address.port().to_string())?));
    }
    match text.rsplit_once(':') {
        Some((name, number)) => Ok((host(name)?, port(number)?)),
        None => Ok((host(text)?, default)),
    }
}

/// A host name or address.
pub(super) fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // A program that is given the name would take a leading dash for an option.
    let named = !text.is_empty() && !text.starts_with('-') && text.len() <= 253 && text.chars().all(name);
    if bare.parse::<IpAddr>().is_ok() || named {
        return Ok(bare.to_owned());
    }
    Err(format!("`{text}` is neither a host name nor an address"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_need_their_unit() {
        assert_eq!(duration("5ms"), Ok(Duration::from_millis(5)));
        assert_eq!(duration("2 min"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["10", "s", "", "-1s", "1.5s", "9999999999999999999s", "99999999999999h", "3 parsecs"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_have_ports_or_not() {
        assert_eq!(host_port("10.0.0.1", 873), Ok(("10.0.0.1".into(), 873)));
        assert_eq!(host_port("web2:1", 873), Ok(("web2".into(), 1)));
        assert_eq!(host_port("[::1]:5", 873), Ok(("::1".into(), 5)));
        assert_eq!(host_port("fe80::1", 873), Ok(("fe80::1".into(), 873)));
        for wrong in ["", "-oProxyCommand", "{host}", "a:0", "a:b:c", "a b", "主机"] {
            assert!(host_port(wrong, 873).is_err(), "{wrong}");
        }
        assert_eq!(listen("::"), Ok("[::]:873".parse().expect("valid")));
        assert!(listen("localhost").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = (duration(&text), host_port(&text, 1), listen(&text), compression(&text), port(&text));
        }
    }
}
