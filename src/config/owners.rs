//! rsync's `--usermap`, `--groupmap` and `--chown` in numbers of this machine.

use super::machine::Machine;
use crate::rewrite::Mapped;

/// Whose names they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Whose {
    Users,
    Groups,
}

/// `FROM:TO,…`, where FROM is a name, a number, a range of numbers or `*`, and TO a name or number.
pub(super) fn maps(machine: &Machine, whose: Whose, text: &str) -> Result<Vec<Mapped>, String> {
    let map = |pair: &str| {
        let (from, to) = pair.split_once(':').ok_or_else(|| format!("`{pair}` has no `:`: write FROM:TO"))?;
        let (first, last) = from_ids(machine, whose, from)?;
        let to_id = id(machine, whose, to)?;
        Ok(Mapped { first, last, to: to_id, name: (!is_number(to)).then(|| to.to_owned()) })
    };
    text.split(',').map(map).collect()
}

/// `USER`, `USER:GROUP` or `:GROUP`, for everybody.
pub(super) fn chown(machine: &Machine, text: &str) -> Result<(Vec<Mapped>, Vec<Mapped>), String> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let all = |whose, name: &str| {
        if name.is_empty() { Ok(Vec::new()) } else { maps(machine, whose, &format!("*:{name}")) }
    };
    Ok((all(Whose::Users, user)?, all(Whose::Groups, group)?))
}

fn from_ids(machine: &Machine, whose: Whose, from: &str) -> Result<(u32, u32), String> {
    if from == "*" {
        return Ok((0, u32::MAX));
    }
    if from.is_empty() || from.contains(['*', '?', '[']) {
        return Err(format!("`{from}:`: patterns of names are not supported; name each, or write `*`"));
    }
    let range = from.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    match range {
        Some(range) => Ok(range),
        None => id(machine, whose, from).map(|id| (id, id)),
    }
}

fn id(machine: &Machine, whose: Whose, name: &str) -> Result<u32, String> {
    let (found, what) = match whose {
        Whose::Users => (machine.user(name).map(|user| user.owner.id), "user"),
        Whose::Groups => (machine.group(name).map(|group| group.id), "group"),
    };
    found.ok_or_else(|| {
        format!("there is no {what} `{name}` here; create it, or write the number that it has on the replica")
    })
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine::made_of(0, "root:x:0:0::/:/\nwww:x:33:33::/:/\n", "root:x:0:\nwww:x:34:\n")
    }

    #[test]
    fn names_numbers_ranges_and_a_star_are_mapped() {
        let map = |first, last, to, name: Option<&str>| Mapped { first, last, to, name: name.map(str::to_owned) };
        let users = maps(&machine(), Whose::Users, "root:www,5-9:7,*:0").expect("usable");
        assert_eq!(users, [map(0, 0, 33, Some("www")), map(5, 9, 7, None), map(0, u32::MAX, 0, None)]);
        let (users, groups) = chown(&machine(), ":www").expect("usable");
        assert_eq!((users, groups), (Vec::new(), vec![map(0, u32::MAX, 34, Some("www"))]));
    }

    #[test]
    fn what_cannot_be_mapped_is_named() {
        let fails = |text| maps(&machine(), Whose::Users, text).expect_err("unusable");
        insta::assert_debug_snapshot!([fails("root"), fails("w*:root"), fails(":root"), fails("*:nginx")]);
    }
}
