//! Arguments with a choice of names: the help tells them, and no others are taken.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

/// A name, and what it means.
pub(super) type Choice = (&'static str, &'static str);

/// Takes the names of `T`, as they are in files.
pub(super) fn choice<T>(names: &'static [Choice]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let values = names
        .iter()
        .map(|(name, help)| PossibleValue::new(*name).help(*help));
    PossibleValuesParser::new(values).try_map(|name| value::<T>(&name))
}

fn value<T: DeserializeOwned>(name: &str) -> Result<T, Error> {
    T::deserialize(StrDeserializer::new(name))
}

/// Whether `names` are all that `T` has; for tests of such tables.
#[cfg(test)]
pub(super) fn assert_whole<T: DeserializeOwned>(names: &[Choice]) {
    for (name, _) in names {
        assert!(value::<T>(name).is_ok(), "{name}");
    }
    let error = value::<T>("no such name").err().expect("no such name");
    let names: Vec<String> = names.iter().map(|(name, _)| format!("`{name}`")).collect();
    assert!(
        error.to_string().ends_with(&names.join(", ")),
        "{error}: {names:?}"
    );
}
