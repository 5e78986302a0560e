//! A real apt archive with one suite: packages made by dpkg-deb, an index of them, signed by gpg with a key of its own,
//! and served through http on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kernels::fetch::sha256;

use super::namespace::skipped;
use super::place::Place;

pub const SUITE: &str = "bookworm";

/// An archive below a [`Place`], which its apt configuration points at.
pub struct Archive {
    dir: PathBuf,
    stanzas: Vec<String>,
    _server: Server,
}

/// What the one file in a package holds.
#[derive(Clone, Copy)]
pub enum Bytes {
    /// So many zeros, which compress to next to nothing.
    Zeros(u64),
    /// So many bytes that do not compress.
    Noise(u64),
}

impl Archive {
    /// An empty one; none if this machine cannot make one, and the test says so.
    pub fn new(place: &Place) -> Option<Archive> {
        let dir = place.dir().join("archive");
        let server = Server::start(&dir);
        point_at(place, server.address);
        let archive = Archive {
            dir,
            stanzas: Vec::new(),
            _server: server,
        };
        for folder in [archive.lists(), archive.dir.join("pool"), archive.gnupg()] {
            std::fs::create_dir_all(folder).unwrap();
        }
        for tool in ["gpg", "dpkg-deb", "apt-get"] {
            if host::tool::find(tool).is_none() {
                skipped(&format!("there is no {tool}, so no apt archive can be made"));
                return None;
            }
        }
        let keyring = place.dir().join("keyring.gpg");
        let name = "archive@example.invalid";
        done(
            archive
                .gpg()
                .args(["--passphrase", "", "--quick-gen-key", name, "ed25519", "sign", "never"]),
        );
        done(archive.gpg().arg("--output").arg(&keyring).args(["--export", name]));
        let listed = done(archive.gpg().args(["--with-colons", "--list-keys"]));
        let key = listed.lines().find(|line| line.starts_with("pub:")).unwrap();
        place.hide(&key.split(":").nth(4).unwrap(), "KEY");
        archive.index();
        Some(archive)
    }

    /// Adds a package with one file.
    pub fn add(&mut self, name: &str, version: &str, bytes: Bytes) -> PathBuf {
        let tree = self.dir.join("tree");
        std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        // Less than this and the resolver takes a package for a mere pointer to others.
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: test <{name}@example.invalid>\n\
             Installed-Size: 90000\nDescription: no kernel\n"
        );
        std::fs::write(tree.join("DEBIAN/control"), &control).unwrap();
        let doc = tree.join("usr/share/doc").join(name);
        std::fs::create_dir_all(&doc).unwrap();
        let mut content = std::fs::File::create(doc.join("content")).unwrap();
        match bytes {
            Bytes::Zeros(size) => content.set_len(size).unwrap(),
            Bytes::Noise(size) => {
                let noise = std::fs::File::open("/dev/urandom").unwrap();
                std::io::copy(&mut noise.take(size), &mut content).unwrap();
            }
        }
        let file = format!("pool/{name}_{version}_amd64.deb");
        let path = self.dir.join(&file);
        done(
            Command::new("dpkg-deb")
                .args(["--root-owner-group", "-Zxz", "--build"])
                .args([&tree, &path]),
        );
        std::fs::remove_dir_all(&tree).unwrap();
        let (sum, length) = (sha256(&path).unwrap(), path.metadata().unwrap().len());
        // The weak sum, which Debian's archive has too, makes apt's message of a wrong one longer.
        let weak = done(Command::new("md5sum").arg(&path));
        let weak = weak.split(' ').next().unwrap();
        self.stanzas.push(format!(
            "{control}Filename: {file}\nSize: {length}\nMD5sum: {weak}\nSHA256: {sum}\n"
        ));
        self.index();
        path
    }

    /// Drops what it holds of a package's version.
    pub fn remove(&mut self, name: &str, version: &str) {
        let start = format!("Package: {name}\nVersion: {version}\n");
        self.stanzas.retain(|stanza| !stanza.starts_with(&start));
        std::fs::remove_file(self.dir.join(format!("pool/{name}_{version}_amd64.deb"))).unwrap();
        self.index();
    }

    /// The signed file that names all others.
    pub fn release(&self) -> PathBuf {
        self.dir.join(format!("dists/{SUITE}/InRelease"))
    }

    fn lists(&self) -> PathBuf {
        self.dir.join(format!("dists/{SUITE}/main/binary-amd64"))
    }

    fn gnupg(&self) -> PathBuf {
        self.dir.join("gnupg")
    }

    /// Adds stanzas of other packages until the index has more than so many bytes.
    pub fn pad(&mut self, bytes: usize) {
        let first = self.stanzas.concat();
        while self.stanzas.concat().len() < bytes {
            self.stanzas.push(first.replacen("linux-", "other-", 1));
        }
        self.index();
    }

    fn index(&self) {
        let packages = self.lists().join("Packages");
        std::fs::write(&packages, self.stanzas.join("\n")).unwrap();
        let plain = self.dir.join("Release");
        let text = format!(
            "Suite: {SUITE}\nCodename: {SUITE}\nDate: Sat, 01 Jan 2022 00:00:00 UTC\nArchitectures: amd64\n\
            Components: main\n\
             SHA256:\n {} {} main/binary-amd64/Packages\n",
            sha256(&packages).unwrap(),
            packages.metadata().unwrap().len()
        );
        std::fs::write(&plain, text).unwrap();
        let sign = ["--yes", "--clearsign", "--output"];
        done(self.gpg().args(sign).arg(self.release()).arg(&plain));
    }

    fn gpg(&self) -> Command {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--pinentry-mode", "loopback", "--homedir"]);
        command.arg(self.gnupg());
        command
    }
}

impl Drop for Archive {
    /// gpg leaves an agent behind.
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        command.arg("--homedir").arg(self.gnupg()).args(["--kill", "all"]);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Lets a place's apt use an archive at an address.
pub fn point_at(place: &Place, address: SocketAddr) {
    place.hide(&address, "ADDRESS");
    place.hide(&address.port(), "PORT");
    let uri = format!("http://{address}");
    let keyring = place.dir().join("keyring.gpg");
    place.file(
        "sources.list",
        &format!("deb [signed-by={}] {uri} {SUITE} main\n", keyring.display()),
    );
}

/// Changes a byte in the middle of a file.
pub fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn done(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Hands out the files below a directory, one connection after the other, until it is dropped.
struct Server {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (folder, seen) = (folder.to_owned(), over.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                // A client that went away is no concern of ours.
                let _ = answer(&stream, &folder);
            }
        });
        Server {
            address,
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
    let (status, body) = match std::fs::read(folder.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}
