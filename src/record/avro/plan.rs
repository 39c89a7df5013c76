//! How a datum of one writer's schema is read: made once for each schema, so that a record
//! costs no look at a schema.
//!
//! Resolution follows the specification (Avro 1.12, "Schema Resolution"): fields by name or
//! alias, numbers promoted, text and octets exchanged, unknown symbols replaced by the enum's
//! default, what we do not know skipped. Three things differ: names of records do not have to be
//! ours, because producers have packages of their own; times are read by the writer's unit; and
//! text is taken where JSON takes it, for enums, times and addresses.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{EnumSchema, Name, RecordSchema, UuidSchema};

/// How deeply values may be nested, so that no datum can exhaust the stack.
pub(super) const DEEPEST: usize = 32;

/// How deeply types may be nested, by references too, so that no schema can exhaust the stack.
const LEVELS: usize = 64;

/// A schema with the names in it. A plan's parts are found by number: schemas may be recursive.
#[derive(Debug)]
pub struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) root: usize,
}

/// A field: its name, if the reader knows it, and how its value is read.
pub(super) type Field = (Option<Box<str>>, usize);

/// How one value is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Boolean,
    /// An int or a long: both are written alike.
    Integer,
    Float,
    Double,
    Bytes,
    Text,
    /// A time; so many of its units make a second.
    Time(i64),
    Fixed(usize),
    /// The symbols as the reader knows them.
    Enum(Vec<Box<str>>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    /// The fields as written; those the reader does not know have no name.
    Record(Vec<Field>),
    /// A value that the reader's schema has no place for, and why; an error when it comes.
    Wrong(Box<str>),
}

/// A writer's schema that cannot be read as ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Incompatible(pub String);

impl Plan {
    /// Reads data of `writer` as if they had been written with `reader`.
    ///
    /// # Errors
    ///
    /// When no datum of `writer` could ever be read so.
    pub fn new(writer: &Schema, reader: &Schema) -> Result<Plan, Incompatible> {
        Compiler::run(writer, &[], Some(reader))
    }

    /// As [`new`](Plan::new), where `writer` refers to types that `others` define.
    ///
    /// # Errors
    ///
    /// When no datum of `writer` could ever be read so.
    pub fn with_others(
        writer: &Schema,
        others: &[Schema],
        reader: &Schema,
    ) -> Result<Plan, Incompatible> {
        Compiler::run(writer, others, Some(reader))
    }

    /// Reads data of `writer` as they are.
    ///
    /// # Errors
    ///
    /// When the schema is not whole.
    pub fn as_written(writer: &Schema) -> Result<Plan, Incompatible> {
        Compiler::run(writer, &[], None)
    }
}

/// Named schemas by their names.
type Names<'s> = HashMap<&'s Name, &'s Schema>;

struct Compiler<'s> {
    writers: Names<'s>,
    readers: Names<'s>,
    nodes: Vec<Node>,
    /// How deep it is now.
    depth: usize,
    /// Records under way or done, by their names on both sides.
    done: HashMap<(&'s Name, Option<&'s Name>), usize>,
}

impl<'s> Compiler<'s> {
    fn run(
        writer: &'s Schema,
        others: &'s [Schema],
        reader: Option<&'s Schema>,
    ) -> Result<Plan, Incompatible> {
        let mut compiler = Compiler {
            writers: Names::new(),
            readers: Names::new(),
            nodes: Vec::new(),
            depth: 0,
            done: HashMap::new(),
        };
        for schema in others.iter().chain([writer]) {
            collect(schema, &mut compiler.writers);
        }
        if let Some(reader) = reader {
            collect(reader, &mut compiler.readers);
        }
        let root = compiler.value(writer, reader)?;
        Ok(Plan {
            nodes: compiler.nodes,
            root,
        })
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn value(&mut self, w: &'s Schema, r: Option<&'s Schema>) -> Result<usize, Incompatible> {
        if self.depth == LEVELS {
            let text = format!("its types are nested more than {LEVELS} levels deep");
            return Err(Incompatible(text));
        }
        self.depth += 1;
        let node = self.value_here(w, r);
        self.depth -= 1;
        node
    }

    fn value_here(&mut self, w: &'s Schema, r: Option<&'s Schema>) -> Result<usize, Incompatible> {
        let w = resolve(w, &self.writers)?;
        let r = r.map(|r| resolve(r, &self.readers)).transpose()?;
        match (w, r) {
            (Schema::Union(union), _) => self.union(union.variants(), r),
            (_, Some(Schema::Union(union))) => self.branch(w, union.variants()),
            (Schema::Record(w), None) => self.record(w, None),
            (Schema::Record(w), Some(Schema::Record(r))) => self.record(w, Some(r)),
            (Schema::Array(w), None) => self.items(&w.items, None, Node::Array),
            (Schema::Array(w), Some(Schema::Array(r))) => {
                self.items(&w.items, Some(&r.items), Node::Array)
            }
            (Schema::Map(w), None) => self.items(&w.types, None, Node::Map),
            (Schema::Map(w), Some(Schema::Map(r))) => {
                self.items(&w.types, Some(&r.types), Node::Map)
            }
            (Schema::Enum(w), None | Some(Schema::String)) => Ok(self.add(Node::Enum(symbols(w)))),
            // As in JSON, a number alone is an address.
            (Schema::String, Some(Schema::Record(r))) if r.name.name() == "Address" => {
                Ok(self.add(Node::Text))
            }
            (Schema::Enum(w), Some(Schema::Enum(r))) => {
                let node = Node::Enum(translated(w, r)?);
                Ok(self.add(node))
            }
            _ => {
                let node = plain(w, r).ok_or_else(|| {
                    Incompatible(format!("{} is not {}", name(w), r.map_or("known", name)))
                })?;
                Ok(self.add(node))
            }
        }
    }

    fn items(
        &mut self,
        w: &'s Schema,
        r: Option<&'s Schema>,
        node: fn(usize) -> Node,
    ) -> Result<usize, Incompatible> {
        let items = self.value(w, r)?;
        Ok(self.add(node(items)))
    }

    /// A writer's union: a branch that cannot be read only matters if it comes.
    fn union(
        &mut self,
        branches: &'s [Schema],
        r: Option<&'s Schema>,
    ) -> Result<usize, Incompatible> {
        let mut nodes = Vec::with_capacity(branches.len());
        let mut wrong = None;
        for branch in branches {
            nodes.push(match self.value(branch, r) {
                Ok(node) => node,
                Err(error) => {
                    let node = Node::Wrong(error.0.clone().into());
                    wrong = Some(error);
                    self.add(node)
                }
            });
        }
        let any = nodes
            .iter()
            .any(|n| !matches!(self.nodes[*n], Node::Wrong(_)));
        match wrong {
            Some(error) if !any => Err(error),
            _ => Ok(self.add(Node::Union(nodes))),
        }
    }

    /// A value that the reader has a union for: its first branch of the same type, else the
    /// first that takes it.
    fn branch(&mut self, w: &'s Schema, branches: &'s [Schema]) -> Result<usize, Incompatible> {
        let mut found = Vec::new();
        for exact in [true, false] {
            for branch in branches {
                let branch = resolve(branch, &self.readers)?;
                if exact == (std::mem::discriminant(branch) == std::mem::discriminant(w)) {
                    found.push(branch);
                }
            }
        }
        let mut wrong = Incompatible("an empty union takes nothing".to_owned());
        for branch in found {
            match self.value(w, Some(branch)) {
                Ok(node) => return Ok(node),
                Err(error) if wrong.0.contains(": ") => drop(error),
                Err(error) => wrong = error,
            }
        }
        Err(wrong)
    }

    fn record(
        &mut self,
        w: &'s RecordSchema,
        r: Option<&'s RecordSchema>,
    ) -> Result<usize, Incompatible> {
        let key = (&w.name, r.map(|r| &r.name));
        if let Some(node) = self.done.get(&key) {
            return Ok(*node);
        }
        let this = self.add(Node::Record(Vec::new()));
        self.done.insert(key, this);
        let fields = self.fields(w, r).inspect_err(|_| {
            self.done.remove(&key);
        })?;
        self.nodes[this] = Node::Record(fields);
        Ok(this)
    }

    fn fields(
        &mut self,
        w: &'s RecordSchema,
        r: Option<&'s RecordSchema>,
    ) -> Result<Vec<Field>, Incompatible> {
        let mut fields = Vec::with_capacity(w.fields.len());
        for field in &w.fields {
            let ours = r.map(|r| r.fields.iter().find(|f| is(f, &field.name)));
            let name = match ours {
                None => Some(&field.name),
                Some(ours) => ours.map(|f| &f.name),
            };
            let node = self
                .value(&field.schema, ours.flatten().map(|f| &f.schema))
                .map_err(|error| Incompatible(format!("{}: {error}", field.name)))?;
            fields.push((name.map(|name| name.as_str().into()), node));
        }
        let written = |name: &str| fields.iter().any(|(n, _)| n.as_deref() == Some(name));
        let needed = r.into_iter().flat_map(|r| &r.fields);
        match needed
            .filter(|f| f.default.is_none())
            .find(|f| !written(&f.name))
        {
            None => Ok(fields),
            Some(f) => Err(Incompatible(format!("field {} is missing", f.name))),
        }
    }
}

/// Whether a reader's field is what the writer calls `name`.
fn is(field: &apache_avro::schema::RecordField, name: &str) -> bool {
    field.name == name || field.aliases.iter().any(|alias| alias == name)
}

fn collect<'s>(schema: &'s Schema, names: &mut Names<'s>) {
    match schema {
        Schema::Record(record) => {
            names.insert(&record.name, schema);
            record.fields.iter().for_each(|f| collect(&f.schema, names));
        }
        Schema::Enum(one) => drop(names.insert(&one.name, schema)),
        Schema::Fixed(one) => drop(names.insert(&one.name, schema)),
        Schema::Array(array) => collect(&array.items, names),
        Schema::Map(map) => collect(&map.types, names),
        Schema::Union(union) => union.variants().iter().for_each(|s| collect(s, names)),
        _ => {}
    }
}

fn resolve<'s>(schema: &'s Schema, names: &Names<'s>) -> Result<&'s Schema, Incompatible> {
    match schema {
        Schema::Ref { name } => names
            .get(name)
            .copied()
            .ok_or_else(|| Incompatible(format!("type {name} is not defined in the schema"))),
        other => Ok(other),
    }
}

fn symbols(schema: &EnumSchema) -> Vec<Box<str>> {
    schema.symbols.iter().map(|s| s.as_str().into()).collect()
}

fn translated(w: &EnumSchema, r: &EnumSchema) -> Result<Vec<Box<str>>, Incompatible> {
    let known = |symbol: &&String| r.symbols.contains(symbol);
    let symbol = |symbol: &String| {
        let ours = Some(symbol).filter(known).or(r.default.as_ref());
        let ours = ours.ok_or_else(|| Incompatible(format!("symbol {symbol} is not known")))?;
        Ok(ours.as_str().into())
    };
    w.symbols.iter().map(symbol).collect()
}

/// How a value without parts is read.
fn plain(w: &Schema, r: Option<&Schema>) -> Option<Node> {
    let node = match w {
        Schema::Null => Node::Null,
        Schema::Boolean => Node::Boolean,
        Schema::Int | Schema::Date | Schema::TimeMillis => Node::Integer,
        Schema::Long | Schema::TimeMicros => Node::Integer,
        Schema::TimestampMillis | Schema::LocalTimestampMillis => Node::Time(1000),
        Schema::TimestampMicros | Schema::LocalTimestampMicros => Node::Time(1_000_000),
        Schema::TimestampNanos | Schema::LocalTimestampNanos => Node::Time(1_000_000_000),
        Schema::Float => Node::Float,
        Schema::Double => Node::Double,
        Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Node::Bytes,
        Schema::String | Schema::Uuid(UuidSchema::String) => Node::Text,
        Schema::Decimal(decimal) => match &decimal.inner {
            apache_avro::schema::InnerDecimalSchema::Bytes => Node::Bytes,
            apache_avro::schema::InnerDecimalSchema::Fixed(fixed) => Node::Fixed(fixed.size),
        },
        Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
            Node::Fixed(fixed.size)
        }
        _ => return None,
    };
    let Some(r) = r else { return Some(node) };
    Some(match (&node, r) {
        (Node::Null, Schema::Null)
        | (Node::Boolean, Schema::Boolean)
        | (Node::Integer, Schema::Long | Schema::Float | Schema::Double) => node,
        // A long is read where we want an int; whether it fits shows at the field.
        (Node::Integer, Schema::Int) => node,
        // A plain number where we want a time is taken for our unit.
        (Node::Integer, Schema::TimestampMicros) => Node::Time(1_000_000),
        (Node::Time(_), Schema::TimestampMicros) => node,
        (Node::Time(_), Schema::Long) => Node::Integer,
        (Node::Float | Node::Double, Schema::Float | Schema::Double) => node,
        (Node::Text | Node::Bytes, Schema::String) => Node::Text,
        // As in JSON: whether it is one of the words, or a time, shows at the field.
        (Node::Text, Schema::Enum(_) | Schema::TimestampMicros) => node,
        (Node::Bytes | Node::Text, Schema::Bytes) => Node::Bytes,
        (Node::Fixed(_), Schema::Bytes) => node,
        _ => return None,
    })
}

/// What a schema is called in errors.
fn name(schema: &Schema) -> &'static str {
    match schema {
        Schema::Null => "null",
        Schema::Boolean => "boolean",
        Schema::Int => "int",
        Schema::Long => "long",
        Schema::Float => "float",
        Schema::Double => "double",
        Schema::Bytes => "bytes",
        Schema::String => "string",
        Schema::Array(_) => "array",
        Schema::Map(_) => "map",
        Schema::Union(_) => "union",
        Schema::Record(_) => "record",
        Schema::Enum(_) => "enum",
        Schema::Fixed(_) => "fixed",
        Schema::TimestampMillis | Schema::TimestampMicros | Schema::TimestampNanos => "a timestamp",
        _ => "of that logical type",
    }
}
