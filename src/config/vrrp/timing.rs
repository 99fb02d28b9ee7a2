//! How often an instance speaks, as the version of the protocol can say it.

use std::time::Duration;

use crate::vrrp::packet::{MAX_CENTISECONDS, Version};

/// The longest interval of version 2, in seconds.
const LONGEST_V2: u64 = 255;

/// `written` as an advertisement can carry it: whole seconds in version 2, whole 10 ms in version 3,
/// rounded as keepalived rounds them.
pub(in crate::config) fn interval(version: Version, written: Duration) -> Duration {
    match version {
        Version::V2 => Duration::from_secs(rounded(written, Duration::from_secs(1)).clamp(1, LONGEST_V2)),
        Version::V3 => {
            let hundredths = rounded(written, Duration::from_millis(10)).clamp(1, MAX_CENTISECONDS.into());
            Duration::from_millis(hundredths * 10)
        }
    }
}

/// How many times `unit` it is, to the nearest.
fn rounded(time: Duration, unit: Duration) -> u64 {
    u64::try_from((time + unit / 2).as_nanos() / unit.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn intervals_are_rounded_as_keepalived_rounds_them() {
        let of = |version, seconds| interval(version, Duration::from_secs_f64(seconds)).as_secs_f64();
        assert_eq!([0.01, 0.4, 1.0, 1.5, 2.49, 300.0].map(|s| of(Version::V2, s)), [1.0, 1.0, 1.0, 2.0, 2.0, 255.0]);
        assert_eq!(
            [0.001, 0.014, 0.015, 1.0, 40.95, 255.0].map(|s| of(Version::V3, s)),
            [0.01, 0.01, 0.02, 1.0, 40.95, 40.95]
        );
    }

    proptest! {
        #[test]
        fn what_comes_out_can_be_carried_and_stays_as_it_is(micros in 0u64..1_000_000_000) {
            for version in [Version::V2, Version::V3] {
                let once = interval(version, Duration::from_micros(micros));
                prop_assert_eq!(interval(version, once), once);
                prop_assert!(once >= Duration::from_millis(10));
            }
        }
    }
}
