//! Objects as tests read them. A test that waits asks for the same object many thousand times, and
//! reading it from JSON was most of the time of such a test.

use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Kind, namespace and name of an object.
type Key = (&'static str, String, String);

/// The last value that was read of each object.
#[derive(Default)]
pub struct Typed(Mutex<HashMap<Key, (Arc<Value>, Box<dyn Any + Send + Sync>)>>);

impl Typed {
    /// The object of this value. The value is read once.
    pub fn of<K>(&self, key: Key, stored: Arc<Value>) -> K
    where
        K: DeserializeOwned + Clone + Send + Sync + 'static,
    {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((value, typed)) = known.get(&key)
            && Arc::ptr_eq(value, &stored)
            && let Some(typed) = typed.downcast_ref::<K>()
        {
            return typed.clone();
        }
        let typed = K::deserialize(&*stored).unwrap();
        known.insert(key, (stored, Box::new(typed.clone())));
        typed
    }
}
