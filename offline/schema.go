package offline

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3"

	"gateagent/internal/durable"
)

const (
	// The database has a folder of its own, so that it and its log are set
	// aside by one rename.
	dbFolder      = "outbox"
	dbName        = "outbox.db"
	applicationID = 0x474f4231 // "GOB1": a file of another program is not opened
	schemaVersion = 2
)

// schema of the database. The newest acknowledged row is never deleted: the
// next one follows on its chain hash.
const schema = `
CREATE TABLE meta (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	kiosk   TEXT    NOT NULL,
	epoch   TEXT    NOT NULL,
	created INTEGER NOT NULL,
	acked   INTEGER NOT NULL DEFAULT 0
) STRICT;
-- AUTOINCREMENT: a number is never used twice, also after deletion.
CREATE TABLE result (
	number INTEGER PRIMARY KEY AUTOINCREMENT,
	at     INTEGER NOT NULL, -- ms, as the record says
	prev   BLOB    NOT NULL, -- chain hash before
	hash   BLOB    NOT NULL, -- of body
	chain  BLOB    NOT NULL, -- chain hash at number
	body   BLOB    NOT NULL
) STRICT;
` + openTable + `
-- The number acknowledged at the end of each step of time: decides how long
-- rows stay.
CREATE TABLE acked (
	step   INTEGER PRIMARY KEY,
	number INTEGER NOT NULL
) STRICT;
`

// openTable has one page to write for each record and no index: memory knows
// the numbers.
const openTable = `
-- What awaits a second record: an admission its passage, a referral its
-- resolution. body is the part of the decision that staff need.
CREATE TABLE open_tx (
	number INTEGER PRIMARY KEY, -- of the decision; below 0 when that lies in a damaged database
	tx     TEXT    NOT NULL,
	kind   TEXT    NOT NULL,
	body   BLOB    NOT NULL
) STRICT;`

// fromVersion1 brings a database of schema version 1 up to date.
const fromVersion1 = `
DROP INDEX open_by_kind;
ALTER TABLE open_tx RENAME TO open_before;` + openTable + `
INSERT INTO open_tx (number, tx, kind, body) SELECT iif(number > 0, number, -rowid), tx, kind, body FROM open_before;
DROP TABLE open_before;
PRAGMA user_version=2;`

// appending takes a record with what it changes in the open transactions: one
// statement, so one transaction and one way into SQLite. It belongs to the
// connection and is not in the file.
const appending = `
CREATE TEMP VIEW appending (number, at, prev, hash, chain, body, ends, falls, tx, kind, open)
	AS SELECT 0, 0, x'', x'', x'', x'', 0, 0, '', '', x'' WHERE 0;
CREATE TEMP TRIGGER append INSTEAD OF INSERT ON appending BEGIN
	INSERT INTO result (number, at, prev, hash, chain, body)
		VALUES (NEW.number, NEW.at, NEW.prev, NEW.hash, NEW.chain, NEW.body);
	DELETE FROM open_tx WHERE number = NEW.ends;
	DELETE FROM open_tx WHERE number = NEW.falls;
	INSERT INTO open_tx (number, tx, kind, body)
		SELECT NEW.number, NEW.tx, NEW.kind, NEW.open WHERE NEW.kind IS NOT NULL;
END;`

// connector opens connections without registering a driver for the process.
type connector struct {
	driver *sqlite3.SQLiteDriver
	dsn    string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.driver }

// pragmas are set on every connection and then read back: the driver is built
// with synchronous=NORMAL for WAL, which loses committed rows in a power cut.
// Exclusive locking is asked for in the DSN too, since the driver reads the
// file before it calls us, and only a file that was never read otherwise keeps
// the index of its log in memory: no shared memory file that needs disk space.
var pragmas = []struct{ name, set, want string }{
	{"locking_mode", "EXCLUSIVE", "exclusive"},
	{"synchronous", "FULL", "2"}, // for the first write as well, that of the next line
	{"journal_mode", "WAL", "wal"},
	{"synchronous", "FULL", "2"},
	{"trusted_schema", "OFF", "0"},
	{"cell_size_check", "ON", "1"},
	{"journal_size_limit", "8388608", "8388608"},
	{"temp_store", "MEMORY", "2"},
}

func setPragmas(c *sqlite3.SQLiteConn) error {
	// Deleted rows give their space back in steps. It can be chosen in an
	// empty file alone, and in any other the statement would write.
	size, err := readPragma(c, "page_count")
	if err != nil {
		return err
	}
	if size == "0" {
		if _, err := c.Exec("PRAGMA auto_vacuum=INCREMENTAL", nil); err != nil {
			return fmt.Errorf("pragma auto_vacuum: %w", err)
		}
	}
	for _, p := range pragmas {
		if _, err := c.Exec("PRAGMA "+p.name+"="+p.set, nil); err != nil {
			return fmt.Errorf("pragma %s: %w", p.name, err)
		}
		got, err := readPragma(c, p.name)
		if err != nil {
			return err
		}
		if got != p.want {
			return fmt.Errorf("pragma %s is %s and should be %s", p.name, got, p.want)
		}
	}
	return nil
}

func readPragma(c *sqlite3.SQLiteConn, name string) (string, error) {
	rows, err := c.Query("PRAGMA "+name, nil)
	if err != nil {
		return "", fmt.Errorf("pragma %s: %w", name, err)
	}
	got := make([]driver.Value, 1)
	if err := errors.Join(rows.Next(got), rows.Close()); err != nil {
		return "", fmt.Errorf("pragma %s: %w", name, err)
	}
	return fmt.Sprint(got[0]), nil
}

// dataSource names the database to the driver.
func dataSource(path string, cfg Config) string {
	dsn := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String() + "?_locking_mode=EXCLUSIVE&_txlock=immediate&_stmt_cache_size=32&_busy_timeout=500"
	if cfg.vfs != "" {
		dsn += "&vfs=" + url.QueryEscape(cfg.vfs)
	}
	return dsn
}

// database is one connection. It holds the file exclusively, and one writer is
// what keeps numbers and chain in order.
type database struct {
	*sql.Conn
	pool *sql.DB
}

// newPool makes what opens that connection when it is asked to.
func newPool(c driver.Connector) *sql.DB {
	pool := sql.OpenDB(c)
	pool.SetMaxOpenConns(1)
	return pool
}

// connect opens the connection, or closes the pool.
func connect(ctx context.Context, pool *sql.DB) (*database, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &database{conn, pool}, nil
}

// Close ends the connection.
func (d *database) Close() error { return errors.Join(d.Conn.Close(), d.pool.Close()) }

// transact runs fn in one transaction. It does what sql.Tx does without its
// goroutine, whose waking costs more than all of SQLite's own work here.
func (d *database) transact(ctx context.Context, fn func() error) error {
	if _, err := d.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := fn()
	if err == nil {
		_, err = d.ExecContext(ctx, `COMMIT`)
	}
	if err != nil {
		// Most failures have rolled back already; then this one fails.
		_, _ = d.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
	}
	return err
}

// openDB opens or creates the database file.
func openDB(ctx context.Context, path string, cfg Config) (*database, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// Made here and not by SQLite for its mode: the log takes the same.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	db, err := connect(ctx, newPool(connector{&sqlite3.SQLiteDriver{ConnectHook: setPragmas}, dataSource(path, cfg)}))
	if err != nil {
		return nil, err
	}
	err = createSchema(ctx, db, cfg.Kiosk, cfg.Now())
	if err == nil {
		_, err = db.ExecContext(ctx, appending) // after a renaming of tables, which it would follow
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if err := durable.SyncDir(dir); err != nil {
			return nil, errors.Join(err, db.Close())
		}
		if filepath.Base(dir) != dbFolder {
			break // the state folder itself
		}
	}
	return db, nil
}

// errForeign: the file says that it is none of ours.
var errForeign = errors.New("the file belongs to another program")

// maxVersion is above every version of the schema that there will be.
const maxVersion = 1000

// createSchema fills an empty database and refuses one of another program,
// version or kiosk.
func createSchema(ctx context.Context, db *database, kiosk string, now time.Time) error {
	var app, version, tables int
	err := db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM sqlite_schema)`).Scan(&app, &version, &tables)
	if err != nil {
		return err
	}
	if app == 0 && version == 0 && tables == 0 {
		return fillSchema(ctx, db, kiosk, now)
	}
	if app != applicationID {
		return fmt.Errorf("%w (application id %#x); move it away", errForeign, app)
	}
	if version == 1 {
		return db.transact(ctx, func() error {
			_, err := db.ExecContext(ctx, fromVersion1)
			return err
		})
	}
	if version < 1 || version > maxVersion {
		return fmt.Errorf("%w (schema version %d); move it away", errForeign, version)
	}
	if version != schemaVersion {
		return fmt.Errorf("the file has schema version %d and this agent knows %d; install a newer agent", version, schemaVersion)
	}
	return nil
}

func fillSchema(ctx context.Context, db *database, kiosk string, now time.Time) error {
	epoch := make([]byte, 16)
	_, _ = rand.Read(epoch) // never fails (crypto/rand)
	return db.transact(ctx, func() error {
		_, err := db.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d;", applicationID, schemaVersion))
		if err == nil {
			_, err = db.ExecContext(ctx, `INSERT INTO meta (id, kiosk, epoch, created) VALUES (1, ?, ?, ?)`, kiosk, hex.EncodeToString(epoch), now.UnixMilli())
		}
		return err
	})
}
