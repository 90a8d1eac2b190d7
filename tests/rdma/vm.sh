#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command where there is an RDMA device: in a virtual machine that has a software one (Soft-RoCE or
# Soft-iWARP) and is thrown away afterwards. Neither RDMA hardware nor kernel support nor root is needed.
# See README.md.
set -euo pipefail

usage() {
    cat <<'END'
usage: vm.sh [OPTION]... [--] COMMAND [ARG]...

Boots a Debian kernel under QEMU, makes the RDMA device rxe0 (or siw0) on an interface of the guest with
the address 10.0.0.1, runs COMMAND there as root, shows what it prints, and ends with its status.

  -f PATH    take this file or directory along, to the same absolute path, with the shared libraries it
             needs (repeatable); COMMAND itself is taken along if it is a file
  -e VAR=VAL set a variable in the command's environment (repeatable)
  -d DRIVER  rxe (default), siw (built on first use: needs make and gcc-12) or none
  -s SECS    limit of time, boot included (default 300)
  -c CPUS    virtual processors (default: those of this machine, at most 8)
  -m MIB     memory of the guest (default 1024)
  -a ACCEL   kvm, tcg or auto (default)
  -k PACKAGE kernel package (default: what linux-image-amd64 depends on)
  -n         do nothing but check what is missing here: status 77 and one line that says it, or 0
  -p         do nothing but fetch and unpack the kernel
  -v         show the guest's console at the end, on stderr
  -h         this text

Status: that of COMMAND; 124 out of time; 125 the guest failed; 77 something is missing here.
Cache: ${XDG_CACHE_HOME:-$HOME/.cache}/tacit-rdma
END
}

fail() {
    echo "vm.sh: $*" >&2
    exit 125
}

# ---- options -----------------------------------------------------------------------------------------

extra=() variables=() driver=rxe limit=300 memory=1024 accelerator=auto package='' only='' console=''
processors=$(nproc)
((processors <= 8)) || processors=8
while getopts :f:e:d:s:c:m:a:k:npvh option; do
    case $option in
    f) extra+=("$(realpath -s -- "$OPTARG")") ;;
    e) variables+=("$OPTARG") ;;
    d) driver=$OPTARG ;;
    s) limit=$OPTARG ;;
    c) processors=$OPTARG ;;
    m) memory=$OPTARG ;;
    a) accelerator=$OPTARG ;;
    k) package=$OPTARG ;;
    n) only=check ;;
    p) only=prepare ;;
    v) console=yes ;;
    h)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 125
        ;;
    esac
done
shift $((OPTIND - 1))
if [[ $# -eq 0 && -z $only ]]; then
    usage >&2
    exit 125
fi
[[ $driver =~ ^(rxe|siw|none)$ ]] || fail "\"$driver\" is no driver; there are rxe, siw and none"

# ---- what has to be here -----------------------------------------------------------------------------

export PATH=$PATH:/usr/sbin:/sbin

# Prints the packages that are missing, for `apt-get install`.
missing_packages() {
    local pair tool
    for pair in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod \
        depmod:kmod xz:xz-utils zstd:zstd ip:iproute2 rdma:iproute2 dpkg-deb:dpkg apt-get:apt \
        flock:util-linux; do
        tool=${pair%%:*}
        command -v "$tool" >/dev/null || echo "${pair#*:}"
    done
    [[ $driver == none || -e /etc/libibverbs.d/$driver.driver ]] || echo ibverbs-providers
}
if [[ $(uname -m) != x86_64 ]]; then
    echo "vm.sh: the guest is an x86-64 machine; this is $(uname -m)" >&2
    exit 77
fi
missing=$(missing_packages | sort -u | tr '\n' ' ')
if [[ $missing ]]; then
    echo "vm.sh: missing here: apt-get install ${missing% }" >&2
    exit 77
fi
[[ $only != check ]] || exit 0

cache=${XDG_CACHE_HOME:-$HOME/.cache}/tacit-rdma
mkdir -p "$cache"
work=$(mktemp -d)
guest=''
# shellcheck disable=SC2317  # called by the trap
clean_up() {
    [[ -z $guest ]] || kill "$guest" 2>/dev/null || :
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# ---- kernel ------------------------------------------------------------------------------------------

# download PACKAGE[=VERSION]...: into the current directory.
download() {
    if ! apt-get -qq -o APT::Sandbox::User=root download "$@" >&2; then
        echo "vm.sh: cannot download $* (no network, or apt-get update is due)" >&2
        exit 77
    fi
}

# dependency PACKAGE PREFIX: the first package that it depends on whose name begins so.
dependency() {
    apt-cache depends "$1" 2>/dev/null |
        awk -v prefix="$2" '!found && /Depends:/ && index($2, prefix) == 1 { print $2; found = 1 }'
}

# A bzImage carries a compressed kernel; unpacked here it boots in a fraction of the time under TCG.
unpack_kernel() { # BZIMAGE OUT
    local offset length magic
    number_at() { od -An -tu"$2" -j"$1" -N"$2" "$3" | tr -d ' '; }
    offset=$((($(number_at 497 1 "$1") + 1) * 512 + $(number_at 584 4 "$1")))
    length=$(($(number_at 588 4 "$1") - 4))
    magic=$(od -An -tx1 -j"$offset" -N4 "$1" | tr -d ' ')
    local decompress
    case $magic in
    fd377a58) decompress=(xz -dc --single-stream) ;;
    28b52ffd) decompress=(zstd -dcq) ;;
    1f8b*) decompress=(gzip -dc) ;;
    *) return 1 ;;
    esac
    dd if="$1" iflag=skip_bytes,count_bytes skip="$offset" count="$length" bs=1M status=none |
        "${decompress[@]}" >"$2"
}

# Into the folder $1: vmlinux, version, and of the modules those that an RDMA guest may need.
fetch_kernel() {
    local modules=./lib/modules/$release directory wanted=()
    cd "$1"
    download "$package"
    dpkg-deb -f ./*.deb Version >version
    for directory in arch/x86/crypto crypto drivers/char drivers/infiniband drivers/net drivers/virtio \
        fs/configfs lib net; do
        wanted+=("$modules/kernel/$directory")
    done
    # Not every kernel has each of them: tar's complaint about that is no failure.
    dpkg-deb --fsys-tarfile ./*.deb | tar -x --exclude='*/net/wireless' "./boot/vmlinuz-$release" \
        "$modules/modules.builtin" "$modules/modules.order" "$modules/modules.builtin.modinfo" \
        "${wanted[@]}" 2>/dev/null || :
    rm ./*.deb
    depmod -b . "$release" 2>/dev/null
    unpack_kernel "boot/vmlinuz-$release" vmlinux || mv "boot/vmlinuz-$release" vmlinux
    rm -rf boot
}

# Debian does not build siw; the kernel's own build system makes that one module.
build_siw() {
    local version base headers source
    version=$(<"$kernel/version")
    base=$(cut -d. -f1,2 <<<"$release")
    headers=linux-headers-$release
    cd "$1"
    download "$headers=$version" "$(dependency "$headers" linux-headers-)=$version" \
        "$(dependency "$headers" linux-kbuild-)=$version" "linux-source-$base=$version"
    local archive
    for archive in ./*.deb; do
        dpkg-deb -x "$archive" .
        rm "$archive"
    done
    source=linux-source-$base/drivers/infiniband/sw/siw
    tar -xf "usr/src/linux-source-$base".tar.* "$source"
    sed -i "s#/usr/src/#$PWD/usr/src/#" "usr/src/$headers/Makefile"
    make -s -C "usr/src/$headers" M="$PWD/$source" CONFIG_RDMA_SIW=m modules >&2
    strip -g -o siw.ko "$source/siw.ko"
}

[[ $package ]] || package=$(dependency linux-image-amd64 linux-image-)
if [[ -z $package ]]; then # offline, or lists not fetched yet: what an earlier run has unpacked serves as well
    for old in "$cache"/linux-image-*; do
        [[ ! -d $old ]] || package=${old##*/}
    done
fi
if [[ -z $package ]]; then
    echo "vm.sh: no kernel package is known here (apt-get update is due)" >&2
    exit 77
fi
release=${package#linux-image-}
kernel=$cache/$package
exec 9>"$cache/lock"
flock 9 # two runs at the same time: one fetches
if [[ ! -d $kernel ]]; then
    rm -rf "$cache"/new.*
    new=$(mktemp -d "$cache/new.XXXXXX")
    echo "vm.sh: fetching $package (once, about 70 MB)" >&2
    (fetch_kernel "$new")
    mv -T "$new" "$kernel"
fi
if [[ $driver == siw && ! -e $kernel/siw.ko ]]; then
    new=$(mktemp -d "$cache/new.XXXXXX")
    echo "vm.sh: building the module siw (once, about 155 MB to fetch)" >&2
    (build_siw "$new")
    mv "$new/siw.ko" "$kernel/siw.ko"
    rm -rf "$new"
fi
exec 9>&-
if [[ $only == prepare ]]; then
    echo "$kernel"
    exit 0
fi

# ---- root file system --------------------------------------------------------------------------------

root=$work/root
mkdir -p "$root"/{dev,proc,sys,run,tmp,root,etc,modules,usr/{bin,sbin,lib,lib64}}
chmod 1777 "$root/tmp"
for directory in bin sbin lib lib64; do ln -s "usr/$directory" "$root/$directory"; done
echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
cp "$(command -v busybox)" "$root/bin/busybox"

modules=(virtio_pci virtio_console)
case $driver in
rxe) modules+=(crc32_generic rdma_rxe) ;; # rxe uses "crc32" without depending on it
siw) modules+=(crc32c_generic libcrc32c ib_core ib_uverbs) ;;
esac
[[ $driver == none ]] || modules+=(rdma_ucm dummy)
for module in "${modules[@]}"; do
    modprobe -d "$kernel" -S "$release" --show-depends "$module" 2>/dev/null || :
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r object; do
    name=$(basename "${object%.xz}")
    if [[ $object == *.xz ]]; then
        xz -dc "$object" >"$root/modules/$name"
    else
        cp "$object" "$root/modules/"
    fi
    echo "$name"
done >"$root/modules/order"
if [[ $driver == siw ]]; then
    cp "$kernel/siw.ko" "$root/modules/"
    echo siw.ko >>"$root/modules/order"
fi

words=("$@")
program=$(type -P -- "$1" || :)
if [[ $program && $program != */busybox ]]; then
    words[0]=$(realpath -s -- "$program")
    extra+=("${words[0]}")
fi
for path in "${extra[@]}"; do [[ -e $path ]] || fail "there is no $path"; done
extra+=(/bin/sh "$(type -P ip)" "$(type -P rdma)")
if [[ $driver != none ]]; then
    extra+=("/etc/libibverbs.d/$driver.driver")
    for path in /usr/lib/*/libibverbs/lib"$driver"-rdmav*.so; do extra+=("$path"); done
fi
# pthread_exit() and cancellation load this one by name, so ldd does not show it.
support=$(ldconfig -p | awk '!found && /libgcc_s.so.1 .*x86-64/ { print $NF; found = 1 }')
[[ -z $support ]] || extra+=("$support")
{
    printf '%s\n' "${extra[@]}"
    # grep finds nothing when only scripts were given, ldd fails on them: neither is a failure.
    find -L "${extra[@]}" -type f \( -perm /111 -o -name '*.so*' \) -print0 |
        { xargs -0r -n1 ldd 2>/dev/null || :; } | { grep -o '/[^ ]*' || :; }
} | sort -u | tar -C / -chPT - 2>/dev/null |
    tar -C "$root" -x --keep-directory-symlink --transform 's,^/*,,'

quoted() { # as words for sh; printf %q may give what only bash understands
    local word
    for word; do printf " '%s'" "${word//\'/\'\\\'\'}"; done
}
{
    echo 'export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/'
    ((${#variables[@]} == 0)) || echo "export$(quoted "${variables[@]}")"
    echo "mkdir -p$(quoted "$PWD") && cd$(quoted "$PWD")"
    echo "exec$(quoted "${words[@]}")"
} >"$root/command"

cat >"$root/init" <<'END'
#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmp /dev/shm
mount -t devpts pts /dev/pts
ln -sf /proc/self/fd /dev/fd
ulimit -l unlimited
while read -r module; do insmod "/modules/$module"; done </modules/order
port() { # the virtio-serial port of this name
    for entry in /sys/class/virtio-ports/*; do
        [ "$(cat "$entry/name")" = "$1" ] && echo "/dev/${entry##*/}"
    done
}
driver=$(sed 's/.*tacit.driver=\([a-z]*\).*/\1/' /proc/cmdline)
/sbin/ip link set lo up
if [ "$driver" != none ]; then
    /sbin/ip link add dummy0 type dummy 2>/dev/null
    /sbin/ip addr add 10.0.0.1/24 dev dummy0
    /sbin/ip link set dummy0 mtu 4200 up
    rdma link add "${driver}0" type "$driver" netdev dummy0 || echo "no device ${driver}0"
    turns=0
    until grep -q ACTIVE "/sys/class/infiniband/${driver}0/ports/1/state" || [ $turns -gt 50 ]; do
        usleep 20000
        turns=$((turns + 1))
    done
fi
echo "guest ready after $(cut -d' ' -f1 /proc/uptime) s"
sh /command </dev/null >"$(port out)" 2>&1
echo $? >"$(port status)"
sync
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$work/initrd"
rm -rf "$root"

# ---- run ---------------------------------------------------------------------------------------------

if [[ $accelerator == auto ]]; then
    accelerator=tcg
    # A /dev/kvm without vmx or svm cannot run an unmodified kernel.
    if [[ -r /dev/kvm && -w /dev/kvm ]] && grep -qwE 'vmx|svm' /proc/cpuinfo; then accelerator=kvm; fi
fi
case $accelerator in
kvm) machine=(-accel kvm -cpu host) ;;
# With erms or fsrm the guest's kernel copies by "rep movsb", which TCG does byte by byte: then 8-byte
# writes would not be whole, as they are on every real device.
tcg) machine=(-accel "tcg,thread=multi" -cpu "max,-erms,-fsrm") ;;
*) fail "\"$accelerator\" is no accelerator; there are kvm, tcg and auto" ;;
esac

append="console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off nokaslr random.trust_cpu=on"
append+=" tacit.driver=$driver"
mkfifo "$work/out"
cat "$work/out" &
reader=$!
timeout -k 5 "$limit" qemu-system-x86_64 "${machine[@]}" -smp "$processors" -m "$memory" \
    -nodefaults -no-user-config -display none -no-reboot -nic none \
    -kernel "$kernel/vmlinux" -initrd "$work/initrd" -append "$append" \
    -serial file:"$work/console" -device virtio-serial-pci \
    -chardev file,id=out,path="$work/out" -device virtserialport,chardev=out,name=out \
    -chardev file,id=status,path="$work/status" -device virtserialport,chardev=status,name=status \
    </dev/null &
guest=$!
result=0
wait "$guest" || result=$?
guest=''
: 3<>"$work/out" # ends the reader, should QEMU never have opened the pipe
wait "$reader" || :
[[ -z $console ]] || tr -d '\r' <"$work/console" >&2
if ((result == 124 || result == 137)); then
    echo "vm.sh: not done after $limit s" >&2
    exit 124
fi
if [[ ! -s $work/status ]]; then
    tail -n 30 "$work/console" >&2 || :
    fail "the guest ended without a result (QEMU's status: $result)"
fi
exit "$(<"$work/status")"
