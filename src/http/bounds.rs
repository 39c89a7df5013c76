//! How many connections there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{CONNECTIONS, CONNECTIONS_OF_ONE};

/// The connections that are served.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<Served>>);

#[derive(Default)]
struct Served {
    all: usize,
    /// Those of each address that has any.
    by_address: HashMap<IpAddr, usize>,
}

/// One that is served, until this is dropped.
pub(super) struct Place {
    of: Connections,
    address: IpAddr,
}

impl Connections {
    /// A place for one more from this address, if there is room.
    pub(super) fn place(&self, address: IpAddr) -> Option<Place> {
        let mut served = self.0.lock();
        let own = served.by_address.get(&address).copied().unwrap_or(0);
        if served.all >= CONNECTIONS || own >= CONNECTIONS_OF_ONE {
            return None;
        }
        served.all += 1;
        served.by_address.insert(address, own + 1);
        Some(Place {
            of: self.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut served = self.of.0.lock();
        served.all = served.all.saturating_sub(1);
        if let Some(own) = served.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                served.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_opens_many_leaves_room_for_others() {
        let connections = Connections::default();
        let address = |last| IpAddr::from([127, 0, 0, last]);
        let mut places: Vec<Place> = std::iter::from_fn(|| connections.place(address(1))).collect();
        assert_eq!(places.len(), CONNECTIONS_OF_ONE);
        for other in 2..=4 {
            places.extend(std::iter::from_fn(|| connections.place(address(other))));
        }
        assert_eq!(places.len(), CONNECTIONS);
        assert!(connections.place(address(9)).is_none());
        drop(places);
        assert!(connections.place(address(9)).is_some());
        assert!(connections.0.lock().by_address.is_empty());
    }
}
