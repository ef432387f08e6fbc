//! A relay of bytes that it does not understand, such as TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A running relay.
pub struct CutOnce {
    port: u16,
    done: Arc<AtomicBool>,
}

impl CutOnce {
    /// Before the server on that port. It cuts the first connection over which the server has sent so many bytes.
    pub async fn before(server: u16, bytes: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let done = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&done);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let cut = Arc::clone(&cut);
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else {
                        return;
                    };
                    let (from_client, to_client) = client.split();
                    let (from_server, to_server) = server.split();
                    let up = relayed(from_client, to_server, u64::MAX);
                    let first = relayed(from_server, to_client, bytes);
                    tokio::pin!(up);
                    let (from_server, to_client) = tokio::select! {
                        () = async { up.as_mut().await; } => return,
                        halves = first => halves,
                    };
                    if !cut.swap(true, Ordering::Relaxed) {
                        return;
                    }
                    tokio::select! {
                        () = async { up.await; } => {}
                        () = async { relayed(from_server, to_client, u64::MAX).await; } => {}
                    }
                });
            }
        });
        Self { port, done }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it has cut one.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }
}

/// Hands so many bytes on, or all until one side leaves, and gives both sides back.
async fn relayed<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(from: R, mut to: W, bytes: u64) -> (R, W) {
    let mut some = from.take(bytes);
    let _ = tokio::io::copy(&mut some, &mut to).await;
    (some.into_inner(), to)
}
