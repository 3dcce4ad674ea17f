//! The IP families of a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Which of the two IP families a network has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpFamilies {
    /// IPv4 alone.
    #[default]
    V4,
    /// IPv6 alone.
    V6,
    /// Both (dual stack).
    Both,
}

impl IpFamilies {
    /// The families of these addresses; `None` if there are none.
    pub fn of(addresses: &[IpAddr]) -> Option<Self> {
        let has = |is_v6: bool| addresses.iter().any(|address| address.is_ipv6() == is_v6);
        match (has(false), has(true)) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::V4),
            (false, true) => Some(Self::V6),
            (false, false) => None,
        }
    }

    /// Whether an address is of one of them.
    pub fn include(self, address: IpAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
            Self::Both => true,
        }
    }

    /// The address by which every interface is bound. That of IPv6 stands for both families, as sockets of ours are made.
    pub fn every_interface(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 | Self::Both => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}
