//! Bounds of numbers. They stand once, at the setting, as an attribute of its schema
//! (`#[schemars(range(min = 1, max = 100))]`), and what is checked is read from there.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use super::example::leaves;

/// By the path of the key, without numbers of elements: `esme.window`.
static BOUNDS: LazyLock<BTreeMap<String, RangeInclusive<u64>>> = LazyLock::new(|| {
    let mut found = BTreeMap::new();
    for (path, schema) in leaves() {
        if let (Some(least), Some(most)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64())
        {
            found.insert(path.join("."), least..=most);
        }
    }
    found
});

/// What the number at `key` may be, such as `esme[0].window`; `None` if that has no bounds.
pub(super) fn of(key: &str) -> Option<&'static RangeInclusive<u64>> {
    let names = key.split('.').map(|step| step.split('[').next());
    let path: Vec<&str> = names.map(Option::unwrap_or_default).collect();
    BOUNDS.get(&path.join("."))
}
