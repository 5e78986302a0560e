#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Builds a lean kernel for the speaker, and the speaker for it: build.sh SOURCE OBJECTS FRAGMENT...
# SOURCE is an unpacked linux-source-* package; fragments come after tinyconfig, in order.
set -eu
source=$1 objects=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
export KCFLAGS=-Wno-error KBUILD_BUILD_HOST=bioscope KBUILD_BUILD_USER=bioscope
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026' LOCALVERSION=
mkdir -p "$objects"
make -C "$source" O="$objects" tinyconfig
(cd "$objects" && "$source/scripts/kconfig/merge_config.sh" -m -O "$objects" .config "$@" | grep -v redefined || true)
make -C "$source" O="$objects" olddefconfig
for fragment; do
	grep -E '^CONFIG_[A-Z0-9_]+=[^n]' "$fragment" | while read -r option; do
		grep -qxF "$option" "$objects/.config" || echo "build.sh: left out by kconfig: $option"
	done
done
# Only the speaker is instrumented: the allocators and lockdep do their part without it, and the kernel builds in a third of the time.
make -C "$source" O="$objects" -j"$(nproc)" KASAN_SANITIZE=n UBSAN_SANITIZE=n KCSAN_SANITIZE=n bzImage modules
mkdir -p "$objects/speaker"
cp "$here"/*.[ch] "$here/Kbuild" "$objects/speaker/"
make -C "$source" O="$objects" M="$objects/speaker" KCFLAGS="-Wno-error -fmacro-prefix-map=$objects/speaker/=drivers/misc/speaker/" modules
