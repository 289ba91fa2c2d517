#!/bin/sh
# Installs Muleteer as a service of systemd, or brings an installation up to date. As root:
#
#   deploy/install-linux.sh [--binary FILE] [--prefix DIR] [--storage DIR [--mounted | --mount DIR]] [--root DIR]
#   deploy/install-linux.sh --uninstall [--purge] [--prefix DIR] [--root DIR]
#
#   --binary FILE    the program; built from this folder where none is named
#   --prefix DIR     where the program goes: DIR/bin, and DIR is /usr/local where none is named
#   --storage DIR    files go to this folder, all of them unless a bucket is set, and the service may write to it;
#                    otherwise to S3
#   --mounted        something has to be mounted at that folder before the service starts; it waits for it
#   --mount DIR      the same of a folder further up, such as /srv/films for /srv/films/uploads
#   --uninstall      removes program and service; settings, secrets and data stay
#   --purge          removes these as well
#   --root DIR       everything into this folder, as if it were /; no account is made and no service touched
#
# Again is an upgrade: program and unit are replaced, the service is restarted. Settings (/etc/muleteer/Rocket.toml) and
# secrets (/etc/muleteer/.env) are made once and never written again.
set -eu

script=$0
me=install-linux
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

where=/usr/local
read_options --prefix "$@"
prefix=$where
case $storage in
    /home | /home/* | /root | /root/* | /run/user/* | /tmp | /tmp/* | /var/tmp | /var/tmp/*)
        fail "--storage: the service has no way into $storage: home folders and temporary ones are closed to it"
        ;;
esac
[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "this needs root; to look at what it would do, --root DIR"

program=$prefix/bin/muleteer
waiter=$prefix/lib/muleteer/wait-for-mount
etc=/etc/muleteer
data=/var/lib/muleteer
unit=/etc/systemd/system/muleteer.service

# in_system COMMAND…: only where this is the system itself.
in_system() {
    [ -n "$root" ] || "$@"
}

has_systemd() {
    [ -z "$root" ] && [ -d /run/systemd/system ]
}

make_account() {
    id muleteer >/dev/null 2>&1 ||
        useradd --system --user-group --home-dir "$data" --no-create-home --shell /usr/sbin/nologin muleteer
}

# The unit with our paths.
the_unit() {
    sed "s|^ExecStart=/usr/local/bin/muleteer|ExecStart=\"$program\"|" "$here/muleteer.service"
}

# What the unit needs for a folder of the operator's; spaces as systemd wants them.
the_drop_in() {
    folder=$(printf %s "$storage" | sed 's/ /\\x20/g')
    # Below a mount the folder itself may not be there before that.
    open=$(printf %s "${mount:-$storage}" | sed 's/ /\\x20/g')
    cat <<UNIT
[Unit]
RequiresMountsFor=$folder

[Service]
ReadWritePaths=$open
UNIT
    # What is in no fstab systemd knows nothing of. As root, who may look everywhere.
    [ -z "$mount" ] || printf '%s\n' "ExecStartPre=+\"$waiter\" \"$mount\"" 'TimeoutStartSec=infinity'
}

install_all() {
    from=$(the_binary) || exit 1
    in_system make_account
    put 755 "$from" "$root$program"
    put 755 "$here/wait-for-mount" "$root$waiter"
    mkdir -p "$root$etc" "$root$data"
    chmod 750 "$root$etc"
    chmod 700 "$root$data"
    if [ -e "$root$etc/Rocket.toml" ]; then
        say "$etc/Rocket.toml is there already, and is left as it is"
        check_storage "$root$etc/Rocket.toml" "$etc/Rocket.toml"
    else
        settings "$data" | write 640 "$root$etc/Rocket.toml"
    fi
    made=''
    if [ ! -e "$root$etc/.env" ]; then
        secrets | write 640 "$root$etc/.env"
        made=yes
    fi
    the_unit | write 644 "$root$unit"
    # An upgrade without --storage keeps what an earlier one has said.
    if [ -n "$storage" ]; then
        [ -n "$mount" ] || mkdir -p "$root$storage"
        the_drop_in | write 644 "$root$unit.d/storage.conf"
    fi
    in_system chown -R root:muleteer "$etc"
    in_system chown muleteer:muleteer "$data"
    if [ -n "$storage" ] && [ -z "$mount" ]; then
        in_system chown muleteer:muleteer "$storage"
    fi
    if has_systemd; then
        systemctl daemon-reload
        systemctl enable --quiet muleteer
        systemctl restart --no-block muleteer
    elif [ -z "$root" ]; then
        say "systemd does not run here: start \"$program serve\" in $etc yourself"
    fi
    say "installed: $program, $unit, $etc/Rocket.toml"
    [ -z "$made" ] || say "secrets are in $etc/.env; the API key for the page and the API is MULETEER_AUTH__API_KEY there"
    say "keys and the like: sudo -u muleteer sh -c 'cd $etc && $program keys list'"
}

uninstall_all() {
    if has_systemd; then
        systemctl disable --quiet --now muleteer 2>/dev/null || :
    fi
    rm -rf -- "$root$program" "$root$prefix/lib/muleteer" "$root$unit" "$root$unit.d"
    if has_systemd; then
        systemctl daemon-reload
    fi
    if [ -n "$purge" ]; then
        rm -rf -- "$root$etc" "$root$data"
        [ -n "$root" ] || userdel muleteer 2>/dev/null || :
        say "removed, with settings, secrets and data"
    else
        say "removed; settings, secrets and data are still in $etc and $data"
    fi
}

case $action in
    install) install_all ;;
    uninstall) uninstall_all ;;
esac
