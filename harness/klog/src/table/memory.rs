//! The sanitizers and what memory management finds.

use crate::Kind;
use crate::row::{Place, Row, line, row};

pub(super) const ROWS: &[Row] = &[
    row(Kind::Kasan, "BUG: KASAN: "),
    row(Kind::Kfence, "BUG: KFENCE: "),
    row(Kind::Kmsan, "BUG: KMSAN: "),
    row(Kind::Kcsan, "BUG: KCSAN: ").place(Place::After(" in ")),
    row(Kind::BadPage, "BUG: Bad page state in process ").place(Place::Stack),
    row(Kind::BadPage, "BUG: Bad page map in process ").place(Place::Stack),
    row(Kind::BadPage, "BUG: Bad page cache in process ").place(Place::Stack),
    line(Kind::BadRss, "BUG: Bad rss-counter state "),
    line(Kind::PageTables, "BUG: non-zero pgtables_bytes on freeing mm"),
    line(Kind::PageTables, "BUG: non-zero nr_ptes on freeing mm"),
    line(Kind::PageTables, "BUG: non-zero nr_pmds on freeing mm"),
    row(Kind::SlabLeft, "BUG * (*ainted*): Objects remaining ").place(Place::Stack),
    row(Kind::Slab, "BUG * (*ainted*): ")
        .place(Place::Stack)
        .except(&["BUG: "]),
    line(Kind::SlabLeft, "kmem_cache_destroy *: Slab cache still has objects").place(Place::Stack),
    line(
        Kind::SlabLeft,
        "slab *kmem_cache_destroy *: Slab cache still has objects",
    )
    .place(Place::Stack),
    line(Kind::Kmemleak, "kmemleak: * new suspected memory leaks"),
    row(Kind::Kmemleak, "kmemleak: unreferenced object "),
    row(Kind::Kmemleak, "unreferenced object 0x"),
    // The old spelling, with the page first.
    row(Kind::BadPage, "page dumped because: VM_BUG_ON").place(Place::Stack),
];
