//! Reads a datum by its [`Plan`], without copying text or octets. Any octets are safe to read:
//! nothing is allocated by what a length claims, and nesting is bounded.
//!
//! To the structs that are read the values look as in JSON: times are RFC 3339 text, numbers
//! are numbers; only octets are octets ([`Octets::Raw`]).

use std::fmt;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::plan::{DEEPEST, Node, Plan};

/// Why a datum cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Error(text.to_string())
    }
}

/// The branch of a union that a datum begins with, and the rest.
pub fn branch(datum: &[u8]) -> Option<(usize, &[u8])> {
    // A union of as many records as an octet can count: there are no more kinds.
    let (first, rest) = datum.split_first()?;
    (first & 0x81 == 0).then_some((usize::from(first >> 1), rest))
}

fn ends() -> Error {
    Error("the datum ends too early".to_owned())
}

/// How octets look to what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Octets {
    /// As they are.
    Raw,
    /// As hexadecimal text, for people.
    Hex,
}

/// A datum that is being read.
pub struct Datum<'de, 'p> {
    plan: &'p Plan,
    rest: &'de [u8],
    octets: Octets,
    depth: usize,
}

impl<'de, 'p> Datum<'de, 'p> {
    /// The datum at the beginning of `input`.
    pub fn new(plan: &'p Plan, input: &'de [u8], octets: Octets) -> Self {
        Datum {
            plan,
            rest: input,
            octets,
            depth: 0,
        }
    }

    /// Its value, by `seed`.
    ///
    /// # Errors
    ///
    /// When it is not what the plan says, or `seed` does not take it, or something follows it.
    pub fn read<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, Error> {
        let node = self.plan.root;
        let value = seed.deserialize(self.at(node))?;
        match self.rest.len() {
            0 => Ok(value),
            n => Err(Error(format!("{n} octets follow the datum"))),
        }
    }

    /// Whether it is what the plan says from its beginning to its end, whatever the values.
    pub fn fits(mut self) -> bool {
        self.skip(self.plan.root).is_ok() && self.rest.is_empty()
    }

    fn at<'d>(&'d mut self, node: usize) -> Value<'d, 'de, 'p> {
        Value { datum: self, node }
    }

    fn take(&mut self, n: usize) -> Result<&'de [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(ends)?;
        self.rest = rest;
        Ok(taken)
    }

    /// A zigzag varint.
    fn long(&mut self) -> Result<i64, Error> {
        let mut value = 0u64;
        for (n, octet) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(octet & 0x7F) << (7 * n);
            if octet & 0x80 == 0 {
                self.rest = &self.rest[n + 1..];
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(match self.rest.len() {
            0..10 => ends(),
            _ => Error("a number is longer than ten octets".to_owned()),
        })
    }

    fn sized(&mut self) -> Result<&'de [u8], Error> {
        let length = usize::try_from(self.long()?).map_err(|_| ends())?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'de str, Error> {
        let octets = self.sized()?;
        std::str::from_utf8(octets).map_err(|_| Error("a string is not UTF-8".to_owned()))
    }

    fn symbol(&mut self, symbols: &'p [Box<str>]) -> Result<&'p str, Error> {
        let index = usize::try_from(self.long()?).ok();
        let symbol = index.and_then(|index| symbols.get(index));
        symbol
            .map(|symbol| &**symbol)
            .ok_or_else(|| Error("an enum has no such symbol".to_owned()))
    }

    fn branch(&mut self, branches: &[usize]) -> Result<usize, Error> {
        let index = usize::try_from(self.long()?).ok();
        let branch = index.and_then(|index| branches.get(index));
        branch
            .copied()
            .ok_or_else(|| Error("a union has no such branch".to_owned()))
    }

    /// The number of items of the next block; 0 at the end.
    fn block(&mut self) -> Result<usize, Error> {
        let mut count = self.long()?;
        if count < 0 {
            // The size in octets follows; it is of use to who skips blocks.
            self.long()?;
            count = count.checked_neg().ok_or_else(ends)?;
        }
        // An item takes an octet at least, or nobody would write it.
        let count = usize::try_from(count).map_err(|_| ends())?;
        if count > self.rest.len() {
            Err(ends())
        } else {
            Ok(count)
        }
    }

    fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            Err(Error(format!("nested more than {DEEPEST} levels deep")))
        } else {
            Ok(())
        }
    }

    fn skip(&mut self, node: usize) -> Result<(), Error> {
        self.deeper()?;
        match &self.plan.nodes[node] {
            Node::Null => {}
            Node::Boolean => drop(self.take(1)?),
            Node::Integer | Node::Time(_) | Node::Enum(_) => drop(self.long()?),
            Node::Float => drop(self.take(4)?),
            Node::Double => drop(self.take(8)?),
            Node::Bytes | Node::Text => drop(self.sized()?),
            Node::Fixed(size) => drop(self.take(*size)?),
            Node::Array(items) => self.skip_blocks(*items, false)?,
            Node::Map(values) => self.skip_blocks(*values, true)?,
            Node::Union(branches) => {
                let branch = self.branch(branches)?;
                self.skip(branch)?;
            }
            Node::Record(fields) => {
                for (_, field) in fields {
                    self.skip(*field)?;
                }
            }
            Node::Wrong(why) => return Err(Error(why.to_string())),
        }
        self.depth -= 1;
        Ok(())
    }

    fn skip_blocks(&mut self, items: usize, keys: bool) -> Result<(), Error> {
        loop {
            let count = self.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if keys {
                    self.sized()?;
                }
                self.skip(items)?;
            }
        }
    }
}

/// One value of a datum.
struct Value<'d, 'de, 'p> {
    datum: &'d mut Datum<'de, 'p>,
    node: usize,
}

impl<'de> Deserializer<'de> for Value<'_, 'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let datum = self.datum;
        match &datum.plan.nodes[self.node] {
            Node::Null => visitor.visit_unit(),
            Node::Boolean => match datum.take(1)? {
                [0] => visitor.visit_bool(false),
                [1] => visitor.visit_bool(true),
                _ => Err(Error("a boolean is neither 0 nor 1".to_owned())),
            },
            Node::Integer => {
                let number = datum.long()?;
                match u64::try_from(number) {
                    Ok(number) => visitor.visit_u64(number),
                    Err(_) => visitor.visit_i64(number),
                }
            }
            Node::Time(unit) => {
                let number = datum.long()?;
                visitor.visit_string(time(number, *unit)?)
            }
            Node::Float => {
                let octets = datum.take(4)?.try_into().map_err(|_| ends())?;
                visitor.visit_f32(f32::from_le_bytes(octets))
            }
            Node::Double => {
                let octets = datum.take(8)?.try_into().map_err(|_| ends())?;
                visitor.visit_f64(f64::from_le_bytes(octets))
            }
            Node::Bytes => datum.sized().and_then(|o| octets(o, datum.octets, visitor)),
            Node::Fixed(size) => (datum.take(*size)).and_then(|o| octets(o, datum.octets, visitor)),
            Node::Text => visitor.visit_borrowed_str(datum.text()?),
            Node::Enum(symbols) => visitor.visit_str(datum.symbol(symbols)?),
            Node::Union(branches) => {
                let branch = datum.branch(branches)?;
                datum.at(branch).deserialize_any(visitor)
            }
            Node::Array(items) => {
                datum.deeper()?;
                let mut blocks = Blocks::new(datum, *items);
                let value = visitor.visit_seq(&mut blocks)?;
                blocks.finish().map(|()| value)
            }
            Node::Map(values) => {
                datum.deeper()?;
                let mut blocks = Blocks::new(datum, *values);
                let value = visitor.visit_map(&mut blocks)?;
                blocks.finish().map(|()| value)
            }
            Node::Record(fields) => {
                datum.deeper()?;
                let mut record = Fields {
                    datum,
                    fields: fields.iter(),
                    next: None,
                };
                let value = visitor.visit_map(&mut record)?;
                record.finish().map(|()| value)
            }
            Node::Wrong(why) => Err(Error(why.to_string())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.datum.plan.nodes[self.node] {
            Node::Null => visitor.visit_none(),
            Node::Union(branches) => {
                let branch = self.datum.branch(branches)?;
                match &self.datum.plan.nodes[branch] {
                    Node::Null => visitor.visit_none(),
                    _ => visitor.visit_some(self.datum.at(branch)),
                }
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.datum.plan.nodes[self.node] {
            Node::Enum(symbols) => visitor.visit_enum(Symbol(self.datum.symbol(symbols)?)),
            Node::Text => visitor.visit_enum(Symbol(self.datum.text()?)),
            Node::Union(branches) => {
                let branch = self.datum.branch(branches)?;
                self.datum.at(branch).deserialize_enum("", &[], visitor)
            }
            _ => Err(Error("an enum is expected".to_owned())),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.datum.skip(self.node)?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        self.datum.octets == Octets::Hex
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

fn octets<'de, V: Visitor<'de>>(
    octets: &'de [u8],
    form: Octets,
    visitor: V,
) -> Result<V::Value, Error> {
    match form {
        Octets::Raw => visitor.visit_borrowed_bytes(octets),
        Octets::Hex => visitor.visit_string(HEXLOWER.encode(octets)),
    }
}

fn time(number: i64, unit: i64) -> Result<String, Error> {
    let nanos = i128::from(number) * i128::from(1_000_000_000 / unit);
    let at = Timestamp::from_nanosecond(nanos);
    at.map(|at| at.to_string())
        .map_err(|_| Error(format!("{number} is no time between years -9999 and 9999")))
}

/// The fields of a record.
struct Fields<'d, 'de, 'p> {
    datum: &'d mut Datum<'de, 'p>,
    fields: std::slice::Iter<'p, (Option<Box<str>>, usize)>,
    next: Option<usize>,
}

impl Fields<'_, '_, '_> {
    /// Passes over what was not asked for.
    fn finish(mut self) -> Result<(), Error> {
        let asked = self.next.take();
        for field in asked.into_iter().chain(self.fields.map(|(_, node)| *node)) {
            self.datum.skip(field)?;
        }
        self.datum.depth -= 1;
        Ok(())
    }
}

impl<'de> MapAccess<'de> for &mut Fields<'_, 'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        for (name, node) in self.fields.by_ref() {
            match name {
                None => self.datum.skip(*node)?,
                Some(name) => {
                    self.next = Some(*node);
                    return seed.deserialize(StrDeserializer::new(name)).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.next.take() {
            Some(node) => seed.deserialize(self.datum.at(node)),
            None => Err(Error::custom("a value was asked for before its field")),
        }
    }
}

/// The items of an array, or the entries of a map.
struct Blocks<'d, 'de, 'p> {
    datum: &'d mut Datum<'de, 'p>,
    items: usize,
    left: usize,
    ended: bool,
}

impl<'d, 'de, 'p> Blocks<'d, 'de, 'p> {
    fn new(datum: &'d mut Datum<'de, 'p>, items: usize) -> Self {
        Blocks {
            datum,
            items,
            left: 0,
            ended: false,
        }
    }

    /// Whether there is one more.
    fn more(&mut self) -> Result<bool, Error> {
        if self.left == 0 && !self.ended {
            self.left = self.datum.block()?;
            self.ended = self.left == 0;
        }
        if self.ended {
            return Ok(false);
        }
        self.left -= 1;
        Ok(true)
    }

    fn finish(mut self) -> Result<(), Error> {
        if self.more()? {
            Err(Error("there are more items than are taken".to_owned()))
        } else {
            self.datum.depth -= 1;
            Ok(())
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Blocks<'_, 'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.more()? {
            seed.deserialize(self.datum.at(self.items)).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl<'de> MapAccess<'de> for &mut Blocks<'_, 'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if self.more()? {
            let key = self.datum.text()?;
            seed.deserialize(BorrowedStrDeserializer::new(key))
                .map(Some)
        } else {
            Ok(None)
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.datum.at(self.items))
    }
}

/// A symbol, as a variant without content.
struct Symbol<'a>(&'a str);

impl<'de> EnumAccess<'de> for Symbol<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        Ok((seed.deserialize(StrDeserializer::new(self.0))?, self))
    }
}

impl<'de> VariantAccess<'de> for Symbol<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, Error> {
        Err(Error::custom("a symbol has no content"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("a symbol has no content"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(Error::custom("a symbol has no content"))
    }
}
