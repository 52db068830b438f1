//! The redirect of pods' requests for the metadata service, with the real nftables and routing rules, in namespaces.

mod beside;
mod layers;
mod probe;
mod repair;
mod runs;

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use safeguard_proxy::redirect::{self, Error, Ipv6, METADATA_V4, METADATA_V6, Redirect, Report, State, Values};
use safeguard_tests::fabric::{Fabric, Place, Wiring};

pub(crate) const IMDS: &str = "IMDS";
pub(crate) const PROXY: &str = "PROXY";

/// What there is to lose: the most a packet may take that will come, and the least a test waits for one that must not.
const COMES: Duration = Duration::from_secs(3);
const MUST_NOT: Duration = Duration::from_millis(700);

pub(crate) const BOTH: [IpAddr; 2] = [IpAddr::V4(METADATA_V4), IpAddr::V6(METADATA_V6)];

/// What a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    /// The name of the server, and the address by which it knows the client.
    Answer(String, IpAddr),
    /// A reset, at once or on a connection that was open.
    Refused,
    /// A router said that there is no way.
    NoRoute,
    /// Nothing, for longer than anything takes.
    Silence,
}

impl Got {
    pub(crate) fn is_from(&self, name: &str) -> bool {
        matches!(self, Self::Answer(server, _) if server == name)
    }
}

/// An HTTP server with keep-alive that says its name and the client's address.
pub(crate) struct Server {
    seen: Arc<Mutex<Vec<IpAddr>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(listener: TcpListener, name: &'static str) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        listener.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn({
            let (seen, stop) = (seen.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    match listener.accept() {
                        Ok((stream, peer)) => {
                            seen.lock().unwrap().push(peer.ip());
                            std::thread::spawn(move || drop(answer(stream, name, peer.ip())));
                        }
                        Err(_) => std::thread::sleep(Duration::from_millis(2)),
                    }
                }
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// Who has connected so far.
    pub(crate) fn seen(&self) -> Vec<IpAddr> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn answer(mut stream: TcpStream, name: &str, peer: IpAddr) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut request = Vec::new();
    loop {
        let mut some = [0; 512];
        let length = stream.read(&mut some)?;
        if length == 0 {
            return Ok(());
        }
        request.extend_from_slice(&some[..length]);
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            let body = format!("{name} {peer}");
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        }
    }
}

/// A client's connection.
pub(crate) struct Client(TcpStream);

impl Client {
    /// Connects from the namespace of the calling thread.
    pub(crate) fn connect(to: SocketAddr, patience: Duration) -> Result<Self, Got> {
        let stream = TcpStream::connect_timeout(&to, patience).map_err(|error| refusal(&error))?;
        Ok(Self(stream))
    }

    /// One request on it.
    pub(crate) fn get(&mut self, patience: Duration) -> Got {
        let asked = (|| {
            self.0.set_read_timeout(Some(patience))?;
            self.0.write_all(b"GET / HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")?;
            let (mut reply, mut some) = (String::new(), [0; 512]);
            loop {
                if let Some((_, body)) = reply.split_once("\r\n\r\n")
                    && let Some((name, peer)) = body.split_once(' ')
                {
                    return Ok(Got::Answer(name.to_owned(), peer.parse().unwrap()));
                }
                match self.0.read(&mut some)? {
                    0 => return Err(io::ErrorKind::ConnectionReset.into()),
                    length => reply.push_str(std::str::from_utf8(&some[..length]).unwrap()),
                }
            }
        })();
        asked.unwrap_or_else(|error| refusal(&error))
    }
}

fn refusal(error: &io::Error) -> Got {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Got::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::PermissionDenied => {
            Got::NoRoute
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Got::Silence,
        _ => panic!("{error}"),
    }
}

/// A fabric with a metadata service, and a redirect of its own.
pub(crate) struct Rig {
    pub(crate) fabric: Fabric,
    pub(crate) redirect: Redirect,
    pub(crate) imds: Vec<Server>,
    pub(crate) proxy: Vec<Server>,
    /// Where the state file is.
    _dir: tempfile::TempDir,
}

impl Rig {
    pub(crate) fn new(wiring: Wiring, pods: u8) -> Self {
        Self::with(wiring, pods, |_| ())
    }

    pub(crate) fn with(wiring: Wiring, pods: u8, change: impl FnOnce(&mut Values)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut values = Values { state_file: dir.path().join("redirect.json"), ..Values::default() };
        change(&mut values);
        let redirect = Redirect::new(values).unwrap();
        let fabric = Fabric::build(wiring, pods).unwrap();
        let serve =
            |address: IpAddr| Server::start(fabric.listener_in(Place::Outside, (address, 80).into()).unwrap(), IMDS);
        let imds = BOTH.map(serve).into();
        Self { fabric, redirect, imds, proxy: Vec::new(), _dir: dir }
    }

    /// Brings the redirect up and starts a proxy behind it.
    pub(crate) fn up(&mut self) -> Ipv6 {
        let ipv6 = self.bring_up().unwrap();
        let v6 = self.redirect.v6().filter(|_| ipv6 == Ipv6::Redirected).map(IpAddr::from);
        self.proxy = [Some(self.redirect.v4().into()), v6]
            .into_iter()
            .flatten()
            .map(|address| (address, self.redirect.port()).into())
            .map(|address| Server::start(self.fabric.listener_in(Place::Node, address).unwrap(), PROXY))
            .collect();
        ipv6
    }

    pub(crate) fn bring_up(&self) -> Result<Ipv6, Error> {
        self.on_node(async |redirect| redirect::up(redirect).await)
    }

    pub(crate) fn down(&self) {
        self.on_node(async |redirect| redirect::down(redirect).await).unwrap();
    }

    pub(crate) fn check(&self, repair: bool) -> Report {
        let report = self.on_node(async |redirect| redirect::check(redirect, repair).await).unwrap();
        // What others read is what the operator is told.
        assert_eq!(State::read(self.redirect.state_file()).unwrap(), report.state);
        report
    }

    /// Runs on a thread in the node's namespace.
    pub(crate) fn on_node<T: Send>(&self, work: impl AsyncFnOnce(&Redirect) -> T + Send) -> T {
        self.fabric.in_node(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work(&self.redirect))
        })
    }

    /// What somebody gets who asks for the metadata service in a new connection.
    pub(crate) fn get(&self, from: Place, metadata: IpAddr) -> Got {
        self.ask(from, (metadata, 80).into())
    }

    /// The same of any server.
    pub(crate) fn ask(&self, from: Place, to: SocketAddr) -> Got {
        self.fabric.within(from, || Client::connect(to, COMES).map_or_else(|got| got, |mut client| client.get(COMES)))
    }

    /// The same where an answer would be a failure, so that it is not waited for as long.
    pub(crate) fn refused(&self, from: Place, to: SocketAddr) -> Got {
        self.fabric.within(from, || Client::connect(to, MUST_NOT).map_or_else(|got| got, |mut c| c.get(MUST_NOT)))
    }

    /// Runs `nft` on the node; lines as of `nft -f`.
    pub(crate) fn nft(&self, lines: &str) {
        self.fed("nft", &["-f", "-"], lines);
    }

    /// A program on the node with `input`.
    pub(crate) fn fed(&self, program: &str, arguments: &[&str], input: &str) {
        let mut command = self.fabric.command_in(Place::Node, program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{program}: {}: {input}", String::from_utf8_lossy(&ended.stderr));
    }

    /// What a program on the node prints.
    pub(crate) fn printed(&self, program: &str, arguments: &[&str]) -> String {
        let ended = self.fabric.command_in(Place::Node, program).args(arguments).output().unwrap();
        assert!(ended.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    }

    pub(crate) fn ip(&self, lines: &str) {
        self.fabric.ip(Place::Node, lines).unwrap();
    }

    /// All that a redirect could have changed on the node, without what differs from one look to the next.
    pub(crate) fn setup(&self) -> String {
        let shown = |program: &str, arguments: &[&str]| self.printed(program, arguments);
        let links = shown("ip", &["-brief", "link"]);
        let links: Vec<&str> = links.lines().filter_map(|line| line.split(' ').next()).collect();
        [
            shown("nft", &["--stateless", "list", "ruleset"]),
            shown("ip", &["rule"]),
            shown("ip", &["-6", "rule"]),
            shown("ip", &["-o", "address", "show", "dev", "lo"]),
            links.join(" "),
            shown("ip", &["route", "show", "table", "all"]),
            shown("ip", &["-6", "route", "show", "table", "all"]),
        ]
        .join("--\n")
    }

    /// Fails when a pod got through.
    pub(crate) fn no_pod_was_seen_by_imds(&self) {
        let node = [IpAddr::from(safeguard_tests::fabric::NODE_V4), safeguard_tests::fabric::NODE_V6.into()];
        for server in &self.imds {
            let pods: Vec<_> = server.seen().into_iter().filter(|peer| !node.contains(peer)).collect();
            assert!(pods.is_empty(), "the metadata service was reached by {pods:?}");
        }
    }
}
