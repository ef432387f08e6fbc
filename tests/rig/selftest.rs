//! The rig's own tests: what the other tests rely on holds on this machine, with these versions.

mod lambda;
mod lifetime;
mod mongod;
mod oracles;
mod proxy;
mod s3;
mod stepfunctions;
