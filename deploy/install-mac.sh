#!/bin/sh
# Installs Muleteer as an agent of launchd, of whoever runs this and without root, or brings an installation up to date:
#
#   deploy/install-mac.sh [--binary FILE] [--home DIR] [--storage DIR [--mounted]] [--root DIR]
#   deploy/install-mac.sh --uninstall [--purge] [--home DIR] [--root DIR]
#
#   --binary FILE    the program; built from this folder where none is named
#   --home DIR       program, settings, secrets and data; ~/Library/Application Support/Muleteer where none is named
#   --storage DIR    files go to this folder, such as /Volumes/Films/uploads; otherwise to S3
#   --mounted        something has to be mounted at that folder before the server starts; it waits for it
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

binary='' home="$HOME/Library/Application Support/Muleteer" storage='' mounted='' root='' action=install purge=''
while [ $# -gt 0 ]; do
    case $1 in
        --binary | --home | --storage | --root)
            [ $# -ge 2 ] || usage
            case $1 in
                --binary) binary=$2 ;;
                --home) home=$2 ;;
                --storage) storage=$2 ;;
                --root) root=$2 ;;
            esac
            shift
            ;;
        --mounted) mounted=yes ;;
        --uninstall) action=uninstall ;;
        --purge) purge=yes ;;
        *) usage ;;
    esac
    shift
done
plain_path --home "$home"
plain_path "your home folder" "$HOME"
[ -z "$storage" ] || plain_path --storage "$storage"
[ -z "$root" ] || plain_path --root "$root"
[ -z "$mounted" ] || [ -n "$storage" ] || fail "--mounted needs --storage"
[ -z "$purge" ] || [ "$action" = uninstall ] || fail "--purge needs --uninstall"
[ -n "$root" ] || [ "$(uname)" = Darwin ] || fail "this is for macOS; deploy/install-linux.sh is for Linux"

label=org.muleteer.server
agent=$HOME/Library/LaunchAgents/$label.plist
logs=$HOME/Library/Logs
domain=gui/$(id -u)

# The agent with our paths, behind the one who waits where something has to be mounted.
the_agent() {
    sed -e "s|@HOME@|$home|g" -e "s|@LOGS@|$logs|g" "$here/$label.plist" |
        if [ -n "$mounted" ]; then
            sed "s|^    <string>$home/bin/muleteer</string>|    <string>$home/bin/wait-for-mount</string>\\
    <string>$storage</string>\\
&|"
        else
            cat
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
    else
        settings "$home/data" | write 600 "$root$home/Rocket.toml"
    fi
    made=''
    if [ ! -e "$root$home/.env" ]; then
        secrets | write 600 "$root$home/.env"
        made=yes
    fi
    # An upgrade without --storage keeps the agent's way of starting.
    if [ -z "$storage" ] && [ -e "$root$agent" ]; then
        say "$agent is left as it is"
    else
        the_agent | write 644 "$root$agent"
    fi
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
