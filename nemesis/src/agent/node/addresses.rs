//! The node's own addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses of this machine's interfaces by which other nodes may know it: not loopback, link-local or multicast ones.
#[allow(unsafe_code, reason = "the standard library does not list interfaces")]
pub(super) fn own() -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: getifaddrs fills in the pointer with a list of its own or fails; the list is freed below, once.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return addresses;
    }
    let mut entry = list;
    // SAFETY: every non-null `ifa_next` points to the next valid entry until freeifaddrs.
    while let Some(interface) = unsafe { entry.as_ref() } {
        // SAFETY: `ifa_addr` is null or points to an address of the size that its family says.
        addresses.extend(unsafe { read(interface.ifa_addr) });
        entry = interface.ifa_next;
    }
    // SAFETY: the list came from getifaddrs and nothing refers to it any more.
    unsafe { libc::freeifaddrs(list) };
    addresses.retain(is_public);
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// # Safety
///
/// `address` is null or points to a socket address of the size that its family says.
#[allow(unsafe_code, reason = "socket addresses of different families share one pointer type")]
unsafe fn read(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: by the contract above; the copies need no alignment.
    unsafe {
        match i32::from(address.as_ref()?.sa_family) {
            libc::AF_INET => {
                let v4 = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let v6 = address.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

fn is_public(address: &IpAddr) -> bool {
    let local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(local || address.is_loopback() || address.is_multicast() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_others_may_know() {
        assert!(own().iter().all(is_public));
        for (text, public) in [
            ("127.0.0.1", false),
            ("::1", false),
            ("10.0.0.1", true),
            ("169.254.1.1", false),
            ("fe80::1", false),
            ("fd00::1", true),
            ("224.0.0.1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_public(&text.parse().unwrap()), public, "{text}");
        }
    }
}
