//! A gate on the way to a server: it counts what passes, and can hold, cut and refuse connections, so that a test decides
//! where an upload breaks.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// The gate; it ends with the test's process.
pub struct Gate {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    target: String,
    passed: AtomicU64,
    limit: AtomicU64,
    is_refusing: AtomicBool,
    refused: AtomicU64,
    generation: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Gate {
    /// A gate to `http://HOST:PORT`.
    pub fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("its address"));
        let state = Arc::new(State {
            target: target.trim_start_matches("http://").to_owned(),
            limit: AtomicU64::new(u64::MAX),
            ..State::default()
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.forward(stream));
            }
        });
        Self { address, state }
    }

    /// Bytes that clients have sent through.
    pub fn passed(&self) -> u64 {
        self.state.passed.load(SeqCst)
    }

    /// Holds everything once about so many more bytes have passed.
    pub fn hold_after(&self, bytes: u64) {
        self.state.limit.store(self.passed() + bytes, SeqCst);
    }

    /// Waits until it holds.
    pub fn wait_until_held(&self) {
        wait_until("the gate holds", || {
            self.passed() >= self.state.limit.load(SeqCst)
        });
    }

    /// Lets everything pass.
    pub fn open(&self) {
        self.state.limit.store(u64::MAX, SeqCst);
        self.state.is_refusing.store(false, SeqCst);
    }

    /// Cuts every connection, and forgets what was held.
    pub fn cut(&self) {
        self.state.generation.fetch_add(1, SeqCst);
        for stream in self.state.open.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Takes no connection any more, as a server that is away.
    pub fn refuse(&self) {
        self.state.is_refusing.store(true, SeqCst);
    }

    /// Waits until so many connections were refused.
    pub fn wait_until_refused(&self, times: u64) {
        wait_until("connections are refused", || {
            self.state.refused.load(SeqCst) >= times
        });
    }
}

/// Waits for what must come.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl State {
    fn forward(self: Arc<Self>, mut client: TcpStream) {
        if self.is_refusing.load(SeqCst) {
            self.refused.fetch_add(1, SeqCst);
            return;
        }
        let generation = self.generation.load(SeqCst);
        let Ok(mut server) = TcpStream::connect(&self.target) else {
            return;
        };
        let both = [client.try_clone(), server.try_clone()].map(|stream| stream.expect("a handle"));
        self.open.lock().expect("no panic").extend(both);
        let (mut answers, mut back) = (
            server.try_clone().expect("a handle"),
            client.try_clone().expect("a handle"),
        );
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut answers, &mut back);
            let _ = back.shutdown(Shutdown::Both);
        });
        let mut piece = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = client.read(&mut piece) {
            while self.passed.load(SeqCst) >= self.limit.load(SeqCst)
                && self.generation.load(SeqCst) == generation
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            if self.generation.load(SeqCst) != generation || server.write_all(&piece[..read]).is_err() {
                break;
            }
            self.passed.fetch_add(read as u64, SeqCst);
        }
        let _ = server.shutdown(Shutdown::Both);
    }
}
