//! A command on a terminal of its own, which a test looks at, resizes and writes to.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Instant,
};

use nix::pty::{OpenptyResult, Winsize, openpty};

use super::{DEADLINE, wait_for};

/// What begins the region, and what takes it away (`src/ferroflow/report/region.rs`).
const DOWN: u8 = b'\x0b';
const SAVED: &[u8] = b"\x1b7";
const RESTORED: &[u8] = b"\x1b8";
const ERASE: &[u8] = b"\x1b[J";

pub(crate) struct Terminal {
    /// What a keyboard and a screen are connected to.
    outer: File,
    /// Where programs read and write.
    inner: Option<OwnedFd>,
    written: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    child: Option<Child>,
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Terminal {
    pub(crate) fn new(rows: u16, columns: u16) -> Self {
        let size = winsize(rows, columns);
        let OpenptyResult { master, slave } = openpty(&size, None).expect("a terminal");
        let outer = File::from(master);
        let mut screen = outer.try_clone().expect("a copy of the descriptor");
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // An error says that nobody has the terminal open any more.
            while let Ok(length @ 1..) = screen.read(&mut chunk) {
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                sink.extend_from_slice(&chunk[..length]);
            }
        });
        Self {
            outer,
            inner: Some(slave),
            written,
            reader: Some(reader),
            child: None,
        }
    }

    /// Starts the command, with nothing to read.
    pub(crate) fn start(&mut self, command: &mut Command) {
        let inner = self.inner.as_ref().expect("the terminal is open");
        let stream = || Stdio::from(inner.try_clone().expect("a copy of the descriptor"));
        let child = command
            .stdin(Stdio::null())
            .stdout(stream())
            .stderr(stream())
            .spawn();
        self.child = Some(child.expect("the command starts"));
    }

    /// The same, with the keyboard as its input.
    pub(crate) fn start_with_keyboard(&mut self, command: &mut Command) {
        let inner = self.inner.as_ref().expect("the terminal is open");
        let stream = || Stdio::from(inner.try_clone().expect("a copy of the descriptor"));
        let child = command
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn();
        self.child = Some(child.expect("the command starts"));
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.outer.write_all(text.as_bytes()).expect("typing works");
    }

    /// Writes as another program on the same terminal does.
    pub(crate) fn write(&self, text: &str) {
        let inner = self.inner.as_ref().expect("the terminal is open");
        let mut other = File::from(inner.try_clone().expect("a copy of the descriptor"));
        other.write_all(text.as_bytes()).expect("writing works");
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let size = winsize(rows, columns);
        let terminal = self.outer.as_raw_fd();
        #[expect(unsafe_code, reason = "nix has no call for it")]
        // SAFETY: the descriptor is open, and the kernel only reads the struct.
        let done = unsafe { nix::libc::ioctl(terminal, nix::libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(done, 0, "the size is set");
    }

    /// Everything that was written so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.clone()
    }

    /// Waits until the text was written, from the byte `from` on.
    pub(crate) fn wait_for(&self, text: &str, from: usize) {
        wait_for(text, || contains(&self.bytes()[from..], text.as_bytes()));
    }

    /// Waits until regions have been drawn so many times more. The first may have been on its way already.
    pub(crate) fn wait_for_drawings(&self, count: usize) {
        let before = regions(&self.drawn()).len();
        wait_for("the region to be drawn", || {
            regions(&self.drawn()).len() >= before + count
        });
    }

    /// Everything that was written up to the last region that is complete.
    pub(crate) fn drawn(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        let mut windows = bytes.windows(RESTORED.len());
        let last = windows.rposition(|window| window == RESTORED);
        bytes.truncate(last.map_or(0, |at| at + RESTORED.len()));
        bytes
    }

    /// Waits for the command's end: its exit code, and everything that was written.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<u8>) {
        let mut child = self.child.take().expect("a command was started");
        let limit = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if Instant::now() > limit {
                let _ = child.kill();
                panic!("still running: {}", String::from_utf8_lossy(&self.bytes()));
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        drop(self.inner.take());
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader ends");
        }
        (status.code(), self.bytes())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The regions that were drawn, each the text between saving and restoring the cursor.
pub(crate) fn regions(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(begin) = position(rest, SAVED) {
        rest = &rest[begin + SAVED.len()..];
        let end = position(rest, RESTORED).expect("the cursor is restored");
        found.push(String::from_utf8_lossy(&rest[..end]).into_owned());
        rest = &rest[end + RESTORED.len()..];
    }
    found
}

/// What a terminal without regions would have got.
pub(crate) fn without_regions(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        if first == DOWN {
            let end = position(rest, RESTORED).expect("the cursor is restored");
            rest = &rest[end + RESTORED.len()..];
        } else if rest.starts_with(ERASE) {
            rest = &rest[ERASE.len()..];
        } else {
            kept.push(first);
            rest = &rest[1..];
        }
    }
    kept
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// All lines of a terminal that has got these bytes, those that have scrolled away first, without empty ones at the end.
pub(crate) fn lines(bytes: &[u8], rows: u16, columns: u16) -> Vec<String> {
    let mut parser = vt100::Parser::new(rows, columns, 100_000);
    parser.process(bytes);
    let screen = parser.screen_mut();
    screen.set_scrollback(usize::MAX);
    let mut all = Vec::new();
    for above in (1..=screen.scrollback()).rev() {
        screen.set_scrollback(above);
        all.extend(screen.rows(0, columns).next());
    }
    screen.set_scrollback(0);
    all.extend(screen.rows(0, columns));
    while all.last().is_some_and(|line| line.trim().is_empty()) {
        all.pop();
    }
    all
}
