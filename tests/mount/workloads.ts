import { isProof } from '../support/random.ts'

/**
 * What people do on a drive, as shell scripts: `$M` is the mounted folder, `$T` a scratch folder on the local disk.
 * Each leaves a folder `$M/<name>` (if any) whose contents are compared with `$T/expected/<name>` from the remote, with an empty cache.
 */
export interface Workload {
  readonly name: string
  readonly script: string
  /** Seconds. */
  readonly limit: number
  /** Programs it needs; skipped with the reason if one is missing. */
  readonly needs?: readonly string[]
  /** Where it is run; both if not said. */
  readonly only?: 'local' | 'minio'
}

/** 5 GiB where there is time for it. */
const largeSize = isProof ? 5 * 2 ** 30 : 2 ** 30

export const workloads: readonly Workload[] = [
  {
    name: 'git',
    limit: 120,
    needs: ['git'],
    script: `
      export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
      git init -q "$T/source"
      for i in $(seq 1 200); do mkdir -p "$T/source/d$((i % 20))"; head -c $((RANDOM % 20000 + 10)) /dev/urandom > "$T/source/d$((i % 20))/f$i"; done
      git -C "$T/source" add . && git -C "$T/source" commit -qm one
      git clone -q "$T/source" "$M/git"
      git -C "$M/git" fsck --strict
      echo changed > "$M/git/d1/f1"; git -C "$M/git" commit -qam two
      git -C "$M/git" checkout -q -b branch && git -C "$M/git" mv d2 moved && git -C "$M/git" commit -qm three
      git -C "$M/git" gc -q && git -C "$M/git" fsck --strict
      test -z "$(git -C "$M/git" status --porcelain)"
      cp -a "$M/git" "$T/expected/git"`,
  },
  {
    name: 'sqlite',
    limit: 120,
    needs: ['sqlite3'],
    script: `
      mkdir "$M/sqlite"
      for mode in delete wal; do
        db="$M/sqlite/$mode.db"
        sqlite3 "$db" "pragma journal_mode=$mode; create table t(i integer primary key, x blob);" > /dev/null
        for i in $(seq 1 20); do sqlite3 "$db" "insert into t(x) values(randomblob(3000)); update t set x=randomblob(2000) where i%3=0;"; done
        test "$(sqlite3 "$db" 'pragma integrity_check; select count(*) from t;' | tr '\\n' ' ')" = 'ok 20 '
      done
      cp -a "$M/sqlite" "$T/expected/sqlite"`,
  },
  {
    name: 'tar',
    limit: 60,
    script: `
      mkdir -p "$T/tree/a/b" "$T/tree/empty"; head -c 3000000 /dev/urandom > "$T/tree/a/big"; echo hello > "$T/tree/a/b/small"
      : > "$T/tree/zero"; ln -s a/b/small "$T/tree/link"; ln "$T/tree/a/big" "$T/tree/hard"; chmod 700 "$T/tree/a/b"; chmod 640 "$T/tree/zero"
      touch -d '2001-02-03 04:05:06.789' "$T/tree/zero"
      tar -C "$T" -cf "$T/in.tar" tree
      mkdir "$M/tar"; tar -C "$M/tar" -xpf "$T/in.tar"
      tar -C "$M/tar" -df "$T/in.tar"
      tar -C "$M/tar" -cf "$T/out.tar" tree; mkdir "$T/back"; tar -C "$T/back" -xpf "$T/out.tar"
      diff -r --no-dereference "$T/tree" "$T/back/tree"
      mkdir "$T/expected/tar"; cp -a "$T/tree" "$T/expected/tar/"`,
  },
  {
    name: 'rsync',
    limit: 60,
    needs: ['rsync'],
    script: `
      mkdir -p "$T/from/x"; for i in $(seq 1 60); do head -c $((i * 531)) /dev/urandom > "$T/from/x/f$i"; done
      rsync -a "$T/from/" "$M/rsync/"
      moved="$(rsync -ai "$T/from/" "$M/rsync/")"; test -z "$moved" || { echo "second rsync moved: $moved"; exit 1; }
      cp -a "$T/from" "$T/expected/rsync"`,
  },
  {
    name: 'editors',
    limit: 60,
    script: `
      mkdir "$M/editors"; cd "$T"
      printf 'one\\n' > "$M/editors/plain.txt"
      # write a temporary file, rename it over the original
      printf 'two\\n' > "$M/editors/.plain.txt.tmp"; sync "$M/editors/.plain.txt.tmp"; mv "$M/editors/.plain.txt.tmp" "$M/editors/plain.txt"
      # vim with backupcopy=no: rename to a backup, write anew, remove the backup
      printf 'one\\n' > "$M/editors/vim.txt"; mv "$M/editors/vim.txt" "$M/editors/vim.txt~"; printf 'three\\n' > "$M/editors/vim.txt"; sync "$M/editors/vim.txt"; rm "$M/editors/vim.txt~"
      # LibreOffice: lock file, copy as backup, truncate and write in place
      printf 'one\\n' > "$M/editors/office.odt"; printf x > "$M/editors/.~lock.office.odt#"; cp "$M/editors/office.odt" "$M/editors/office.bak"
      printf 'four\\n' > "$M/editors/office.odt"; rm "$M/editors/office.bak" "$M/editors/.~lock.office.odt#"
      mkdir "$T/expected/editors"; printf 'two\\n' > "$T/expected/editors/plain.txt"; printf 'three\\n' > "$T/expected/editors/vim.txt"; printf 'four\\n' > "$T/expected/editors/office.odt"
      diff -r "$M/editors" "$T/expected/editors"`,
  },
  {
    name: 'mmap',
    limit: 60,
    needs: ['python3'],
    script: `
      mkdir "$M/mmap" "$T/expected/mmap"
      head -c 1000003 /dev/urandom > "$M/mmap/f"; cp "$M/mmap/f" "$T/expected/mmap/f"
      for f in "$M/mmap/f" "$T/expected/mmap/f"; do python3 - "$f" <<'P'
import mmap, sys
with open(sys.argv[1], 'r+b') as f:
    m = mmap.mmap(f.fileno(), 0)
    assert len(m) == 1000003
    m[5:10] = b'HELLO'; m[999990:1000003] = b'goodbye world'; m[500000] = 7
    m.flush(); m.close()
P
      done
      cmp "$M/mmap/f" "$T/expected/mmap/f"`,
  },
  {
    name: 'append',
    limit: 60,
    script: `
      mkdir "$M/append" "$T/expected/append"
      (for i in $(seq 1 300); do echo "one $i" >> "$M/append/log"; done) & (for i in $(seq 1 300); do echo "two $i" >> "$M/append/log"; done) & wait
      test "$(wc -l < "$M/append/log")" = 600
      grep '^one' "$M/append/log" | diff - <(for i in $(seq 1 300); do echo "one $i"; done)
      grep '^two' "$M/append/log" | diff - <(for i in $(seq 1 300); do echo "two $i"; done)
      cp -a "$M/append/log" "$T/expected/append/log"`,
  },
  {
    name: 'sparse',
    limit: 60,
    script: `
      mkdir "$M/sparse" "$T/expected/sparse"
      for d in "$M/sparse" "$T/expected/sparse"; do
        truncate -s 20M "$d/f"; printf middle | dd of="$d/f" bs=1 seek=10000000 conv=notrunc status=none
        truncate -s 15M "$d/f"; printf tail | dd of="$d/f" bs=1 seek=17000000 conv=notrunc status=none
        truncate -s 0 "$d/g"; truncate -s 5000 "$d/g"
      done
      cmp "$M/sparse/f" "$T/expected/sparse/f"; cmp "$M/sparse/g" "$T/expected/sparse/g"`,
  },
  {
    name: 'deep',
    limit: 60,
    script: `
      p=deep; for i in $(seq 1 60); do p="$p/level-$i"; done
      mkdir -p "$M/$p" "$T/expected/$p"; echo bottom | tee "$M/$p/file" > "$T/expected/$p/file"
      test "$(cat "$M/$p/file")" = bottom`,
  },
  {
    name: 'names',
    limit: 60,
    script: `
      mkdir "$M/names" "$T/expected/names"
      for d in "$M/names" "$T/expected/names"; do
        for n in 'with space' 'per%cent' 'plus+plus' 'hash#' 'and&' 'ques?tion' 'back\\slash' "quo'te" 'dou"ble' '.hidden' 'ünïcode' $'e\\u0301' 'semi;colon' '*star' '[x]' ' lead' '~tilde' '$dollar'; do printf '%s' "$n" > "$d/$n"; done
        n255="$(printf 'n%.0s' $(seq 1 255))"; echo long > "$d/$n255"
      done
      diff -r "$M/names" "$T/expected/names"`,
  },
  {
    name: 'renames',
    limit: 90,
    script: `
      mkdir -p "$M/renames/a/sub" "$M/renames/b"; for i in $(seq 1 30); do echo "$i" > "$M/renames/a/sub/f$i"; done
      exec 7>>"$M/renames/a/sub/open"; echo before >&7
      (for i in $(seq 1 20); do mv "$M/renames/a" "$M/renames/c"; mv "$M/renames/c" "$M/renames/a"; done) &
      (for i in $(seq 1 20); do mv "$M/renames/b" "$M/renames/d"; mv "$M/renames/d" "$M/renames/b"; done) & wait
      mv "$M/renames/a" "$M/renames/b/moved"; echo after >&7; exec 7>&-
      test "$(cat "$M/renames/b/moved/sub/open")" = $'before\\nafter'
      test "$(ls "$M/renames/b/moved/sub" | wc -l)" = 31
      cp -a "$M/renames" "$T/expected/renames"`,
  },
  {
    name: 'many',
    limit: 180,
    script: `
      mkdir "$M/many" "$T/expected/many"
      for d in "$M/many" "$T/expected/many"; do (cd "$d" && seq 1 20000 | xargs -n 5000 python3 -c 'import sys
for i in sys.argv[1:]:
    with open("file-" + i, "w") as f: f.write(i)'); done
      test "$(ls "$M/many" | wc -l)" = 20000
      test "$(ls -l "$M/many" | awk 'NR > 1 { n += $5 } END { print n }')" = "$(seq 1 20000 | tr -d '\\n' | wc -c)"`,
    needs: ['python3'],
  },
  {
    name: 'npm',
    only: 'local',
    limit: 180,
    needs: ['npm'],
    script: `
      mkdir "$M/npm"; cd "$M/npm"; printf '{"name":"x","version":"1.0.0","private":true}' > package.json
      npm install --no-audit --no-fund --ignore-scripts --loglevel=error eslint@10.15.0 >&2
      cd "$M/npm" && node -e 'import("eslint").then((m) => { if (typeof m.ESLint !== "function") process.exit(1) })'
      cd /; cp -a "$M/npm" "$T/expected/npm"`,
  },
  {
    name: 'large',
    only: 'minio',
    limit: 240,
    script: `
      mkdir "$M/large" "$T/expected/large"
      openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 0 -in /dev/zero 2>/dev/null | head -c ${largeSize} > "$M/large/f"
      test "$(stat -c %s "$M/large/f")" = ${largeSize}
      cp "$M/large/f" "$T/expected/large/f"`,
    needs: ['openssl'],
  },
]
