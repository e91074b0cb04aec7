//! A bounded number of places, shared among peer addresses.

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};
use tokio::sync::oneshot;

/// The most places, in all and of one peer address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) all: usize,
    pub(super) of_peer: usize,
}

/// The places of a port.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    last: u64,
    /// The places of each peer by their number. A dropped sender tells its holder to leave.
    peers: HashMap<IpAddr, BTreeMap<u64, oneshot::Sender<()>>>,
}

/// A place. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    peer: IpAddr,
    number: u64,
    lost: oneshot::Receiver<()>,
}

/// The outcome of a request for a place.
#[derive(Debug)]
pub(super) enum Admission {
    /// There was a free place.
    Free(Place),
    /// Another peer lost its oldest place to this one.
    InsteadOfAnother(Place),
    /// There is no place.
    Refused,
}

impl Places {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, taken: Mutex::default() })
    }

    /// Takes a place for a peer. If all places are taken, the peer with most loses one, provided
    /// that it has more than this peer has afterwards.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Admission {
        let mut taken = self.taken.lock();
        let own = taken.peers.get(&peer).map_or(0, BTreeMap::len);
        if own >= self.limits.of_peer {
            return Admission::Refused;
        }
        let is_full = taken.count >= self.limits.all;
        if is_full {
            let most = taken.peers.iter().max_by_key(|(_, places)| places.len());
            let Some(most) = most.filter(|(_, places)| places.len() > own + 1).map(|(peer, _)| *peer) else {
                return Admission::Refused;
            };
            taken.peers.get_mut(&most).and_then(BTreeMap::pop_first);
            taken.count -= 1;
        }
        taken.count += 1;
        taken.last += 1;
        let (held, lost) = oneshot::channel();
        let number = taken.last;
        taken.peers.entry(peer).or_default().insert(number, held);
        let place = Place { places: self.clone(), peer, number, lost };
        if is_full { Admission::InsteadOfAnother(place) } else { Admission::Free(place) }
    }

    /// The number of places that are taken now.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().count
    }
}

impl Place {
    /// The number of the place. Later places have higher numbers.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Waits until the place is lost to another peer.
    pub(super) async fn lost(&mut self) {
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        let Some(places) = taken.peers.get_mut(&self.peer) else { return };
        let is_held = places.remove(&self.number).is_some();
        if places.is_empty() {
            taken.peers.remove(&self.peer);
        }
        taken.count -= usize::from(is_held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn peer(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn taken_by(places: &Arc<Places>, last: u8) -> Option<Place> {
        match places.take(peer(last)) {
            Admission::Free(place) | Admission::InsteadOfAnother(place) => Some(place),
            Admission::Refused => None,
        }
    }

    fn lost(place: &mut Place) -> bool {
        place.lost().now_or_never().is_some()
    }

    #[test]
    fn a_peer_gets_no_more_than_its_share_and_gets_it_back() {
        let places = Places::new(Limits { all: 4, of_peer: 2 });
        let held: Vec<Place> = (0..2).filter_map(|_| taken_by(&places, 1)).collect();
        assert_eq!(held.len(), 2);
        assert!(taken_by(&places, 1).is_none(), "the third");
        drop(held);
        assert_eq!(places.taken(), 0);
        assert!(taken_by(&places, 1).is_some());
    }

    #[test]
    fn a_peer_with_few_places_takes_the_oldest_of_the_peer_with_most() {
        let places = Places::new(Limits { all: 4, of_peer: 3 });
        let mut flood: Vec<Place> = (0..3).filter_map(|_| taken_by(&places, 1)).collect();
        let mut other = taken_by(&places, 2).unwrap();
        let first = taken_by(&places, 3);
        assert!(first.is_some(), "the flood has more than two");
        assert_eq!(flood.iter_mut().map(lost).collect::<Vec<_>>(), [true, false, false]);
        assert!(!lost(&mut other));
        assert!(taken_by(&places, 3).is_none(), "nobody has more than this peer would have");
        assert_eq!(places.taken(), 4);
        drop(flood);
        assert_eq!(places.taken(), 2, "a lost place is given back once");
    }

    #[test]
    fn a_place_of_many_single_peers_is_lost_to_nobody() {
        let places = Places::new(Limits { all: 3, of_peer: 3 });
        let held: Vec<Place> = (0..3).filter_map(|last| taken_by(&places, last)).collect();
        assert_eq!(held.len(), 3);
        assert!(taken_by(&places, 9).is_none());
    }
}
