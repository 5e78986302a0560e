#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Boots a kernel with the speaker once, and records what its console says to each script, from a snapshot of that boot.

    record.py NAME KERNEL INITRAMFS OUT (stock|lean) [SCRIPT,...] [kernel parameters]

Needs qemu-system-x86_64 and qemu-img. OUT/NAME/SCRIPT.log is the console, OUT/NAME/SCRIPT.ans what the shell said.
"""
import atexit, os, pathlib, socket, subprocess, sys, tempfile, time

from scripts import kfence, lean, simple, stock

class Machine:
    def __init__(self, name, kernel, initrd, append='', mem=512, cpus=2, disk_extra=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f'speaker-{name}-'))
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', str(self.dir/'state.qcow2'), '64M'], check=True)
        self.p = subprocess.Popen(['qemu-system-x86_64', '-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max',
            '-smp', str(cpus), '-m', str(mem), '-display', 'none', '-nodefaults', '-no-reboot',
            '-chardev', f'file,id=con,path={self.dir}/con', '-serial', 'chardev:con',
            '-chardev', f'socket,id=cmd,path={self.dir}/cmd,server=on,wait=off', '-serial', 'chardev:cmd',
            '-monitor', f'unix:{self.dir}/mon,server=on,wait=off',
            '-drive', f'if=virtio,file={self.dir}/state.qcow2,format=qcow2', *disk_extra,
            '-kernel', kernel, '-initrd', initrd,
            '-append', f'console=ttyS0 earlyprintk=ttyS0 loglevel=8 panic=0 no_hash_pointers rdinit=/init {append}'],
            stdin=subprocess.DEVNULL, stdout=open(self.dir/'qemu.log','w'), stderr=subprocess.STDOUT)
        self.mon = self.connect('mon'); self.cmd = self.connect('cmd')
        self.mon_read(5)
    def connect(self, which):
        for _ in range(200):
            try:
                s = socket.socket(socket.AF_UNIX); s.connect(str(self.dir/which)); return s
            except OSError: time.sleep(0.05)
        raise SystemExit(f'{which}: qemu did not start')
    def mon_read(self, timeout):
        self.mon.settimeout(timeout); got = b''
        try:
            while not got.rstrip().endswith(b'(qemu)'):
                d = self.mon.recv(65536)
                if not d: break
                got += d
        except OSError: pass
        return got.decode(errors='replace')
    def monitor(self, line, timeout=120):
        self.mon.sendall(line.encode() + b'\n'); return self.mon_read(timeout)
    def console(self): return (self.dir/'con').read_bytes()
    def wait_cmd(self, what, timeout):
        got = b''; end = time.time() + timeout
        while time.time() < end:
            self.cmd.settimeout(max(0.02, min(0.5, end - time.time())))
            try:
                d = self.cmd.recv(65536)
                if not d: return got, False
                got += d
            except TimeoutError: continue
            if what in got: return got, True
        return got, False
    def boot(self, timeout=240):
        got, ok = self.wait_cmd(b'READY', timeout)
        if not ok:
            print(self.console()[-3000:].decode(errors='replace')); self.close(); raise SystemExit('no boot')
        time.sleep(1); print(self.monitor('savevm s').strip()[-60:])
    def say(self, script, quiet=1.5, limit=20):
        """Runs a line of shell from the snapshot; what the console says until it is quiet, and the shell's answer."""
        self.monitor('loadvm s'); time.sleep(0.1)
        self.cmd.settimeout(0.05)
        try:
            while self.cmd.recv(65536): pass
        except OSError: pass
        at = len(self.console())
        self.cmd.sendall(script.encode() + b'\n')
        answer, done = b'', False
        end = time.time() + limit; last = at; since = time.time()
        while time.time() < end:
            got, _ = self.wait_cmd(b'DONE', 0.1); answer += got; done = done or b'DONE' in answer
            n = len(self.console())
            if n != last: last, since = n, time.time()
            idle = time.time() - since
            if idle > quiet and (done or b'end Kernel panic' in self.console()[at:] or (last > at and idle > quiet + 7)): break
        return self.console()[at:], answer.decode(errors='replace'), done
    def close(self):
        try: self.p.terminate(); self.p.wait(10)
        except Exception: self.p.kill()
        try: os.unlink(self.dir/'state.qcow2')
        except OSError: pass

def main():
    name, kernel, initramfs, out, kind = sys.argv[1:6]
    only = sys.argv[6].split(',') if len(sys.argv) > 6 and sys.argv[6] else None
    parameters = sys.argv[7] if len(sys.argv) > 7 else ''
    scripts = dict(stock if kind == 'stock' else lean)
    if only:
        every = {**stock, **lean, **simple(kfence + ['race', 'spinlock-unlocked'])}
        scripts = {name: every[name] for name in only}
    machine = Machine(name, kernel, initramfs, 'rcupdate.rcu_cpu_stall_timeout=4 workqueue.watchdog_thresh=4 '
                      f'kfence.sample_interval=10 {parameters}', mem=1024)
    atexit.register(machine.close)
    folder = pathlib.Path(out) / name
    folder.mkdir(parents=True, exist_ok=True)
    machine.boot(600)
    (folder / 'none-boot.log').write_bytes(machine.console())
    for script, (line, quiet, limit) in scripts.items():
        console, answer, done = machine.say(line, quiet, limit)
        (folder / f'{script}.log').write_bytes(console)
        (folder / f'{script}.ans').write_text(f'{line}\n{answer}')
        print(script, len(console), 'done' if done else 'not done', flush=True)


if __name__ == '__main__':
    main()
