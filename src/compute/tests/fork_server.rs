//! The engine's end of the socket to the fork server, with a thread in the place of the server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::File,
    io::{IoSliceMut, Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use compute::{
    host::protocol::EnvironmentChange,
    local::{ForkServer, LocalCompute, LocalEvent, Spec},
};
use model::{Attempt, TaskKey};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(20);

fn task(number: u32) -> Spec {
    Spec {
        task: TaskKey(number),
        attempt: Attempt(0),
        argv: ["sh", "-c", "exit 3"].map(str::to_owned).to_vec(),
        env: EnvironmentChange::default(),
        cwd: "/".to_owned(),
        fork: true,
    }
}

/// Tells that it is ready, answers requests with these process ids, and then does what `last` says.
fn server(
    answers: &'static [i32],
    last: fn(UnixStream, Vec<File>),
) -> (ForkServer, JoinHandle<()>) {
    let (engine, mut server) = UnixStream::pair().unwrap();
    let thread = thread::spawn(move || {
        server.write_all(&0_i32.to_be_bytes()).unwrap();
        let mut pipes = Vec::new();
        for pid in answers {
            pipes.push(request(&mut server));
            server.write_all(&pid.to_be_bytes()).unwrap();
        }
        last(server, pipes);
    });
    (ForkServer::new(OwnedFd::from(engine)).unwrap(), thread)
}

/// Reads one, and returns the pipe in which the end of its task is to be told.
fn request(server: &mut UnixStream) -> File {
    let mut head = [0; 4];
    let mut room = nix::cmsg_space!([i32; 4]);
    let mut slices = [IoSliceMut::new(&mut head)];
    let got = recvmsg::<()>(
        server.as_raw_fd(),
        &mut slices,
        Some(&mut room),
        MsgFlags::empty(),
    )
    .unwrap();
    let mut pipe = None;
    for message in got.cmsgs().unwrap() {
        if let ControlMessageOwned::ScmRights(descriptors) = message {
            assert_eq!(descriptors.len(), 4);
            for descriptor in descriptors {
                // The last one is the pipe; the others are closed.
                pipe = Some(own(descriptor));
            }
        }
    }
    let mut body = vec![0; u32::from_be_bytes(head) as usize];
    server.read_exact(&mut body).unwrap();
    assert!(body.starts_with(b"{\"argv\":[\"sh\""));
    pipe.unwrap()
}

#[expect(
    unsafe_code,
    reason = "a descriptor that has come through a socket is ours"
)]
fn own(descriptor: i32) -> File {
    // SAFETY: nobody else has it.
    unsafe { File::from_raw_fd(descriptor) }
}

async fn ended(events: &mut mpsc::Receiver<LocalEvent>) -> (u32, i32) {
    let event = tokio::time::timeout(DEADLINE, events.recv()).await.unwrap();
    match event.unwrap() {
        LocalEvent::Ended {
            task, return_code, ..
        } => (task.0, return_code),
        line @ LocalEvent::Line { .. } => panic!("{line:?}"),
    }
}

#[tokio::test]
async fn a_refusal_is_for_one_task_and_the_others_go_on() {
    // The first and third task are forked, for the second there is no process to be had.
    let (server, thread) = server(&[1001, -1, 1002], |mut server, mut pipes| {
        // The engine's end stays open as long as tasks run.
        server
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        assert!(server.read(&mut [0]).is_err());
        pipes[2].write_all(&5_i32.to_be_bytes()).unwrap();
        pipes[0].write_all(&4_i32.to_be_bytes()).unwrap();
    });
    let (sender, mut events) = mpsc::channel(4);
    let mut local = LocalCompute::new(sender, Some(server));
    let started: Vec<_> = (0..3).map(|n| local.launch(&task(n)).unwrap()).collect();
    assert_eq!((started[0].pid, started[0].forked), (1001, true));
    assert!(!started[1].forked);
    assert_eq!((started[2].pid, started[2].forked), (1002, true));
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(ended(&mut events).await);
    }
    all.sort_unstable();
    assert_eq!(all, [(0, 4), (1, 3), (2, 5)]);
    thread.join().unwrap();
}

#[tokio::test]
async fn a_dead_server_takes_its_tasks_along_and_others_start_afresh() {
    let (server, thread) = server(&[1001], |server, _pipes| drop(server));
    let (sender, mut events) = mpsc::channel(4);
    let mut local = LocalCompute::new(sender, Some(server));
    assert!(local.launch(&task(0)).unwrap().forked);
    assert_eq!(ended(&mut events).await, (0, -9));
    thread.join().unwrap();
    for number in 1..3 {
        assert!(!local.launch(&task(number)).unwrap().forked);
        assert_eq!(ended(&mut events).await, (number, 3));
    }
}
