//! What is read and written, against a reader of somebody else and against garbage.
//!
//! One program, so that the library is linked once.

mod clojure;
mod garbage;
