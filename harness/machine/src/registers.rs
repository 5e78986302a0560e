//! The CPUs of a guest as QEMU's monitor shows them.

/// A CPU's registers, as far as they tell where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) rip: u64,
    pub(crate) rsp: u64,
    /// The privilege level: 0 in the kernel, 3 in user space.
    pub(crate) cpl: u8,
    pub(crate) is_halted: bool,
}

/// Reads what `info registers -a` prints, a CPU after the other.
pub(crate) fn read(text: &str) -> Vec<Registers> {
    let cpus = text.split("CPU#").skip(1);
    cpus.filter_map(one).collect()
}

fn one(text: &str) -> Option<Registers> {
    let field = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split_whitespace().next()
    };
    let number = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
    Some(Registers {
        rip: number("RIP=")?,
        rsp: number("RSP=")?,
        cpl: field("CPL=")?.parse().ok()?,
        is_halted: field("HLT=")? == "1",
    })
}

/// The words of memory that `x /Ngx ADDRESS` prints.
pub(crate) fn words(text: &str) -> Vec<u64> {
    let of_line = |line: &str| {
        let words = line.split_once(": ").map(|(_, words)| words).unwrap_or_default();
        words
            .split_whitespace()
            .filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
            .collect::<Vec<_>>()
    };
    text.lines().flat_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_as_qemu_prints_them() {
        let text = "\r\nCPU#0\r\nRAX=0000000000000000 RBX=ffffffff81c0a5b0 RCX=0 RDX=0\r\n\
                    RSI=0 RDI=0 RBP=0 RSP=ffffffff82403e58\r\nR8 =0 R9 =0\r\n\
                    RIP=ffffffff81c0a5b9 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n\
                    ES =0000 0000000000000000 ffffffff 00c00000\r\nCPU#1\r\nRSP=00007ffd0\r\n\
                    RIP=0000000000401000 RFL=00000246 [---Z-P-] CPL=3 II=0 A20=1 SMM=0 HLT=0\r\n";
        let first = Registers {
            rip: 0xffff_ffff_81c0_a5b9,
            rsp: 0xffff_ffff_8240_3e58,
            cpl: 0,
            is_halted: true,
        };
        let second = Registers {
            rip: 0x40_1000,
            rsp: 0x7_ffd0,
            cpl: 3,
            is_halted: false,
        };
        assert_eq!(read(text), [first, second]);
        assert!(read("Error: no CPU").is_empty());
    }

    #[test]
    fn memory_as_qemu_prints_it() {
        let text = "ffffffff82403e58: 0xffffffff810abcde 0x0000000000000000\r\n\
                    ffffffff82403e68: 0x0000000000000007 0xffff888003d4c000\r\nCannot access memory\r\n";
        assert_eq!(words(text), [0xffff_ffff_810a_bcde, 0, 7, 0xffff_8880_03d4_c000]);
    }
}
