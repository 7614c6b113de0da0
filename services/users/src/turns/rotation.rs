//! A set of queues that are served in turn.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Values by key, in the order in which they are served. Empty ones are removed.
pub(super) struct Rotation<K, V> {
    order: VecDeque<K>,
    values: HashMap<K, V>,
}

/// A queue of waiting items.
pub(super) trait Queue: Default {
    /// The type of the items.
    type Item;

    /// Removes and returns the next item that `may` be served. The others keep their positions.
    fn take(&mut self, may: impl Fn(&Self::Item) -> bool + Copy) -> Option<Self::Item>;

    /// The number of items.
    fn len(&self) -> usize;

    /// Removes the items that no longer wait.
    fn retain(&mut self, waits: impl Fn(&Self::Item) -> bool + Copy);

    /// Removes the newest item in the longest part of the queue.
    fn remove_last(&mut self) -> Option<Self::Item>;
}

impl<K, V> Default for Rotation<K, V> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            values: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Hash, V: Queue> Rotation<K, V> {
    /// The queue of this key, to add an item; a new one is served last.
    pub(super) fn of(&mut self, key: K) -> &mut V {
        self.values.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            V::default()
        })
    }

    /// The number of items with this key.
    pub(super) fn len_of(&self, key: K) -> usize {
        self.values.get(&key).map_or(0, V::len)
    }

    /// The length of the longest queue.
    pub(super) fn len_of_fullest(&self) -> usize {
        self.values.values().map(V::len).max().unwrap_or(0)
    }

    /// The queue of this key, if it has items.
    pub(super) fn existing(&self, key: K) -> Option<&V> {
        self.values.get(&key)
    }

    /// Removes empty queues.
    fn tidy(&mut self) {
        let values = &mut self.values;
        values.retain(|_, queue| queue.len() > 0);
        self.order.retain(|key| values.contains_key(key));
    }
}

impl<K: Copy + Eq + Hash, V: Queue> Queue for Rotation<K, V> {
    type Item = V::Item;

    fn take(&mut self, may: impl Fn(&V::Item) -> bool + Copy) -> Option<V::Item> {
        let values = &mut self.values;
        let served = self.order.iter().enumerate().find_map(|(place, key)| {
            let item = values.get_mut(key)?.take(may)?;
            Some((place, item))
        });
        let (place, item) = served?;
        let key = self.order.remove(place)?;
        if self.len_of(key) > 0 {
            self.order.push_back(key);
        } else {
            self.values.remove(&key);
        }
        Some(item)
    }

    fn len(&self) -> usize {
        self.values.values().map(V::len).sum()
    }

    fn retain(&mut self, waits: impl Fn(&V::Item) -> bool + Copy) {
        for queue in self.values.values_mut() {
            queue.retain(waits);
        }
        self.tidy();
    }

    fn remove_last(&mut self) -> Option<V::Item> {
        let fullest = self.values.values_mut().max_by_key(|queue| queue.len())?;
        let removed = fullest.remove_last();
        self.tidy();
        removed
    }
}

impl<T> Queue for VecDeque<T> {
    type Item = T;

    fn take(&mut self, may: impl Fn(&T) -> bool + Copy) -> Option<T> {
        self.pop_front_if(|first| may(first))
    }

    fn len(&self) -> usize {
        VecDeque::len(self)
    }

    fn retain(&mut self, waits: impl Fn(&T) -> bool + Copy) {
        VecDeque::retain(self, waits);
    }

    fn remove_last(&mut self) -> Option<T> {
        self.pop_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type ByTwo = Rotation<char, Rotation<u8, VecDeque<u32>>>;

    #[test]
    fn each_in_its_turn_on_both_levels() {
        let mut rotation = ByTwo::default();
        for item in 0..4 {
            rotation.of('a').of(1).push_back(item);
        }
        rotation.of('a').of(2).push_back(10);
        rotation.of('b').of(1).push_back(20);
        let served: Vec<_> = std::iter::from_fn(|| rotation.take(|_| true)).collect();
        assert_eq!(served, [0, 20, 10, 1, 2, 3]);
        assert!(rotation.order.is_empty() && rotation.values.is_empty());
    }

    #[test]
    fn who_may_not_be_served_keeps_their_place() {
        let mut rotation = ByTwo::default();
        rotation.of('a').of(1).push_back(1);
        rotation.of('a').of(2).push_back(2);
        rotation.of('b').of(1).push_back(3);
        assert_eq!(rotation.take(|item| *item != 1), Some(2));
        assert_eq!(rotation.take(|item| *item == 4), None);
        let served: Vec<_> = std::iter::from_fn(|| rotation.take(|_| true)).collect();
        assert_eq!(served, [3, 1]);
    }

    #[test]
    fn who_leaves_is_forgotten_and_the_fullest_gives_way() {
        let mut rotation = ByTwo::default();
        for item in 0..4 {
            rotation.of('a').of(1).push_back(item);
        }
        rotation.of('a').of(2).push_back(10);
        rotation.of('b').of(1).push_back(20);
        assert_eq!(rotation.remove_last(), Some(3));
        rotation.retain(|item| *item < 10);
        assert_eq!((rotation.len(), rotation.len_of('b')), (3, 0));
        let served: Vec<_> = std::iter::from_fn(|| rotation.take(|_| true)).collect();
        assert_eq!(served, [0, 1, 2]);
    }
}
