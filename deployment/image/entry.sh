#!/bin/sh
# Starts whatever a tenant's image is asked for - a code server, a run, a step - and says first what is missing. The
# code of runs and steps of bundles is fetched before: `mlrepro exec`.
#
# Exit codes: 64 nothing to run, 69 a program that is not there, 73 a folder that can't be written, 78 settings that are
# missing or can't be. All is said at once, on stderr, a line each.
set -eu

missing=0

complain() {
    printf 'mlrepro: %s\n' "$*" >&2
}

need() { # need VARIABLE WHY
    eval "value=\${$1:-}"
    if [ -z "$value" ]; then
        complain "$1 is not set: $2"
        missing=1
    fi
}

if [ "$#" -eq 0 ]; then
    complain "there is nothing to run: give a command, such as dagster api grpc -h 0.0.0.0 -p 4000 -m team.definitions"
    exit 64
fi

if ! command -v "$1" >/dev/null 2>&1; then
    complain "$1 is not in the image: PATH is $PATH"
    exit 69
fi

if [ "$1" = "dagster" ] || [ "$1 ${2:-}" = "mlrepro code-server" ]; then
    need DAGSTER_HOME "it is a folder, /opt/dagster/dagster_home in this image"
    need MLREPRO_STORE "it is where results go, such as s3://bucket/prefix; tenants.yaml says it under instance.bucket.store"

    case "${MLREPRO_STORE:-}" in
    "" | s3://?* | gs://?* | az://?* | memory://*) ;;
    file://*) complain "MLREPRO_STORE is $MLREPRO_STORE: pods share no disk, so nobody else will find what is stored there" ;;
    *)
        complain "MLREPRO_STORE is $MLREPRO_STORE, which is no place: write it like s3://bucket/prefix"
        missing=1
        ;;
    esac

    case "${MLREPRO_EXECUTOR:-}" in
    "" | kubernetes) ;;
    *)
        complain "MLREPRO_EXECUTOR is $MLREPRO_EXECUTOR: set it to kubernetes, or leave it out"
        missing=1
        ;;
    esac

    # a run gets the instance's settings as an argument (a step gets them compressed): they name the variable
    case "$*" in
    *DAGSTER_PG_PASSWORD*)
        need DAGSTER_PG_PASSWORD "the secret with the key postgresql-password is not in this namespace, or not the launcher's postgres_password_secret"
        ;;
    esac

    case "$*" in
    *"api grpc"* | *"code-server start"*)
        case " $* " in
        *" -m "* | *" --module-name "* | *" -f "* | *" --python-file "* | *" -a "* | *" --package-name "*) ;;
        *)
            complain "nothing says what the code server is to load: give -m team.definitions (code_locations[].args in tenants.yaml)"
            missing=1
            ;;
        esac
        ;;
    esac

    if [ "$*" = "mlrepro code-server" ]; then
        need MLREPRO_CODE_LOCATION "it is the code location whose bundles are served; or give -m team.definitions to dagster api grpc (code_locations[].args in tenants.yaml)"
    fi

    if [ "$missing" -ne 0 ]; then
        exit 78
    fi

    mkdir -p "$DAGSTER_HOME" 2>/dev/null || true
    if [ ! -w "$DAGSTER_HOME" ]; then
        complain "DAGSTER_HOME, $DAGSTER_HOME, can't be written by user $(id -u): set fsGroup, or mount an emptyDir there"
        exit 73
    fi

    if [ "$(id -u)" = "0" ]; then
        complain "running as root: tenants' namespaces refuse that (runAsNonRoot), so it works only outside of them"
    fi
fi

# what was submitted with a code bundle finds its code where the code server had it
if [ -n "${MLREPRO_BUNDLE:-}" ] && [ "$1" = "dagster" ]; then
    exec mlrepro exec "$@"
fi

exec "$@"
