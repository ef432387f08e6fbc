//! Maps that are filled entry by entry. `collect` sorts first, and brings 3 KB of code along for each type of map: the
//! functions, whose size is what a start waits for, have room for a few.

use std::collections::BTreeMap;

/// The entries as a map. Of two with one key, the later one counts.
pub(crate) fn map<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    for (key, value) in entries {
        map.insert(key, value);
    }
    map
}
