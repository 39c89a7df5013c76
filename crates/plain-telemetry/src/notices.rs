//! Lines.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Level;

use crate::ErrorCode;

/// One line that a program may write.
pub struct Notice {
    /// The name of its struct.
    type_name: &'static str,
    /// At which level it is written.
    pub level: Level,
    /// By which it is explained. A line at `warn` or `error` that has none says it in its field
    /// `error_code`.
    pub code: Option<ErrorCode>,
    /// Its text, which never varies: what varies are the fields.
    pub text: &'static str,
    /// What it means for whoever reads it.
    pub about: &'static str,
    /// What it says besides its text, in order.
    pub fields: &'static [Field],
    times: AtomicU64,
}

/// One field of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, which never changes its meaning.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
}

impl Notice {
    /// For [`notices!`](crate::notices).
    #[doc(hidden)]
    pub const fn new(
        type_name: &'static str,
        level: Level,
        code: Option<ErrorCode>,
        text: &'static str,
        about: &'static str,
        fields: &'static [Field],
    ) -> Self {
        Notice {
            type_name,
            level,
            code,
            text,
            about,
            fields,
            times: AtomicU64::new(0),
        }
    }

    /// The name of its struct, which is also that of its event's metadata.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// What it is called: the name of its struct in lower case, with `_` between the words.
    pub fn name(&self) -> String {
        let mut name = String::new();
        for letter in self.type_name.chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// How often this process has emitted it, whatever level the log is at.
    pub fn times(&self) -> u64 {
        self.times.load(Ordering::Relaxed)
    }

    /// For [`notices!`](crate::notices).
    #[doc(hidden)]
    pub fn count(&self) {
        self.times.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.level, self.type_name)
    }
}

/// Whether a line has a code, of its own or in a field, if its level wants one; and none otherwise.
#[doc(hidden)]
pub const fn is_coded(wants: bool, code: Option<ErrorCode>, fields: &[Field]) -> bool {
    let (mut at, mut is_field) = (0, false);
    while at < fields.len() {
        is_field |= is_same(fields[at].name, "error_code");
        at += 1;
    }
    wants == (code.is_some() != is_field)
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// A row of a table of notices.
#[derive(Clone, Copy)]
pub struct Row(fn() -> &'static Notice);

impl Row {
    /// For [`notices!`](crate::notices).
    #[doc(hidden)]
    pub const fn new(notice: fn() -> &'static Notice) -> Self {
        Row(notice)
    }

    /// The notice of this row.
    pub fn get(self) -> &'static Notice {
        (self.0)()
    }
}

/// Declares lines, one struct for each, and a static table of all of them.
///
/// The first item names the table. Each further one is: the documentation, which says what the line
/// means for whoever reads it; the level (`error`, `warn`, `info` or `debug`); the name of the
/// struct, with a lifetime if its fields borrow; the text; and the fields. A line at `error` or `warn`
/// has an [`ErrorCode`], in brackets behind the level: it is written as the field `error_code`. Where
/// it differs from one time to the next, the brackets are left out and the line has a field of that
/// name. Without either it does not compile. Before each field stands
/// how it is written: `value` as what it is (a number, a string, a boolean), `display` as its
/// `Display` says, `debug` as its `Debug` says, and `inline` not as a field, but in the text, where
/// its name stands in braces. All of them are documented: a line without a word about its meaning
/// does not compile.
///
/// The line has the module of the table as its target, and the struct's name as that of its event.
#[macro_export]
macro_rules! notices {
    (
        $(#[$table_meta:meta])* $table_vis:vis static $table:ident;
        $(
            $(#[doc = $about:literal])+
            $level:ident $([$code:expr])? $name:ident $(<$life:lifetime>)? $text:literal {
                $(
                    $(#[doc = $field_about:literal])+
                    $how:ident $field:ident: $type:ty
                ),* $(,)?
            }
        )*
    ) => {
        $(#[$table_meta])*
        $table_vis static $table: &[$crate::Row] = &[$($crate::Row::new($name::notice)),*];

        $(
            $(#[doc = $about])+
            $table_vis struct $name $(<$life>)? {
                $($(#[doc = $field_about])+ $table_vis $field: $type,)*
            }

            impl $(<$life>)? $name $(<$life>)? {
                /// Its row of the table.
                $table_vis fn notice() -> &'static $crate::Notice {
                    const CODE: Option<$crate::ErrorCode> = $crate::code!($($code)?);
                    const FIELDS: &[$crate::Field] = &[$($crate::Field {
                        name: stringify!($field),
                        about: concat!($($field_about, "\n"),+),
                    }),*];
                    const _: () = assert!(
                        $crate::is_coded($crate::wants_code!($level), CODE, FIELDS),
                        "a line at warn or error has a code, and no other: warn[CODE] Name, or a field error_code"
                    );
                    static NOTICE: $crate::Notice = $crate::Notice::new(
                        stringify!($name),
                        $crate::level!($level),
                        CODE,
                        $text,
                        concat!($($about, "\n"),+),
                        FIELDS,
                    );
                    &NOTICE
                }

                /// Writes the line, and counts it.
                $table_vis fn emit(self) {
                    Self::notice().count();
                    let Self { $($field),* } = self;
                    $crate::tracing::$level!(
                        name: stringify!($name),
                        $($field = $crate::written!($how $field),)*
                        $(error_code = $crate::tracing::field::display($code),)?
                        $text
                    );
                }
            }
        )*
    };
}

/// The level of that name.
#[doc(hidden)]
#[macro_export]
macro_rules! level {
    (error) => {
        $crate::tracing::Level::ERROR
    };
    (warn) => {
        $crate::tracing::Level::WARN
    };
    (info) => {
        $crate::tracing::Level::INFO
    };
    (debug) => {
        $crate::tracing::Level::DEBUG
    };
}

/// The code of a line, if it has one of its own.
#[doc(hidden)]
#[macro_export]
macro_rules! code {
    () => {
        None
    };
    ($code:expr) => {
        Some($code)
    };
}

/// Whether a line of that level has a code.
#[doc(hidden)]
#[macro_export]
macro_rules! wants_code {
    (error) => {
        true
    };
    (warn) => {
        true
    };
    ($level:ident) => {
        false
    };
}

/// A field as it is written.
#[doc(hidden)]
#[macro_export]
macro_rules! written {
    (value $field:expr) => {
        $field
    };
    (display $field:expr) => {
        $crate::tracing::field::display(&$field)
    };
    (debug $field:expr) => {
        $crate::tracing::field::debug(&$field)
    };
    (inline $field:expr) => {
        $crate::tracing::field::Empty
    };
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::{Field, is_coded};
    use crate::ErrorCode;

    const NOT_BOUND: ErrorCode = ErrorCode::new("E-12");

    crate::notices! {
        /// What these tests say.
        static NOTICES;

        /// A bind is up.
        ///
        /// Nothing is to be done.
        info Bound<'a> "bound" {
            /// The ESME.
            value esme: &'a str,
            /// How often that was tried,
            /// this time included.
            value attempt: u32,
            /// What is told to nobody.
            value secret: Option<&'a str>,
        }

        /// It did not work.
        warn[NOT_BOUND] NotBound<'a> "a bind failed: {step} was refused" {
            /// What was refused.
            inline step: &'a str,
            /// Why.
            display error: io::Error,
            /// From which hosts.
            debug hosts: Vec<u16>,
        }

        /// It is worse, each time for another reason.
        error Worse "worse" {
            /// By which the reason is explained.
            display error_code: ErrorCode,
        }

        /// Nothing more to say.
        debug Over "over" {}
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().extend(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(what: impl FnOnce()) -> String {
        let log = Log::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .without_time()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .finish();
        tracing::subscriber::with_default(subscriber, what);
        let octets = log.0.lock().clone();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn a_notice_is_a_line_with_its_fields() {
        let lines = logged(|| {
            let secret = None;
            Bound {
                esme: "acme",
                attempt: 2,
                secret,
            }
            .emit();
            let error = io::Error::other("no route");
            NotBound {
                step: "TLS",
                error,
                hosts: vec![1, 2],
            }
            .emit();
            Worse {
                error_code: ErrorCode::new("E-13"),
            }
            .emit();
            Over {}.emit();
        });
        let target = module_path!();
        assert_eq!(
            lines,
            format!(
                " INFO {target}: bound esme=\"acme\" attempt=2\n \
                 WARN {target}: a bind failed: TLS was refused error=no route hosts=[1, 2] error_code=E-12\n\
                 ERROR {target}: worse error_code=E-13\n"
            )
        );
    }

    #[test]
    fn the_table_says_what_each_means_and_how_often_it_was_emitted() {
        let [bound, not_bound, worse, over] = [0, 1, 2, 3].map(|row| NOTICES[row].get());
        assert_eq!(bound.name(), "bound");
        assert_eq!(not_bound.name(), "not_bound");
        assert_eq!(not_bound.level, tracing::Level::WARN);
        assert_eq!((bound.code, worse.code), (None, None));
        assert_eq!(not_bound.code, Some(NOT_BOUND));
        assert_eq!(bound.about, " A bind is up.\n\n Nothing is to be done.\n");
        let field = bound.fields[1];
        assert_eq!(field.name, "attempt");
        assert_eq!(
            field.about,
            " How often that was tried,\n this time included.\n"
        );
        let before = over.times();
        Over {}.emit();
        assert_eq!(
            over.times(),
            before + 1,
            "also if nobody reads the log at this level"
        );
        assert_eq!(format!("{bound:?}"), "INFO Bound");
    }

    #[test]
    fn a_line_that_wants_a_code_has_one_and_no_other() {
        let field = |name| Field { name, about: "" };
        let (by_field, none) = (
            [field("error"), field("error_code")],
            [field("error_codes")],
        );
        let code = Some(NOT_BOUND);
        assert!(is_coded(true, code, &none) && is_coded(true, None, &by_field));
        assert!(!is_coded(true, None, &none), "none");
        assert!(!is_coded(true, code, &by_field), "two");
        assert!(!is_coded(false, code, &none) && !is_coded(false, None, &by_field));
        assert!(is_coded(false, None, &none));
    }
}
