package offline

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mattn/go-sqlite3"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// rescueReport says what could be saved of a damaged database.
type rescueReport struct {
	Kiosk        string `json:"kiosk"`
	Epoch        string `json:"epoch"`
	Acknowledged uint64 `json:"acknowledged"` // by central, as the database said, or Doubtful
	Last         uint64 `json:"last"`         // newest result that the database knew
	// Saved results follow on the acknowledged ones without a gap and are
	// sent; Stranded ones are whole but lie behind a gap, so that the chain
	// does not prove them; Unreadable ones are gone.
	Saved      uint64 `json:"saved"`
	Stranded   uint64 `json:"stranded"`
	Unreadable uint64 `json:"unreadable"`
	// Doubtful ones come before the first that is readable, of a database that
	// does not say any more what was acknowledged: deleted when central had
	// them, or gone.
	Doubtful uint64 `json:"doubtful,omitempty"`
	// EndUnknown: whether results came after Last cannot be read.
	EndUnknown bool   `json:"end_unknown,omitempty"`
	Problem    string `json:"problem,omitempty"` // why nothing could be read
}

// missing says whether results cannot be sent.
func (r rescueReport) missing() bool {
	return r.Stranded+r.Unreadable+r.Doubtful > 0 || r.Problem != ""
}

// rescue copies what can be read of the damaged database in a folder. It
// writes nothing into the database itself. After an error nothing of it is
// left, and it may be tried again; also after a crash.
func rescue(ctx context.Context, cfg Config, folder string) (rescueReport, error) {
	if err := ctx.Err(); err != nil {
		return rescueReport{}, err
	}
	if err := clearRescue(folder); err != nil {
		return rescueReport{}, err
	}
	if err := roomForRescue(cfg, folder); err != nil {
		return rescueReport{}, err
	}
	r := &rescuer{cfg: cfg, folder: folder, rep: rescueReport{Kiosk: cfg.Kiosk}}
	err := r.begin(ctx)
	switch {
	case isDamage(err):
		r.rep.Problem, err = err.Error(), nil
	case err == nil:
		err = r.copyAll(ctx)
	}
	if err = errors.Join(err, ctx.Err(), r.close()); err != nil {
		return rescueReport{}, errors.Join(err, clearRescue(folder))
	}
	if r.rep.Saved > 0 {
		err = durable.Rename(filepath.Join(folder, savingFolder), filepath.Join(folder, savedFolder))
	} else {
		err = os.RemoveAll(filepath.Join(folder, savingFolder))
	}
	if err != nil {
		return rescueReport{}, err
	}
	return r.rep, writeReport(folder, r.rep)
}

// clearRescue removes what a rescue that did not end has written.
func clearRescue(folder string) error {
	var err error
	for _, name := range []string{savingFolder, savedFolder, strandedName} {
		err = errors.Join(err, os.RemoveAll(filepath.Join(folder, name)))
	}
	return err
}

// roomForRescue refuses to begin a copy that would leave no room for new
// results.
func roomForRescue(cfg Config, folder string) error {
	free, _, err := durable.Space(folder)
	if err != nil {
		return err
	}
	need := max(cfg.MinFree, 0)
	for _, name := range []string{dbName, dbName + "-wal", dbName + "-wal"} { // a bad log is copied
		if info, err := os.Stat(filepath.Join(folder, name)); err == nil {
			need += info.Size()
		}
	}
	if free < need {
		return fmt.Errorf("%w: to save what it holds takes %d MiB and %d are free", ErrDiskFull, need>>20+1, free>>20)
	}
	return nil
}

// rescuer is one rescue.
type rescuer struct {
	cfg      Config
	folder   string
	from     *sql.DB
	scan     *pageScan // nil until it is needed
	noScan   bool      // the pages cannot be read
	to       *database // nil until something was saved
	tx       *sql.Tx
	rows     int // in tx
	stranded *os.File
	out      *bufio.Writer
	rep      rescueReport
	chain    []byte // at the newest saved result, or the acknowledged one; nil when not known
	gap      bool
	unsure   bool // what was acknowledged is not known, but as a lower bound
}

// copyAll reads the results one by one: a damaged page costs those that lie on
// it and no others.
func (r *rescuer) copyAll(ctx context.Context) error {
	if err := r.copyKept(ctx); err != nil {
		return err
	}
	for n := r.rep.Acknowledged + 1; n <= r.rep.Last; n++ {
		e, at, chain, err := r.row(ctx, n)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case isTransient(err):
			return err
		case err != nil:
			r.gap = true
			r.rep.Unreadable++
		case !r.gap && (r.chain == nil || bytes.Equal(r.chain, e.Prev)):
			r.chain = chain
			if err := r.save(ctx, e, at, chain); err != nil {
				return err
			}
			r.rep.Saved++
		default:
			r.gap = true
			if err := r.strand(e); err != nil {
				return err
			}
			r.rep.Stranded++
		}
	}
	return nil
}

// copyKept copies the acknowledged results that hang together with those that
// are not, in case central is restored from an older backup.
func (r *rescuer) copyKept(ctx context.Context) error {
	first := r.rep.Acknowledged + 1
	for follows := r.chain; first > 1 && follows != nil; first-- {
		e, _, chain, err := r.row(ctx, first-1)
		if isTransient(err) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if err != nil || !bytes.Equal(chain, follows) {
			break
		}
		follows = e.Prev
	}
	for n := first; n <= r.rep.Acknowledged; n++ {
		e, at, chain, err := r.row(ctx, n)
		if err == nil {
			err = r.save(ctx, e, at, chain)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// row reads one result and proves it in itself: by the database, or from its
// page where the way there is lost.
func (r *rescuer) row(ctx context.Context, number uint64) (e wire.Entry, at int64, chain []byte, err error) {
	var stored []byte
	err = r.from.QueryRowContext(ctx, `SELECT number, at, prev, hash, chain, body FROM result WHERE number = ?`, number).
		Scan(&e.Number, &at, &e.Prev, &e.Hash, &stored, &e.Body)
	if err == nil {
		if chain, err = r.prove(e, number, stored); err == nil {
			return e, at, chain, nil
		}
	}
	if isTransient(err) {
		return e, 0, nil, err
	}
	scan := r.scanned(ctx)
	if scan == nil {
		return e, 0, nil, err
	}
	if e, at, stored, err = scan.row(number); err != nil {
		return e, 0, nil, err
	}
	chain, err = r.prove(e, number, stored)
	return e, at, chain, err
}

func (r *rescuer) prove(e wire.Entry, number uint64, stored []byte) ([]byte, error) {
	chain, err := wire.ChainNext(r.cfg.Kiosk, r.rep.Epoch, number, e.Prev, e.Hash)
	if err == nil && (e.Number != number || !bytes.Equal(chain, stored) || !e.BodyFits()) {
		err = damage(fmt.Sprintf("result %d does not match its hashes", number))
	}
	return chain, err
}

// rescueStep is how many results are saved in one transaction.
const rescueStep = 1000

// save enters a result into the new database, which has the old epoch.
func (r *rescuer) save(ctx context.Context, e wire.Entry, at int64, chain []byte) error {
	if r.to == nil {
		db, err := openDB(ctx, filepath.Join(r.folder, savingFolder, dbName), r.cfg)
		if err != nil {
			return err
		}
		r.to = db
		if _, err := db.ExecContext(ctx, `UPDATE meta SET epoch = ?, acked = ? WHERE id = 1`, r.rep.Epoch, r.rep.Acknowledged); err != nil {
			return err
		}
	}
	if r.tx == nil {
		tx, err := r.to.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		r.tx, r.rows = tx, 0
	}
	if _, err := r.tx.ExecContext(ctx, `INSERT INTO result (number, at, prev, hash, chain, body) VALUES (?, ?, ?, ?, ?, ?)`,
		e.Number, at, e.Prev, e.Hash, chain, e.Body); err != nil {
		return err
	}
	if r.rows++; r.rows < rescueStep {
		return nil
	}
	tx := r.tx
	r.tx = nil
	return tx.Commit()
}

// strand writes a result that cannot be sent into a file.
func (r *rescuer) strand(e wire.Entry) error {
	if r.stranded == nil {
		f, err := os.OpenFile(filepath.Join(r.folder, strandedName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		r.stranded, r.out = f, bufio.NewWriter(f)
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = r.out.Write(append(line, '\n'))
	return err
}

// close ends the files that were written, on disk.
func (r *rescuer) close() error {
	var err error
	if r.tx != nil {
		err = r.tx.Commit()
	}
	if r.to != nil {
		err = errors.Join(err, r.to.Close())
	}
	if r.stranded != nil {
		err = errors.Join(err, r.out.Flush(), r.stranded.Sync(), r.stranded.Close())
	}
	if r.scan != nil {
		err = errors.Join(err, r.scan.close())
	}
	if r.from != nil {
		_ = r.from.Close() // damaged as it is, it may fail
	}
	return err
}

// openDamaged opens a database that may be damaged, for reading alone.
func openDamaged(path string, cfg Config) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return newPool(connector{&sqlite3.SQLiteDriver{}, dataSource(path, cfg) + "&_query_only=true"}), nil
}
