#!/bin/sh
# Installs Muleteer as an agent of launchd, of whoever runs this and without root, or brings an installation up to date:
#
#   deploy/install-mac.sh [--binary FILE] [--home DIR] [--storage DIR [--mounted | --mount DIR]] [--root DIR]
#   deploy/install-mac.sh --uninstall [--purge] [--home DIR] [--root DIR]
#
#   --binary FILE    the program; built from this folder where none is named
#   --home DIR       program, settings, secrets and data; ~/Library/Application Support/Muleteer where none is named
#   --storage DIR    files go to this folder, such as /Volumes/Films/uploads; otherwise to S3
#   --mounted        something has to be mounted at that folder before the server starts; it waits for it
#   --mount DIR      the same of a folder further up, such as /Volumes/Films for /Volumes/Films/uploads
#   --uninstall      removes program and agent; settings, secrets and data stay
#   --purge          removes these as well
#   --root DIR       everything into this folder, as if it were /; no agent is touched
#
# Again is an upgrade: program and agent are replaced, the server is restarted. Settings (Rocket.toml) and secrets (.env)
# are made once and never written again.
#
# An agent runs while you are logged in. macOS may ask once whether it may reach the local network or a volume.
set -eu

script=$0
me=install-mac
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

where="$HOME/Library/Application Support/Muleteer"
read_options --home "$@"
home=$where
plain_path "your home folder" "$HOME"
[ -n "$root" ] || [ "$(uname)" = Darwin ] || fail "this is for macOS; deploy/install-linux.sh is for Linux"

label=org.muleteer.server
agent=$HOME/Library/LaunchAgents/$label.plist
logs=$HOME/Library/Logs
domain=gui/$(id -u)

# The agent with our paths, behind the one who waits where something has to be mounted.
the_agent() {
    waiter=''
    [ -z "$mount" ] || waiter="<string>$home/bin/wait-for-mount</string><string>$mount</string>"
    sed -e "s|<!-- @WAITER@ -->|$waiter|" -e "s|@HOME@|$home|g" -e "s|@LOGS@|$logs|g" "$here/$label.plist"
}

# What an earlier installation was told to wait for holds until another is told where files go.
remember_mount() {
    kept=$root$home/mount
    if [ -n "$mount" ]; then
        printf '%s\n' "$mount" | write 600 "$kept"
    elif [ -n "$storage" ]; then
        rm -f -- "$kept"
    elif [ -e "$kept" ]; then
        mount=$(cat "$kept")
    fi
}

unload() {
    [ -n "$root" ] || launchctl bootout "$domain/$label" 2>/dev/null || :
}

install_all() {
    from=$(the_binary) || exit 1
    mkdir -p "$root$home" "$root$logs"
    chmod 700 "$root$home"
    put 755 "$from" "$root$home/bin/muleteer"
    put 755 "$here/wait-for-mount" "$root$home/bin/wait-for-mount"
    if [ -e "$root$home/Rocket.toml" ]; then
        say "$home/Rocket.toml is there already, and is left as it is"
        check_storage "$root$home/Rocket.toml" "$home/Rocket.toml"
    else
        settings "$home/data" | write 600 "$root$home/Rocket.toml"
    fi
    made=''
    if [ ! -e "$root$home/.env" ]; then
        secrets | write 600 "$root$home/.env"
        made=yes
    fi
    remember_mount
    the_agent | write 644 "$root$agent"
    if [ -z "$root" ]; then
        unload
        # The old one may take its time to end, and until then there is no place for a new one.
        tries=60
        until launchctl bootstrap "$domain" "$agent" 2>/dev/null; do
            tries=$((tries - 1))
            [ "$tries" -gt 0 ] || fail "launchd does not take $agent"
            sleep 1
        done
    fi
    say "installed: $home/bin/muleteer, $agent"
    [ -z "$made" ] || say "secrets are in $home/.env; the API key for the page and the API is MULETEER_AUTH__API_KEY there"
}

uninstall_all() {
    unload
    rm -rf -- "$root${home:?}/bin" "$root$agent"
    if [ -n "$purge" ]; then
        rm -rf -- "$root$home"
        say "removed, with settings, secrets and data"
    else
        say "removed; settings, secrets and data are still in $home"
    fi
}

case $action in
    install) install_all ;;
    uninstall) uninstall_all ;;
esac
