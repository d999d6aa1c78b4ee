//! How values are written for people and for scripts: sizes, times, tables, Go templates. Pure text, no I/O.

pub mod duration;
pub mod size;
pub mod table;
pub mod template;
pub mod time;
pub mod value;

pub use value::Value;
