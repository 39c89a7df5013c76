//! Numbers that only grow.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number that only grows, from zero at the start of what counts.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// It happened so often.
    pub fn add(&self, times: usize) {
        self.next_after(times);
    }

    /// It happened once; returns how often it has happened with that.
    pub fn next(&self) -> u64 {
        self.next_after(1) + 1
    }

    /// How often it has happened.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn next_after(&self, times: usize) -> u64 {
        match times {
            // Most often there is nothing to add, and then nothing is written to memory that others read.
            0 => self.get(),
            times => self.0.fetch_add(times as u64, Ordering::Relaxed),
        }
    }
}

/// What a counter is called and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Its name, which never changes its meaning.
    pub name: &'static str,
    /// What it counts.
    pub about: &'static str,
}

/// Declares the counters of one part of a program, and a struct with what they have counted.
///
/// First stands the struct of plain numbers, with its documentation and attributes; then, after
/// `counted by`, the struct of counters, which is shared between those that count; then the
/// counters, each with its documentation.
///
/// ```
/// plain_telemetry::counters! {
///     /// What a door has seen.
///     pub struct Counts, counted by Counters {
///         /// People who came in.
///         entered,
///         /// People who were turned away.
///         refused,
///     }
/// }
///
/// let door = Counters::default();
/// door.entered.add(2);
/// assert_eq!(door.get(), Counts { entered: 2, refused: 0 });
/// assert_eq!(Counts::TABLE[1].name, "refused");
/// assert_eq!(door.get().values(), [2, 0]);
/// ```
#[macro_export]
macro_rules! counters {
    (
        $(#[$meta:meta])*
        $counts_vis:vis struct $counts:ident, counted by $counters_vis:vis $counters:ident {
            $($(#[doc = $about:literal])+ $name:ident),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $counts_vis struct $counts {
            $($(#[doc = $about])+ pub $name: u64,)*
        }

        #[allow(dead_code)]
        impl $counts {
            /// What each number is called and counts, in order.
            pub const TABLE: &'static [$crate::Count] = &[$($crate::Count {
                name: stringify!($name),
                about: concat!($($about, "\n"),+),
            }),*];

            /// The numbers, in the order of the table.
            pub fn values(self) -> [u64; Self::TABLE.len()] {
                [$(self.$name),*]
            }
        }

        impl ::std::ops::AddAssign for $counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }

        #[doc = concat!("Counts [`", stringify!($counts), "`].")]
        #[derive(Debug, Default)]
        $counters_vis struct $counters {
            $($(#[doc = $about])+ pub $name: $crate::Counter,)*
        }

        impl $counters {
            /// What is counted by now.
            $counters_vis fn get(&self) -> $counts {
                $counts { $($name: self.$name.get(),)* }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    crate::counters! {
        /// What these tests count.
        #[derive(Serialize)]
        pub struct Counts, counted by Counters {
            /// Messages that were sent.
            sent,
            /// Messages that were answered,
            /// in time or not.
            answered,
        }
    }

    #[test]
    fn what_is_counted_is_seen() {
        let counters = Counters::default();
        counters.sent.add(3);
        counters.answered.add(0);
        assert_eq!(counters.answered.next(), 1);
        assert_eq!(counters.answered.next(), 2);
        let counts = counters.get();
        assert_eq!(
            counts,
            Counts {
                sent: 3,
                answered: 2
            }
        );
        assert_eq!(
            serde_json::to_string(&counts).unwrap(),
            r#"{"sent":3,"answered":2}"#
        );
    }

    #[test]
    fn the_table_has_the_order_of_the_values() {
        let mut sum = Counts {
            sent: 1,
            answered: 2,
        };
        sum += Counts {
            sent: 10,
            answered: 20,
        };
        let row = |at: usize| (Counts::TABLE[at].name, sum.values()[at]);
        assert_eq!([row(0), row(1)], [("sent", 11), ("answered", 22)]);
        assert_eq!(
            Counts::TABLE[1].about,
            " Messages that were answered,\n in time or not.\n"
        );
    }
}
