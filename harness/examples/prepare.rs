use harness::{cache::Cache, golden, initramfs, kernels::*, modules, progress::Progress};
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let flag = |f: &str| args.iter().any(|a| a == f);
    let pats: Vec<&String> = args.iter().filter(|a| !a.starts_with("--")).collect();
    let code = (|| -> Result<(), Error> {
        let dir = std::env::var("KDIR").unwrap_or(".".into());
        let m = Manifest::load(&std::path::Path::new(&dir).join("kernels.toml"))?;
        let cache = Cache::of_user()?;
        let ks = m.select(&pats)?;
        let lock = std::path::Path::new(&dir).join("kernels.lock");
        let p = Progress::stderr();
        if flag("--only-update") { println!("{:#?}", update(&ks, &lock, &cache, &p)?); return Ok(()); }
        let o = Options { offline: flag("--offline"), update: flag("--update"), locked: flag("--locked") };
        let t = std::time::Instant::now();
        for a in prepare(&ks, &lock, &cache, &o, &p)? {
            println!("{} {} {} {} {:?}", a.id, a.release, a.version, a.kernel.display(), a.modules_root);
            if flag("--modules") {
                let t = std::time::Instant::now();
                let files = modules::closure(&a, &["virtio_pci", "virtio_blk", "btrfs"]).unwrap();
                println!("  {:?} {:?}", t.elapsed(), files.iter().map(|f| f.file_name().unwrap()).collect::<Vec<_>>());
                let t = std::time::Instant::now();
                initramfs::write(std::path::Path::new(&format!("/tmp/c-{}.cpio", a.id)), &initramfs::spec(std::path::Path::new("/tmp/c-init"), &["/bin/busybox".into()], &files)).unwrap();
                println!("  cpio {:?}", t.elapsed());
            }
        }
        println!("{:?}", t.elapsed());
        if flag("--golden") { for fs in ["btrfs","ext4","xfs"] { let fs = fs.parse().unwrap(); match golden::image(fs, &cache) { Ok(i) => println!("{} {:?}", i.display(), golden::check(fs, &i, std::time::Duration::from_secs(20)).unwrap()), Err(e) => println!("{e} {}", e.exit_code()) } } }
        Ok(())
    })();
    if let Err(e) = code {
        let mut s: Option<&dyn std::error::Error> = Some(&e);
        while let Some(x) = s { eprintln!("error: {x}"); s = x.source(); }
        std::process::exit(e.exit_code().into());
    }
}
