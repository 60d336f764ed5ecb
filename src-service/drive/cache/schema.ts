/**
 * The database of one mount: tree, blob map, queue and request log in one SQLite file, so that one transaction covers
 * them all. Opened by the mount's worker alone. `user_version` is the format; it is raised by a migration here.
 *
 * Three views of one truth:
 * - `name` + `node` is the tree as the kernel sees it;
 * - `remote` is what the provider last confirmed, and where;
 * - what differs between them is what `queue` has to do.
 */
export const schemaVersion = 1

export const schema = `
-- Facts of the whole mount: boot_id, epoch of the kernel connection, clean shutdown, format of the blobs.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- A file, folder, link or special node; one row per version of a remote file. id = FUSE node id, never reused; 1 = root.
CREATE TABLE node (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  ino INTEGER NOT NULL,              -- st_ino: the id of the first version
  mode INTEGER NOT NULL,             -- st_mode: type and bits
  uid INTEGER NOT NULL,
  gid INTEGER NOT NULL,
  rdev INTEGER NOT NULL DEFAULT 0,
  nlink INTEGER NOT NULL,            -- files: names; folders: 2 + subfolders
  size INTEGER NOT NULL DEFAULT 0,
  atime_s INTEGER NOT NULL, atime_n INTEGER NOT NULL,
  mtime_s INTEGER NOT NULL, mtime_n INTEGER NOT NULL,
  ctime_s INTEGER NOT NULL, ctime_n INTEGER NOT NULL,
  target BLOB,                       -- symlinks
  content INTEGER NOT NULL DEFAULT 1, -- version of the bytes; raised before the first WRITE after a seal (clean, fsynced, being uploaded)
  attrs INTEGER NOT NULL DEFAULT 1,  -- version of mode, owner, times and xattrs
  generation INTEGER NOT NULL DEFAULT 0, -- of the blob file; 0 = nothing local
  hot INTEGER NOT NULL DEFAULT 0,    -- 1: size and mtime of this row may lag behind the blob file, which has them
  superseded INTEGER NOT NULL DEFAULT 0, -- 1: a newer version has the name; OPEN answers ESTALE
  pinned INTEGER NOT NULL DEFAULT 0,
  fault TEXT,                        -- why the state is error or conflict; NULL = well
  listed_at INTEGER NOT NULL DEFAULT 0,  -- folders: ms since 1970 of the last complete listing's begin; 0 = never (then: Unknown, not empty)
  changed_at INTEGER NOT NULL DEFAULT 0  -- folders: ms of our last confirmed change in it at the provider
);

-- A node has 0..n names (hard links; unlinked but open files). id doubles as READDIR offset; 1 and 2 are '.' and '..'.
CREATE TABLE name (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent INTEGER NOT NULL,
  name BLOB NOT NULL,
  node INTEGER NOT NULL,
  remote INTEGER,                    -- the remote row that this name is at the provider; NULL = not there yet
  UNIQUE (parent, name)
);
CREATE INDEX name_node ON name (node);
CREATE INDEX name_remote ON name (remote) WHERE remote IS NOT NULL;

-- One object at the provider, as last confirmed by a listing or by the answer to our own change.
CREATE TABLE remote (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  parent INTEGER NOT NULL,           -- node of the folder it lies in, at the provider
  name BLOB NOT NULL,                -- the provider's own name
  shown BLOB,                        -- the kernel's name for it, where that differs (twins); NULL = the same
  key TEXT,                          -- the provider's id, where it has ids
  type TEXT NOT NULL,                -- RemoteType
  size INTEGER NOT NULL,
  mtime_s INTEGER NOT NULL, mtime_n INTEGER NOT NULL,
  rev TEXT NOT NULL,
  node INTEGER NOT NULL,             -- whose bytes it holds
  content INTEGER NOT NULL,          -- node.content that it holds; 0 = not confirmed: an upload or move of unknown outcome may have made it
  attrs INTEGER NOT NULL             -- node.attrs that it holds; 0 = only a listing was seen, exact attributes are still to be asked for
);
CREATE UNIQUE INDEX remote_place ON remote (parent, name, (type = 'folder'));
CREATE INDEX remote_node ON remote (node);

-- Local bytes of a node: file <folder>/blobs/xx/<node>.<generation>. No row = nothing local.
CREATE TABLE blob (
  node INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  whole INTEGER NOT NULL,            -- 1: every byte is local
  present BLOB,                      -- bitmap of 64 KiB blocks: whole: those that take room (NULL = all); else: those that hold the base's bytes
  extents BLOB,                      -- dirty byte ranges, pairs of u64 LE [start, end); NULL = clean, or dirty and whole
  base_rev TEXT,                     -- clean: version of the bytes; dirty: version that the missing blocks must come from; NULL = dirty and whole
  base_size INTEGER NOT NULL DEFAULT 0,
  synced INTEGER NOT NULL DEFAULT 0, -- dirty: node.content covered by the last fdatasync (0 = none); clean: 1 if the presence map is covered
  synced_size INTEGER NOT NULL DEFAULT 0, -- dirty: bytes of the file that the last fdatasync covered
  bytes INTEGER NOT NULL DEFAULT 0,  -- local bytes, counted against the bound
  used_at INTEGER NOT NULL DEFAULT 0, -- ms, for LRU
  PRIMARY KEY (node, generation)
) WITHOUT ROWID;
CREATE INDEX blob_used ON blob (used_at) WHERE base_rev IS NOT NULL AND extents IS NULL;

-- What must still happen at the provider. One row per name to bring there, or per remote row to remove; re-used while it waits.
-- A row with neither ends the abandoned upload session in 'handle'.
CREATE TABLE queue (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- order
  name INTEGER UNIQUE,               -- name.id: make the provider agree with this name (create, contents, move, attributes)
  remote INTEGER UNIQUE,             -- remote.id: remove this object
  not_before INTEGER NOT NULL DEFAULT 0, -- ms; very large: until what it waits for has happened
  tries INTEGER NOT NULL DEFAULT 0,
  refusals INTEGER NOT NULL DEFAULT 0,   -- permanent-looking errors; parked at 5
  parked INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  sent INTEGER NOT NULL DEFAULT 0,   -- content version of the try in flight or of unknown outcome; 0 = none
  target INTEGER,                    -- of that try: the remote row that it makes or changes
  sent_size INTEGER NOT NULL DEFAULT 0, -- of that try: bytes and time, by which a probe knows it again
  sent_s INTEGER NOT NULL DEFAULT 0, sent_n INTEGER NOT NULL DEFAULT 0,
  handle TEXT                        -- resumable upload, with the version and the place it is for
);
CREATE INDEX queue_due ON queue (parked, not_before);
CREATE INDEX queue_target ON queue (target) WHERE target IS NOT NULL;

-- Answers of changes until the kernel has them.
CREATE TABLE request_log (id INTEGER PRIMARY KEY, errno INTEGER NOT NULL, reply BLOB NOT NULL);

CREATE TABLE xattr (node INTEGER NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (node, name)) WITHOUT ROWID;

-- Objects of a folder that cannot be shown as names; replaced by each listing.
CREATE TABLE hidden (folder INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (folder, name)) WITHOUT ROWID;

-- Dirty contents that a power loss left unproved, moved to quarantine/.
CREATE TABLE quarantine (id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL, file TEXT NOT NULL, size INTEGER NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL);

-- Ids 1 and 2 of names are '.' and '..'.
INSERT INTO sqlite_sequence (name, seq) VALUES ('name', 2);
`

/** Added since: made in databases that lack it. What an earlier version of the program does not know it leaves alone. */
export const additions = `
-- Names that our side of a conflict was given. Settled when the name is another one, or gone.
CREATE TABLE IF NOT EXISTS conflict (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name INTEGER NOT NULL,             -- name.id of our version
  mine BLOB NOT NULL,                -- the name it was given
  theirs BLOB NOT NULL,              -- the name it had, in the same folder
  at INTEGER NOT NULL                -- ms since 1970
);
CREATE INDEX IF NOT EXISTS node_pinned ON node (id) WHERE pinned = 1;
CREATE INDEX IF NOT EXISTS node_fault ON node (fault) WHERE fault IS NOT NULL;
`
