use super::*;

#[test]
fn what_a_compiler_and_a_linker_complain_of_is_a_file_of_the_source() {
    let said = "  CC      fs/btrfs/inode.o\n\
            /cache/builds/ab12/source/fs/btrfs/inode.c:12:5: error: implicit declaration of function 'x'\n\
            ../source/fs/open.c: In function 'y':\n../source/fs/open.c:3:1: error: unknown type name 'z'\n\
            ld: fs/btrfs/file.o: in function `w':\nfile.c:(.text+0x1): undefined reference to `v'\n\
            /cache/builds/ab12/source/fs/btrfs/super.c:9: undefined reference to `u'\n";
    assert_eq!(
        named(said, ERRORS),
        ["fs/btrfs/inode.c", "fs/open.c", "file.c", "fs/btrfs/super.c"]
    );
    assert_eq!(named("make: *** [Makefile:12: all] Error 2", ERRORS), [""; 0]);
    let said = "/c/builds/9/source/mm/page_alloc.c:807:13: \
            error: static declaration of 'f' follows non-static declaration\n\
            In file included from /c/builds/9/source/mm/page_alloc.c:82:\n\
            /c/builds/9/source/mm/internal.h:392:6: \
            note: previous declaration of 'f' with type 'void(struct page *)'\n";
    assert_eq!(named(said, ERRORS), ["mm/page_alloc.c"]);
    assert_eq!(named(said, NOTES), ["mm/internal.h"]);
}

#[test]
fn what_the_machine_did_is_no_commits_fault() {
    let (targets, said, log) = ("bzImage".to_owned(), "x".to_owned(), PathBuf::from("log"));
    let ended = BuildError::Ended {
        targets: targets.clone(),
        said: said.clone(),
        log: log.clone(),
    };
    assert_eq!(Trees::reason(&ended), None);
    let failed = Trees::reason(&BuildError::Make { targets, said, log });
    assert_eq!(failed.map(|reason| reason.obstacle), Some(Obstacle::Build));
}
