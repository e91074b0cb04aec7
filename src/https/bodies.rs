//! Bodies of requests: bounded in size and time, and in the bytes that are held at once.

use axum::{
    body::{Body, Bytes},
    http::{header, request::Parts},
};
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

/// The bytes of a body that come out of the room for small bodies. The review of an ordinary pod is
/// smaller.
const SMALL: usize = 64 * 1024;
/// The steps in which a body takes room, in bytes.
const STEP: usize = 16 * 1024;

/// Reads bodies within two bounds: the size of each body, and the bytes of all bodies that are held
/// at the same time.
///
/// A body takes room as its bytes arrive. Half of the room is for the first 64 KiB of each body, so
/// that small bodies never wait behind large ones. The bodies of one peer address occupy at most
/// three quarters of either half.
#[derive(Clone, Debug)]
pub struct Bodies {
    limit: usize,
    all: Arc<Pools>,
    /// The shares of the peers that have a body now.
    peers: Arc<Mutex<HashMap<IpAddr, Weak<Pools>>>>,
    /// The bytes of a peer's share.
    share: usize,
}

/// The address of the client, in the extensions of a request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Room for small and for large bodies. One permit stands for 1 KiB.
#[derive(Debug)]
struct Pools {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// A part of the room.
#[derive(Debug, Default)]
struct Taken {
    small: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
}

/// The room that a body occupies until this is dropped.
#[derive(Debug, Default)]
pub struct Room {
    of_all: Taken,
    of_share: Taken,
    share: Option<Arc<Pools>>,
    bytes: usize,
}

/// A body, and the room that it occupies until it is dropped.
#[derive(Debug)]
pub struct HeldBody {
    /// The body.
    pub bytes: Vec<u8>,
    /// Its room.
    pub room: Room,
}

/// The reasons why a body could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoBody {
    /// The body is larger than the limit.
    #[error("the body is too large: at most {0} bytes")]
    TooLarge(usize),
    /// The client sent nothing for too long.
    #[error("the body did not come in time")]
    Late,
    /// Other bodies occupied the room for too long.
    #[error("too many bodies are held already")]
    NoRoom,
    /// The connection failed.
    #[error("the connection failed before the body was complete")]
    Broken,
}

impl Bodies {
    /// Bounds each body to `limit` bytes, and all bodies that are held at the same time to `held`
    /// bytes.
    #[must_use]
    pub fn new(limit: usize, held: usize) -> Self {
        Self { limit, all: Arc::new(Pools::of(held)), peers: Arc::default(), share: held / 4 * 3 }
    }

    /// Reads a body within this time. A body that brings nothing for a third of it, or finds no
    /// room for as long, is dropped.
    ///
    /// # Errors
    /// [`NoBody`] if the body is too large or too slow, if there is no room, or if the connection
    /// fails.
    pub async fn read(&self, head: &Parts, body: Body, within: Duration) -> Result<HeldBody, NoBody> {
        let announced = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > self.limit) {
            return Err(NoBody::TooLarge(self.limit));
        }
        let (deadline, pause) = (Instant::now() + within, within / 3);
        let mut stream = body.into_data_stream();
        let share = head.extensions.get::<Peer>().map(|Peer(peer)| self.share_of(*peer));
        let mut held = HeldBody { bytes: Vec::new(), room: Room { share, ..Room::default() } };
        loop {
            let latest = deadline.min(Instant::now() + pause);
            let chunk = match timeout_at(latest, stream.next()).await {
                Ok(None) => return Ok(held),
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(_))) => return Err(NoBody::Broken),
                Err(_) => return Err(NoBody::Late),
            };
            let length = held.bytes.len() + chunk.len();
            if length > self.limit {
                return Err(NoBody::TooLarge(self.limit));
            }
            timeout(pause, self.make_room(&mut held, length)).await.unwrap_or(Err(NoBody::NoRoom))?;
            held.bytes.extend_from_slice(&chunk);
        }
    }

    /// Takes room for `length` bytes, and some more for those that follow.
    async fn make_room(&self, held: &mut HeldBody, length: usize) -> Result<(), NoBody> {
        let HeldBody { bytes, room } = held;
        if length <= room.bytes {
            return Ok(());
        }
        let wanted = length.max(room.bytes + room.bytes / 2).next_multiple_of(STEP);
        let parts = |bytes: usize| (bytes.min(SMALL), bytes.saturating_sub(SMALL));
        let (now, then) = (parts(room.bytes), parts(wanted));
        let more = (then.0 - now.0, then.1 - now.1);
        if let Some(share) = &room.share {
            room.of_share.take(share, more).await?;
        }
        room.of_all.take(&self.all, more).await?;
        room.bytes = wanted;
        bytes.reserve_exact(wanted - bytes.len());
        Ok(())
    }

    /// The bytes of bodies for which there is room now.
    #[must_use]
    pub fn free(&self) -> usize {
        (self.all.small.available_permits() + self.all.large.available_permits()) * 1024
    }

    /// The share of a peer. The bodies of one peer have the same.
    fn share_of(&self, peer: IpAddr) -> Arc<Pools> {
        let mut peers = self.peers.lock();
        if let Some(share) = peers.get(&peer).and_then(Weak::upgrade) {
            return share;
        }
        peers.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Pools::of(self.share));
        peers.insert(peer, Arc::downgrade(&share));
        share
    }
}

impl Pools {
    fn of(bytes: usize) -> Self {
        let half = || Arc::new(Semaphore::new(bytes / 2 / 1024));
        Self { small: half(), large: half() }
    }
}

impl Taken {
    async fn take(&mut self, pools: &Pools, (small, large): (usize, usize)) -> Result<(), NoBody> {
        take(&pools.small, small, &mut self.small).await?;
        take(&pools.large, large, &mut self.large).await
    }
}

async fn take(room: &Arc<Semaphore>, bytes: usize, held: &mut Option<OwnedSemaphorePermit>) -> Result<(), NoBody> {
    if bytes == 0 {
        return Ok(());
    }
    let permits = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
    let more = room.clone().acquire_many_owned(permits).await.map_err(|_| NoBody::NoRoom)?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}

/// The body of an answer that occupies the room of its request until it has been sent.
pub fn holding(bytes: Vec<u8>, room: Room) -> Body {
    let once = |(bytes, room): (Option<Vec<u8>>, Room)| async move {
        bytes.map(|bytes| (Ok::<_, Infallible>(Bytes::from(bytes)), (None, room)))
    };
    Body::from_stream(stream::unfold((Some(bytes), room), once))
}
