#!/bin/sh
# One commit, as a person without bioscope bisect would do it: made with plain make, the case run on it once.
# Exits 0 if the case passes, 1 if it fails, 125 (git's word for "skip") if it does not build or the run says nothing; and writes that down.
dir=$1 case=$2 bioscope=$3
commit=$(git -C "$dir/source" rev-parse HEAD)
say() {
    echo "$commit $1" >>"$dir/steps"
    exit "$1"
}
make -C "$dir/source" O="$dir/objects" ARCH=x86_64 -j "$(nproc)" olddefconfig bzImage >"$dir/make.log" 2>&1 || say 125
"$bioscope" test --image "$dir/objects/arch/x86/boot/bzImage" --case "$case" --fs btrfs >"$dir/run.log" 2>&1
case $? in
0) say 0 ;;
1) say 1 ;;
*) say 125 ;;
esac
