//! Free ports on 127.0.0.1.
//!
//! SeaweedFS serves gRPC on each of its ports + 10000. Ports are drawn at random from below the range that Linux
//! hands out for outgoing connections (from 32768), and so are their companions: an outgoing connection cannot
//! take one between the check and its use. Another process still can; starters retry with other ports.

use super::names::random_hex;
use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

const FIRST: u16 = 11_000;
const COUNT: u16 = 11_000;
const GRPC: u16 = 10_000;

/// A port that was free a moment ago, as was the port + 10000; never the same twice in one process.
pub fn free_port() -> u16 {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1_000 {
        let random = u16::from_str_radix(&random_hex()[..4], 16).expect("hexadecimal digits");
        let port = FIRST + random % COUNT;
        if is_free(port) && is_free(port + GRPC) && given.insert(port) {
            return port;
        }
    }
    panic!("1,000 draws among {COUNT} ports from {FIRST} on gave no free one: are that many servers running?");
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
