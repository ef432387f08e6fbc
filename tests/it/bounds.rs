//! What is large: the memory that it may take, and that it can be read at all. The longest tests; by its name this
//! module is early among them, so that none of them runs alone at the end.

mod commands;
mod memory;
mod table;
