#!/usr/bin/env bash
# Builds what is out of date, starts N nodes (20 without N) by the hostfile beside this script, and opens the shell.
# Usage: ./run.sh [N] [DOTFILE] [further options of dmalloc up]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
nodes=20
if [[ "${1:-}" =~ ^-?[0-9]+$ ]]; then
	nodes=$1
	shift
elif [[ -n "${1:-}" && "${1:0:1}" != - && ! -e "$1" ]]; then
	echo "run.sh: $1 is neither a number of nodes nor a DOT file; usage: ./run.sh [N] [DOTFILE]" >&2
	exit 2
fi
command -v go >/dev/null || { echo "run.sh: Go is not installed; see README.md" >&2; exit 3; }
if [[ ! -x bin/dmalloc ]]; then
	echo "run.sh: building (the first build compiles SQLite and takes a minute or two)" >&2
fi
mkdir -p bin
go build -trimpath -o bin/dmalloc ./cmd/dmalloc || { echo "run.sh: the build failed" >&2; exit 3; }
exec ./bin/dmalloc up -n "$nodes" --hostfile hostfile "$@"
