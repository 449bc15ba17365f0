# Sourced by ./run and ./test: makes the project's own environment, once per change of pyproject.toml.
# Sets nothing outside the project folder. Usage: environment EXTRA
# EXTRA: run or dev, into .venv; airflow into .venv-airflow, because Airflow pins what the service is to choose itself.

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
            { echo "$candidate"; return 0; }
    done
    echo '需要 Python 3.11 或更新版本 · Python 3.11 or newer is needed' >&2
    return 1
}

environment() {
    extra=$1
    requirement=.
    [ "$extra" = run ] || requirement=".[$extra]"
    folder=.venv
    [ "$extra" != airflow ] || folder=.venv-airflow
    python=$(find_python) || return 1
    stamp=$folder/.installed-$extra
    want=$(cksum <pyproject.toml)
    if [ -x "$folder/bin/python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
        return 0
    fi
    echo "安装依赖到 $folder · Installing into $folder" >&2
    if [ ! -x "$folder/bin/python" ]; then
        "$python" -m venv "$folder" || {
            echo '无法创建虚拟环境 · Cannot make a virtual environment (on Debian: install python3-venv)' >&2
            return 1
        }
    fi
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$requirement" || return 1
    echo "$want" >"$stamp"
}
