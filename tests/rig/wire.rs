//! A relay before a `mongod` that understands what passes: it sees each command before the server does, and can change
//! it, keep it from the server, or do something when it was answered.
//!
//! MongoDB's wire protocol: each message has a header of 16 bytes (length, its id, the id that it answers, opcode).
//! Commands and replies are `OP_MSG` (2013: flags, then sections, of which the one of kind 0 is the command), but for
//! the handshake (`OP_QUERY` 2004, `OP_REPLY` 1). Nothing is compressed and nothing has a checksum, since the driver
//! asks for neither.

use super::background::background;
use mongodb::bson::{self, Document, RawDocument};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const OP_REPLY: i32 = 1;
const OP_MSG: i32 = 2013;
const HEADER: usize = 16;

/// A command on its way to the server.
#[derive(Debug)]
pub struct WireCommand {
    pub name: String,
    pub database: String,
    pub body: Document,
}

impl WireCommand {
    /// The text that stands behind the command's name: mostly a collection.
    pub fn target(&self) -> &str {
        self.body.get_str(&self.name).unwrap_or_default()
    }

    /// The same with the database, where it is a collection.
    pub fn namespace(&self) -> String {
        format!("{}.{}", self.database, self.target())
    }
}

/// What becomes of a command.
pub enum Passage {
    /// The server gets it.
    Through,
    /// The server gets this instead.
    Instead(Document),
    /// The server does not get it, and the client no answer. The connection stays open.
    Swallowed,
    /// The server does not get it, and the client this answer.
    Answered(Document),
    /// The server gets it; when the client has its answer, or there will be none, this is done.
    ThroughAndThen(Box<dyn FnOnce() + Send>),
    /// The server gets this instead, and the client its answer with that change.
    InsteadAnd(Document, Box<dyn FnOnce(&mut Document) + Send>),
    /// The connection breaks before the server gets it.
    Cut,
    /// The server gets it, and the connection breaks before the client has the answer.
    ThroughAndCut,
}

/// What is done with an answer when it comes.
enum Answer {
    Change(Box<dyn FnOnce(&mut Document) + Send>),
    ThenDo(Box<dyn FnOnce() + Send>),
    Lose,
}

type Decide = dyn Fn(&WireCommand) -> Passage + Send + Sync;
type Pending = Arc<Mutex<HashMap<i32, Answer>>>;
/// Two may answer.
type Client = Arc<tokio::sync::Mutex<OwnedWriteHalf>>;

/// What becomes of answers, whatever was asked.
#[derive(Default)]
struct Shape {
    /// What members call themselves, and what their relays are called.
    names: HashMap<String, String>,
    /// What the server says of itself, as another would say it.
    hello: Option<Box<Pose>>,
    /// Fields that no answer has.
    without: &'static [&'static str],
}

/// Changes what a server says of itself.
pub type Pose = dyn Fn(&mut Document) + Send + Sync;

/// A relay on a free port of 127.0.0.1, as long as it is not dropped. Connections that it has accepted end with their
/// clients.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    listening: tokio::task::AbortHandle,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Wire {
    /// A relay before the server on that port. `decide` is asked for each command, on a thread that it may block; the
    /// handshake passes unasked.
    pub fn start(to: u16, decide: impl Fn(&WireCommand) -> Passage + Send + Sync + 'static) -> Self {
        let wires = Self::before_all(&[to], decide);
        wires.into_iter().next().expect("one relay for one server")
    }

    /// Relays before the members of a replica set, by which clients see the members under the relays' addresses.
    pub fn before_all(to: &[u16], decide: impl Fn(&WireCommand) -> Passage + Send + Sync + 'static) -> Vec<Self> {
        Self::shaping(to, Shape::default(), decide)
    }

    /// A relay by which a server says other things of itself, and nobody sees those fields in any answer.
    pub fn posing(
        to: u16,
        hello: Box<Pose>,
        without: &'static [&'static str],
        decide: impl Fn(&WireCommand) -> Passage + Send + Sync + 'static,
    ) -> Self {
        let shape = Shape {
            hello: Some(hello),
            without,
            ..Shape::default()
        };
        let wires = Self::shaping(&[to], shape, decide);
        wires.into_iter().next().expect("one relay for one server")
    }

    fn shaping(
        to: &[u16],
        shape: Shape,
        decide: impl Fn(&WireCommand) -> Passage + Send + Sync + 'static,
    ) -> Vec<Self> {
        let decide: Arc<Decide> = Arc::new(decide);
        let listeners: Vec<std::net::TcpListener> = to
            .iter()
            .map(|_| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
            .collect();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener.local_addr().expect("bound").port())
            .collect();
        let address = |port: &u16| format!("127.0.0.1:{port}");
        let names = to.iter().map(address).zip(ports.iter().map(address)).collect();
        let shape = Arc::new(Shape { names, ..shape });
        let listening = listeners.into_iter().zip(to).map(|(listener, &to)| {
            listener.set_nonblocking(true).expect("a TCP socket");
            let (decide, shape) = (Arc::clone(&decide), Arc::clone(&shape));
            let listening = background().spawn(async move {
                let listener = TcpListener::from_std(listener).expect("a TCP socket");
                while let Ok((client, _)) = listener.accept().await {
                    background().spawn(relay(client, to, Arc::clone(&decide), Arc::clone(&shape)));
                }
            });
            listening.abort_handle()
        });
        listening
            .zip(ports)
            .map(|(listening, port)| Self { port, listening })
            .collect()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// To this relay alone, whatever stands behind it.
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port)
    }
}

async fn relay(client: TcpStream, to: u16, decide: Arc<Decide>, shape: Arc<Shape>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let pending = Pending::default();
    let to_client = Client::new(tokio::sync::Mutex::new(to_client));
    let answers = background().spawn(answers(
        from_server,
        Arc::clone(&to_client),
        Arc::clone(&pending),
        shape,
    ));
    commands(from_client, (to_server, to_client), &pending, decide).await;
    let _ = answers.await; // it ends with the server's connection
}

async fn commands(
    mut client: OwnedReadHalf,
    (mut server, to_client): (OwnedWriteHalf, Client),
    pending: &Pending,
    decide: Arc<Decide>,
) {
    while let Some(mut message) = read(&mut client).await {
        if let Some(command) = command_in(&message) {
            let decide = Arc::clone(&decide);
            let asked = tokio::task::spawn_blocking(move || decide(&command)).await;
            match asked.expect("a decision does not panic") {
                Passage::Through => {}
                Passage::Instead(other) => message = with_body(&message, &other),
                Passage::InsteadAnd(other, change) => {
                    wait_for(pending, &message, Answer::Change(change));
                    message = with_body(&message, &other);
                }
                Passage::Swallowed => continue,
                Passage::Answered(reply) => {
                    let reply = answer_to(&message, &reply);
                    if to_client.lock().await.write_all(&reply).await.is_err() {
                        return;
                    }
                    continue;
                }
                Passage::ThroughAndThen(then) => wait_for(pending, &message, Answer::ThenDo(then)),
                Passage::ThroughAndCut => wait_for(pending, &message, Answer::Lose),
                Passage::Cut => {
                    let _ = to_client.lock().await.shutdown().await; // it may have gone by itself
                    return;
                }
            }
        }
        if server.write_all(&message).await.is_err() {
            return;
        }
    }
}

fn wait_for(pending: &Pending, command: &[u8], answer: Answer) {
    let id = number(command, 4);
    pending
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(id, answer);
}

async fn answers(mut server: OwnedReadHalf, client: Client, pending: Pending, shape: Arc<Shape>) {
    while let Some(message) = read(&mut server).await {
        let answered = number(&message, 8);
        let message = shape.of(message);
        let answer = pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&answered);
        if matches!(answer, Some(Answer::Lose)) {
            let _ = client.lock().await.shutdown().await; // it may have gone by itself
            break;
        }
        let (message, then) = match answer {
            Some(Answer::Change(change)) => (changed(&message, change), None),
            Some(Answer::ThenDo(then)) => (message, Some(then)),
            Some(Answer::Lose) | None => (message, None),
        };
        let passed = client.lock().await.write_all(&message).await;
        if let Some(then) = then {
            tokio::task::spawn_blocking(then);
        }
        if passed.is_err() {
            break;
        }
    }
    let left = std::mem::take(&mut *pending.lock().unwrap_or_else(PoisonError::into_inner));
    for answer in left.into_values() {
        if let Answer::ThenDo(then) = answer {
            tokio::task::spawn_blocking(then);
        }
    }
}

async fn read(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut message = vec![0; HEADER];
    from.read_exact(&mut message).await.ok()?;
    let length = usize::try_from(number(&message, 0))
        .ok()
        .filter(|&length| length >= HEADER)?;
    message.resize(length, 0);
    from.read_exact(&mut message[HEADER..]).await.ok()?;
    Some(message)
}

fn number(message: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(message[at..at + 4].try_into().expect("four bytes"))
}

/// Where the command or the reply stands in a message.
fn body(message: &[u8]) -> Option<std::ops::Range<usize>> {
    let start = match number(message, 12) {
        OP_MSG if message.get(HEADER + 4) == Some(&0) => HEADER + 5,
        OP_REPLY => HEADER + 20,
        _ => return None,
    };
    let length = usize::try_from(number(message.get(start..start + 4).map(|_| message)?, start)).ok()?;
    (start + length <= message.len()).then_some(start..start + length)
}

fn command_in(message: &[u8]) -> Option<WireCommand> {
    if number(message, 12) != OP_MSG {
        return None;
    }
    let raw = RawDocument::from_bytes(&message[body(message)?]).ok()?;
    let name = raw.iter().next()?.ok()?.0.as_str().to_owned();
    // Documents on their way are none of a relay's business, and may be many.
    let mut body = Document::new();
    for (key, value) in raw.iter().flatten() {
        if !["documents", "updates"].contains(&key.as_str())
            && let Ok(value) = bson::Bson::try_from(value)
        {
            body.insert(key.as_str(), value);
        }
    }
    let database = body.get_str("$db").unwrap_or_default().to_owned();
    Some(WireCommand { name, database, body })
}

/// The message with another command or reply in it.
fn with_body(message: &[u8], other: &Document) -> Vec<u8> {
    with_raw_body(message, &bson::serialize_to_vec(other).expect("BSON"))
}

fn with_raw_body(message: &[u8], other: &[u8]) -> Vec<u8> {
    let Some(place) = body(message) else {
        return message.to_vec();
    };
    let mut changed = [&message[..place.start], other, &message[place.end..]].concat();
    let length = i32::try_from(changed.len()).expect("a message");
    changed[..4].copy_from_slice(&length.to_le_bytes());
    changed
}

fn changed(message: &[u8], change: impl FnOnce(&mut Document)) -> Vec<u8> {
    let place = body(message).expect("an answer");
    let reply = RawDocument::from_bytes(&message[place]).expect("BSON");
    let mut reply = Document::try_from(reply).expect("a document");
    change(&mut reply);
    with_body(message, &reply)
}

/// An answer of our own.
fn answer_to(message: &[u8], reply: &Document) -> Vec<u8> {
    let empty = [0, 0, 0, 0, 0, 0, 0, 0].as_slice();
    let (id, opcode) = (&message[4..8], OP_MSG.to_le_bytes());
    let head = [empty, id, &opcode, &[0, 0, 0, 0, 0], &[5, 0, 0, 0, 0]].concat();
    with_body(&head, reply)
}

impl Shape {
    fn of(&self, message: Vec<u8>) -> Vec<u8> {
        let Some(reply) = body(&message).and_then(|place| RawDocument::from_bytes(&message[place]).ok()) else {
            return message;
        };
        let has = |field: &str| matches!(reply.get(field), Ok(Some(_)));
        if has("maxWireVersion") && (self.hello.is_some() || has("hosts")) {
            let Ok(mut reply) = Document::try_from(reply) else {
                return message;
            };
            self.rename(&mut reply);
            if let Some(hello) = &self.hello {
                hello(&mut reply);
            }
            return with_body(&message, &reply);
        }
        if !self.without.iter().any(|field| has(field)) {
            return message;
        }
        let mut bare = bson::RawDocumentBuf::new();
        for (key, value) in reply.iter().flatten() {
            if !self.without.contains(&key.as_str()) {
                bare.append(key, value);
            }
        }
        with_raw_body(&message, bare.as_bytes())
    }

    /// A member names the others, which a client must find by way of their relays.
    fn rename(&self, reply: &mut Document) {
        let renamed = |value: &bson::Bson| match value.as_str().and_then(|name| self.names.get(name)) {
            Some(name) => bson::Bson::from(name.as_str()),
            None => value.clone(),
        };
        for key in ["me", "primary"] {
            if let Some(value) = reply.get_mut(key) {
                *value = renamed(value);
            }
        }
        // Those of priority 0 are named apart.
        for key in ["hosts", "passives"] {
            if let Ok(hosts) = reply.get_array_mut(key) {
                hosts.iter_mut().for_each(|host| *host = renamed(host));
            }
        }
    }
}
