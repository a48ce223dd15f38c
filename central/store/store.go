// Package store is central's database: who is enrolled, every result that
// kiosks sent, what did not fit, and what operators should see. SQLite in one
// file, WAL with synchronous=FULL: what a committed call wrote survives a
// power cut, and only then may it be acknowledged.
//
// Several processes may open it: the service, and the enrolment tool beside
// it.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "github.com/mattn/go-sqlite3" // registers the driver "sqlite3"
)

// FileName is the database inside central's state folder.
const FileName = "central.db"

// pageSize is a new database's. Results come in order, some kilobytes each:
// SQLite's own 4 KiB hold two of them and cost four times the calls.
const pageSize = 16 << 10

// checkpointBytes is after how much the log is copied into the database.
// SQLite's own choice of 1,000 small pages does that, with two syncs, several
// times a second while a fleet sends its backlog.
const checkpointBytes = 16 << 20

// schemaVersion is kept in PRAGMA user_version.
const schemaVersion = 4

// schema is that of version 1; upgrades lead on from there. Results are numbered with AUTOINCREMENT because SQLite otherwise
// reuses row ids; bodies are as they came, sealed; kind, tx, outcome and reason
// are read from those that can be read and are NULL in the others.
const schema = `
CREATE TABLE kiosks (
  name        TEXT PRIMARY KEY,
  request     BLOB NOT NULL,
  signing_key BLOB NOT NULL,
  broker      TEXT NOT NULL,
  list_keys   TEXT NOT NULL,
  added_at    INTEGER NOT NULL,
  revoked_at  INTEGER,
  revoked_why TEXT
) WITHOUT ROWID;
CREATE TABLE certificates (
  serial     TEXT PRIMARY KEY,
  kiosk      TEXT NOT NULL REFERENCES kiosks(name),
  issued_at  INTEGER NOT NULL,
  not_after  INTEGER NOT NULL,
  revoked_at INTEGER
) WITHOUT ROWID;
CREATE INDEX certificates_kiosk ON certificates(kiosk);
CREATE TABLE heads (
  kiosk  TEXT NOT NULL,
  epoch  TEXT NOT NULL,
  number INTEGER NOT NULL,
  chain  BLOB NOT NULL,
  at     INTEGER NOT NULL,
  PRIMARY KEY (kiosk, epoch)
) WITHOUT ROWID;
CREATE TABLE results (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  kiosk       TEXT NOT NULL,
  epoch       TEXT NOT NULL,
  number      INTEGER NOT NULL,
  hash        BLOB NOT NULL,
  chain       BLOB NOT NULL,
  body        BLOB NOT NULL,
  kind        TEXT,
  tx          TEXT,
  outcome     TEXT,
  reason      INTEGER,
  received_at INTEGER NOT NULL,
  UNIQUE (kiosk, epoch, number)
);
CREATE INDEX results_recent ON results(kiosk, id);
CREATE INDEX results_tally ON results(received_at, kiosk, outcome, reason) WHERE kind = 'decision';
CREATE TABLE conflicts (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  kiosk       TEXT NOT NULL,
  epoch       TEXT NOT NULL,
  number      INTEGER NOT NULL,
  hash        BLOB NOT NULL,
  prev        BLOB NOT NULL,
  body        BLOB NOT NULL,
  received_at INTEGER NOT NULL,
  UNIQUE (kiosk, epoch, number, hash, prev)
);
CREATE TABLE alarms (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  kiosk    TEXT NOT NULL,
  kind     TEXT NOT NULL,
  text     TEXT NOT NULL,
  count    INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at  INTEGER NOT NULL,
  seen_by  TEXT,
  seen_at  INTEGER
);
CREATE UNIQUE INDEX alarms_open ON alarms(kiosk, kind) WHERE seen_at IS NULL;
CREATE TABLE live (
  kiosk       TEXT PRIMARY KEY,
  up          INTEGER NOT NULL,
  since       INTEGER NOT NULL,
  session     TEXT NOT NULL,
  heard_at    INTEGER NOT NULL,
  status      BLOB
) WITHOUT ROWID;
CREATE TABLE operators (
  name     TEXT PRIMARY KEY,
  password TEXT NOT NULL,
  set_at   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
`

// upgrades lead from each version to the next. record is what was sealed in
// body, NULL where the body is in clear, cannot be opened or is expired; head
// carries the kiosk's signature over the newest batch, a checkpoint. signing_keys
// are all that a kiosk ever had, and when each counted: what it signed is proven
// by the key of its time. losses are what somebody accepted as lost.
var upgrades = [...]string{`
ALTER TABLE results ADD COLUMN record BLOB;
ALTER TABLE results ADD COLUMN unreadable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE results ADD COLUMN delete_at INTEGER;
CREATE INDEX results_unreadable ON results(kiosk) WHERE unreadable = 1;
CREATE INDEX results_delete ON results(delete_at) WHERE delete_at IS NOT NULL;
ALTER TABLE heads ADD COLUMN first INTEGER;
ALTER TABLE heads ADD COLUMN sig BLOB;
`, `
CREATE TABLE signing_keys (
  kiosk    TEXT NOT NULL,
  key      BLOB NOT NULL,
  from_at  INTEGER NOT NULL,
  until_at INTEGER,
  PRIMARY KEY (kiosk, key)
) WITHOUT ROWID;
INSERT INTO signing_keys(kiosk, key, from_at, until_at) SELECT name, signing_key, added_at, revoked_at FROM kiosks;
`, `
CREATE TABLE losses (
  kiosk TEXT NOT NULL,
  epoch TEXT NOT NULL,
  first INTEGER NOT NULL,
  last  INTEGER NOT NULL,
  chain BLOB NOT NULL,
  at    INTEGER NOT NULL,
  PRIMARY KEY (kiosk, epoch, first)
) WITHOUT ROWID;
`}

// Store is the opened database. write is one connection, read several that
// cannot write.
type Store struct {
	write, read *sql.DB
	path        string
}

// Open opens the database in central's state folder and makes it on first
// use.
func Open(ctx context.Context, dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("central's state folder: %w", err)
	}
	s := &Store{path: filepath.Join(dir, FileName)}
	err := s.make(ctx)
	if err != nil {
		return nil, fmt.Errorf("central's database: %w", err)
	}
	if s.write, err = open(s.path, "_txlock=immediate", 1); err != nil {
		return nil, err
	}
	if err = s.setCheckpoint(ctx); err == nil {
		err = s.migrate(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("central's database %s: %w", s.path, err), s.write.Close())
	}
	if s.read, err = open(s.path, "_query_only=true", 4); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	return s, nil
}

// make makes an empty database where there is none. Its pages get their size
// before it has a log: SQLite cannot change that later.
func (s *Store) make(ctx context.Context) error {
	// SQLite would make the file readable by others.
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil || st.Size() > 0 {
		return err
	}
	db, err := sql.Open("sqlite3", address(s.path)+"?_synchronous=FULL&_busy_timeout=10000")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA page_size = %d; VACUUM", pageSize))
	return errors.Join(err, db.Close())
}

// setCheckpoint goes by the size of the pages, which older databases have
// smaller.
func (s *Store) setCheckpoint(ctx context.Context) error {
	var size int
	if err := s.write.QueryRowContext(ctx, "PRAGMA page_size").Scan(&size); err != nil {
		return err
	}
	_, err := s.write.ExecContext(ctx, fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", checkpointBytes/max(size, 512)))
	return err
}

func address(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

func open(path, more string, conns int) (*sql.DB, error) {
	dsn := address(path) + "?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000&_foreign_keys=true&_secure_delete=true&_stmt_cache_size=64&" + more
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, fmt.Errorf("central's database %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func (s *Store) migrate(ctx context.Context) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		var have int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
			return err
		}
		if have == schemaVersion {
			return nil
		}
		if have < 0 || have > schemaVersion {
			return fmt.Errorf("it has schema %d, this program knows %d: use the release that wrote it, or a newer one", have, schemaVersion)
		}
		if have == 0 {
			if _, err := tx.ExecContext(ctx, schema); err != nil {
				return err
			}
			have = 1
		}
		for _, up := range upgrades[have-1:] {
			if _, err := tx.ExecContext(ctx, up); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
		return err
	})
}

// inTx runs f in one immediate transaction.
func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone drops the error of rolling back a transaction that has ended
// because its context did.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// Close closes the database.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// Setting reads one setting; empty when it was never set.
func (s *Store) Setting(ctx context.Context, key string) (string, error) {
	var v string
	err := s.read.QueryRowContext(ctx, "SELECT value FROM settings WHERE key = ?", key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return v, err
}

// SetSetting writes one setting.
func (s *Store) SetSetting(ctx context.Context, key, value string) error {
	_, err := s.write.ExecContext(ctx, `INSERT INTO settings(key, value) VALUES(?, ?)
		ON CONFLICT(key) DO UPDATE SET value = excluded.value`, key, value)
	return err
}

// ms and fromMS keep times as milliseconds since 1970.
func ms(t time.Time) int64 { return t.UnixMilli() }

func fromMS(v int64) time.Time { return time.UnixMilli(v).UTC() }

func fromNullMS(v sql.NullInt64) time.Time {
	if !v.Valid {
		return time.Time{}
	}
	return fromMS(v.Int64)
}
