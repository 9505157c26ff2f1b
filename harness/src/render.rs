//! A judged run for people and for programs: a page, the terminal, JSON.

pub mod html;
pub mod json;
pub mod terminal;
