#!/bin/sh
# Installs edge-vss as a service, and undoes it. What was made is written down in PREFIX/share/edge-vss/installed.
set -eu

usage() {
    cat <<'END'
install.sh [--uninstall] [--dry-run] [--prefix DIR] [--user NAME] [--from WHAT] [--root DIR]

  --uninstall    undo an installation; what was changed since then is kept and named
  --dry-run      only say what would be done
  --prefix DIR   the environment of the service (default /opt/edge-vss)
  --user NAME    who runs the service (default edge-vss; made where missing)
  --from WHAT    what pip installs (default: the checkout that this script lies in, else edge-vss)
  --root DIR     put the files under DIR, and neither make an environment or a user nor speak to systemd
END
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
action=install dry='' prefix=/opt/edge-vss user=edge-vss from='' root=''
fail() { echo "install.sh: $1" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
        --uninstall) action=uninstall ;;
        --dry-run) dry=yes ;;
        --prefix | --user | --from | --root)
            if [ $# -lt 2 ] || [ -z "$2" ]; then fail "$1 wants a value"; fi
            case $1 in --prefix) prefix=$2 ;; --user) user=$2 ;; --from) from=$2 ;; --root) root=$2 ;; esac
            shift ;;
        -h | --help) usage; exit 0 ;;
        *) fail "unknown option $1; see install.sh --help" ;;
    esac
    shift
done
prefix=${prefix%/} root=${root%/}
case $prefix in /?*) ;; *) fail "--prefix wants an absolute path other than /, got '$prefix'" ;; esac
case $root in '' | /*) ;; *) root=$PWD/$root ;; esac
case $user in '' | *[!a-z0-9_-]*) fail "--user wants a name of small letters, digits, _ and -, got '$user'" ;; esac
case $prefix$root in *[[:space:]\&\|\\]*) fail "paths with blanks, &, | or \\ are not supported" ;; esac
if [ -z "$from" ]; then
    if [ -f "$here/../../pyproject.toml" ]; then from=$(cd "$here/../.." && pwd); else from=edge-vss; fi
fi
if [ -n "$root" ] && [ ! -d "$root" ]; then fail "--root $root: no such folder"; fi
record=$root$prefix/share/edge-vss/installed
[ -n "$root" ] || [ -n "$dry" ] || [ "$(id -u)" = 0 ] || fail "needs root: sudo $0"

say() { if [ -n "$dry" ]; then echo "would: $*"; else echo "$*"; fi; }
does() { say "$*"; if [ -z "$dry" ]; then "$@"; fi; }
digest() { sha256sum "$1" | cut -d ' ' -f 1; }
note() { if [ -z "$dry" ] && ! grep -qxF -e "$*" "$record" 2>/dev/null; then echo "$*" >>"$record"; fi; }

# Makes a folder and those above it, and writes down the ones that were missing.
folder() {
    [ -d "$root$1" ] && return 0
    case $1 in /*/*) folder "${1%/*}" ;; esac
    does mkdir "$root$1"
    pending="$pending$1
"
}
# Folders come before there is a record to write them to.
flush() { printf '%s' "$pending" | while IFS= read -r made; do note "dir $made"; done; pending=''; }

# put SOURCE DESTINATION: installs a file unless somebody has changed it.
put() {
    folder "${2%/*}"; flush
    sed -e "s|@PREFIX@|$prefix|g" -e "s|@USER@|$user|g" "$1" >"$work/new"
    new=$(digest "$work/new")
    if [ -e "$root$2" ]; then
        old=$(digest "$root$2")
        if [ "$old" = "$new" ]; then echo "there already: $root$2"; return 0; fi
        if ! grep -qxF "file $old $2" "$record" 2>/dev/null; then echo "kept, not as installed: $root$2"; return 0; fi
    fi
    does install -m 0644 "$work/new" "$root$2"
    if [ -z "$dry" ] && [ -f "$record" ]; then grep -v " $2\$" "$record" >"$work/record" || true; cat "$work/record" >"$record"; fi
    note "file $new $2"
}

install_all() {
    if [ -d "$root$prefix" ] && [ ! -f "$record" ]; then fail "$root$prefix is there and not ours; choose another --prefix"; fi
    pending=''
    folder "$prefix/share/edge-vss"
    if [ -z "$dry" ] && [ ! -f "$record" ]; then : >"$record"; fi
    flush
    folder /var/lib/edge-vss; flush
    if [ -z "$root" ]; then make_user; make_environment; fi
    put "$here/edge-vss@.service" /etc/systemd/system/edge-vss@.service
    put "$here/camera.toml" /etc/edge-vss/camera.toml
    put "$here/70-edge-vss.rules" /etc/udev/rules.d/70-edge-vss.rules
    if [ -z "$root" ]; then
        does chown "$user:" /var/lib/edge-vss
        reload
    else
        echo "only files, because of --root: no environment, no user, no word to systemd"
    fi
    echo "next: edit /etc/edge-vss/camera.toml, put the bundle where it says, then: sudo systemctl enable --now edge-vss@camera"
}

make_user() {
    if ! id "$user" >/dev/null 2>&1; then
        does useradd --system --user-group --home-dir /var/lib/edge-vss --no-create-home --shell /usr/sbin/nologin "$user"
        note "user $user"
    fi
    for group in video render i2c; do
        if getent group "$group" >/dev/null; then does usermod --append --groups "$group" "$user"; fi
    done
}

make_environment() {
    note "environment $prefix"
    # TensorRT's Python package comes from apt on a board, hence the packages of the system.
    [ -x "$prefix/bin/python" ] || does python3 -m venv --system-site-packages "$prefix"
    does "$prefix/bin/python" -m pip install --disable-pip-version-check --quiet --upgrade "$from"
}

reload() {
    if [ -d /run/systemd/system ]; then does systemctl daemon-reload; fi
    if [ -S /run/udev/control ]; then does udevadm control --reload; does udevadm trigger --subsystem-match=video4linux; fi
}

uninstall_all() {
    [ -f "$record" ] || fail "$record: not there, so nothing is known to have been installed with this --prefix"
    if [ -z "$root" ] && [ -d /run/systemd/system ]; then
        for link in /etc/systemd/system/*.wants/edge-vss@?*.service; do
            if [ -L "$link" ]; then does systemctl disable --now "${link##*/}"; fi
        done
        does systemctl stop 'edge-vss@*.service'
    fi
    grep '^file ' "$record" | while read -r _ sum path; do
        if [ ! -e "$root$path" ]; then continue; fi
        if [ "$(digest "$root$path")" = "$sum" ]; then does rm "$root$path"; else echo "kept, was changed: $root$path"; fi
    done
    cp "$record" "$work/record"
    does rm "$record"
    if grep -qxF "environment $prefix" "$work/record"; then
        for part in bin include lib lib64 pyvenv.cfg share; do does rm -rf "$root$prefix/$part"; done
    fi
    grep '^dir ' "$work/record" | cut -d ' ' -f 2- | sort -r | while IFS= read -r path; do
        if [ ! -d "$root$path" ]; then continue; fi
        if [ -n "$dry" ]; then say "rmdir $root$path (where empty)"; continue; fi
        rmdir "$root$path" 2>/dev/null && echo "rmdir $root$path" || echo "kept, not empty: $root$path"
    done
    grep '^user ' "$work/record" | while read -r _ name; do does userdel "$name"; done
    if [ -z "$root" ]; then reload; fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
"${action}_all"
