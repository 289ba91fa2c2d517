# shellcheck shell=sh disable=SC2154
# What the installers and make-env do alike. Read by them, never run; what it reads itself they have set.

# say WORDS…: what happens, for whoever watches.
say() {
    printf '%s\n' "$me: $*"
}

# fail WORDS…: the end.
fail() {
    printf '%s\n' "$me: $*" >&2
    exit 1
}

# usage: the comment at the top of the script.
usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$script" >&2
    exit 2
}

# plain_path WHAT TEXT: stops at a path that could not stand in a settings file or a unit as it is.
plain_path() {
    case $2 in
        /*) ;;
        *) fail "$1 must be a whole path, beginning with /: $2" ;;
    esac
    case $2 in
        *[\"\'\\%\$\&\<\>\|]* | *"
"*) fail "$1 may have none of \" ' \\ % \$ & < > | and no line break in it: $2" ;;
    esac
}

# read_options PLACE OPTIONS…: what an installer is told. PLACE is the option that says where things go; `where` has it, and
# is set before to where they go otherwise.
read_options() {
    place_option=$1
    shift
    binary='' storage='' mount='' mounted='' root='' action=install purge=''
    while [ $# -gt 0 ]; do
        case $1 in
            --binary | --storage | --mount | --root | "$place_option")
                [ $# -ge 2 ] || usage
                case $1 in
                    --binary) binary=$2 ;;
                    --storage) storage=$2 ;;
                    --mount) mount=$2 ;;
                    --root) root=$2 ;;
                    *) where=$2 ;;
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
    plain_path "$place_option" "$where"
    [ -z "$storage" ] || plain_path --storage "$storage"
    [ -z "$root" ] || plain_path --root "$root"
    [ -z "$mounted$mount" ] || [ -n "$storage" ] || fail "--mounted and --mount need --storage"
    [ -z "$mounted" ] || mount=${mount:-$storage}
    case $storage/ in
        "${mount%/}"/*) ;;
        *) fail "--mount: $storage does not lie below $mount" ;;
    esac
    [ -z "$purge" ] || [ "$action" = uninstall ] || fail "--purge needs --uninstall"
}

# secret BYTES: so many random bytes in digits, two for each.
secret() {
    od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'
}

# the_binary: the program to install: the one that was named, else the newest build, else a new one.
the_binary() {
    if [ -n "$binary" ]; then
        [ -f "$binary" ] || fail "there is no file $binary"
        printf '%s\n' "$binary"
        return
    fi
    project=$(cd "$here/.." && pwd)
    [ -f "$project/Cargo.toml" ] || fail "say with --binary which program to install"
    command -v cargo >/dev/null || fail "there is no cargo to build with: https://rustup.rs, or --binary"
    say "building; this takes some minutes" >&2
    (cd "$project" && cargo build --locked --profile dist --bin muleteer >&2) || fail "it does not build"
    printf '%s\n' "$project/target/dist/muleteer"
}

# put MODE FROM TO: copies a file into its place in one step, so that nobody sees half of it, also while it is running.
put() {
    mkdir -p "$(dirname "$3")"
    cp "$2" "$3.new"
    chmod "$1" "$3.new"
    mv -f "$3.new" "$3"
}

# write MODE TO: the same with what comes by standard input.
write() {
    mkdir -p "$(dirname "$2")"
    (umask 077 && cat >"$2.new")
    chmod "$1" "$2.new"
    mv -f "$2.new" "$2"
}

# settings DATA: the settings file of a new installation, on standard output.
settings() {
    cat <<TOML
# Every key is in Rocket.toml.example, or in docs/configuration.md. Secrets are in .env beside this file.

[default]
data_dir = "$1"

[default.server]
address = "127.0.0.1"
port = 8080
# With a reverse proxy in front (deploy/nginx.conf, deploy/Caddyfile):
#public_url = "https://uploads.example.org"
#trusted_proxies = ["127.0.0.1"]
TOML
    if [ -n "$storage" ]; then
        cat <<TOML

[default.storage]
backend = "local"

[default.storage.local]
path = "$storage"
TOML
    else
        cat <<TOML

# Without a bucket an S3 server of our own starts, for local use.
#[default.s3]
#bucket = "my-bucket"
#region = "eu-central-1"
TOML
    fi
}

# check_storage FILE NAME: says so where settings that are left as they are do not send files to the folder.
check_storage() {
    [ -z "$storage" ] || grep -qF "\"$storage\"" "$1" || say "but $2 does not name $storage: files go there once it has
  [default.storage]
  backend = \"local\"
  [default.storage.local]
  path = \"$storage\""
}

# secrets: the file of secrets of a new installation, on standard output.
secrets() {
    cat <<ENV
# Made at the installation. Keep it secret, and keep a copy.
# Begins uploads, and may look after all of them.
MULETEER_AUTH__API_KEY=$(secret 32)
# Signs upload tokens and cookies.
MULETEER_AUTH__SECRET=$(secret 32)
# Signs webhooks.
MULETEER_HOOKS__SECRET=$(secret 32)
# The store's, where the machine itself has none:
#AWS_ACCESS_KEY_ID=
#AWS_SECRET_ACCESS_KEY=
# A database other than SQLite:
#DATABASE_URL=postgres://muleteer:PASSWORD@localhost/muleteer
ENV
}
