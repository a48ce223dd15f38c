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
	"strings"

	"github.com/mattn/go-sqlite3"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// Names inside a folder that was set aside.
const (
	reportName   = "report.json"    // what could be saved; there when the rescue is over
	savedFolder  = "saved"          // results to be sent under their old epoch
	savingFolder = "saving"         // the same, unfinished
	sentFolder   = "sent"           // the same, acknowledged
	unsentFolder = "unsent"         // the same, which central cannot take
	epochName    = "epoch"          // as text, beside the database while it is in use
	strandedName = "stranded.jsonl" // results behind a gap, for whoever repairs it by hand
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
	Problem  string `json:"problem,omitempty"` // why nothing could be read
}

// missing says whether results cannot be sent.
func (r rescueReport) missing() bool {
	return r.Stranded+r.Unreadable+r.Doubtful > 0 || r.Problem != ""
}

// rescue copies what can be read of the damaged database in a folder. It
// writes nothing into the database itself, and may be repeated after a crash.
func rescue(ctx context.Context, cfg Config, folder string) (rescueReport, error) {
	saving := filepath.Join(folder, savingFolder)
	if err := errors.Join(os.RemoveAll(saving), os.RemoveAll(filepath.Join(folder, strandedName))); err != nil {
		return rescueReport{}, err
	}
	r := &rescuer{cfg: cfg, folder: folder, rep: rescueReport{Kiosk: cfg.Kiosk}}
	if err := r.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return rescueReport{}, errors.Join(ctx.Err(), r.close())
		}
		r.rep.Problem = err.Error()
	} else if err := r.copyAll(ctx); err != nil {
		return rescueReport{}, errors.Join(err, r.close())
	}
	if err := r.close(); err != nil {
		return rescueReport{}, err
	}
	if r.rep.Saved > 0 {
		if err := durable.Rename(saving, filepath.Join(folder, savedFolder)); err != nil {
			return rescueReport{}, err
		}
	}
	return r.rep, writeReport(folder, r.rep)
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
	unsure   bool // what was acknowledged is not known
}

// begin finds out where the damaged database stands.
func (r *rescuer) begin(ctx context.Context) error {
	badLog, err := keepLog(r.folder)
	if err != nil {
		return err
	}
	db, err := openDamaged(filepath.Join(r.folder, dbName), r.cfg)
	if err != nil {
		return err
	}
	r.from = db
	var kiosk string
	if err := db.QueryRowContext(ctx, `SELECT kiosk, epoch, acked FROM meta WHERE id = 1`).Scan(&kiosk, &r.rep.Epoch, &r.rep.Acknowledged); err != nil {
		if err := r.beginFromPages(ctx); err != nil {
			return err
		}
	}
	// Either may be damaged alone.
	var seq, newest uint64
	_ = db.QueryRowContext(ctx, `SELECT seq FROM sqlite_sequence WHERE name = 'result'`).Scan(&seq)
	_ = db.QueryRowContext(ctx, `SELECT max(number) FROM result`).Scan(&newest)
	if badLog || seq == 0 || newest == 0 || r.tooMany(seq) {
		if scan := r.scanned(); scan != nil {
			for n := range scan.rows {
				newest = max(newest, n)
			}
		}
	}
	r.rep.Last = max(seq, newest)
	if r.tooMany(r.rep.Last) {
		r.rep.Last = newest
	}
	if r.rep.Last == 0 || r.tooMany(r.rep.Last) {
		return errors.New("how many results it holds cannot be read")
	}
	r.settleEpoch(ctx)
	if wire.CheckEpoch(r.rep.Epoch) != nil {
		return errors.New("its epoch cannot be read")
	}
	if r.unsure {
		r.startAtFirst(ctx)
	}
	if r.rep.Acknowledged > r.rep.Last {
		r.rep.Acknowledged = 0 // not to be believed: central drops what it has
	}
	if r.rep.Acknowledged == 0 {
		r.chain = wire.ChainStart()
	} else if _, _, chain, err := r.row(ctx, r.rep.Acknowledged); err == nil {
		r.chain = chain
	}
	return nil
}

// beginFromPages is for a database that cannot even say its epoch. What was
// acknowledged is in the table acked too, whose newest row has the number of
// meta.
func (r *rescuer) beginFromPages(ctx context.Context) error {
	scan := r.scanned()
	if scan == nil || len(scan.numbers()) == 0 {
		return errors.New("neither its epoch nor any result can be read")
	}
	if r.rep.Epoch, r.rep.Acknowledged = scan.epoch, scan.acked; r.rep.Epoch != "" {
		return nil
	}
	switch err := r.from.QueryRowContext(ctx, `SELECT coalesce(max(number), 0) FROM acked`).Scan(&r.rep.Acknowledged); {
	case err == nil:
	case scan.steps > 0:
		r.rep.Acknowledged = scan.stepped
	default:
		r.unsure = true
		r.rep.Acknowledged = scan.numbers()[0] - 1
	}
	return nil
}

// startAtFirst has all sent from the first result that is proven on: central
// drops what it has.
func (r *rescuer) startAtFirst(ctx context.Context) {
	for _, n := range r.scan.numbers() {
		if _, _, _, err := r.row(ctx, n); err == nil {
			r.rep.Acknowledged, r.rep.Doubtful = n-1, n-1
			return
		}
	}
}

// settleEpoch chooses among what the database and the file beside it call its
// epoch: the chain of a result proves one of them.
func (r *rescuer) settleEpoch(ctx context.Context) {
	text, err := os.ReadFile(filepath.Join(r.folder, epochName))
	other := strings.TrimSpace(string(text))
	if err != nil || wire.CheckEpoch(other) != nil || other == r.rep.Epoch {
		return
	}
	own := r.rep.Epoch
	for n := r.rep.Last; n > 0 && n+1000 > r.rep.Last; n-- {
		r.rep.Epoch = own
		if _, _, _, err := r.row(ctx, n); err == nil {
			return
		}
		r.rep.Epoch = other
		if _, _, _, err := r.row(ctx, n); err == nil {
			return
		}
	}
	r.rep.Epoch = own
}

// tooMany says that a number cannot be: the files are too small for so many.
func (r *rescuer) tooMany(last uint64) bool {
	const leastRow = 3*wire.HashSize + 20
	var size int64
	for _, name := range []string{dbName, dbName + "-wal", keptLogName} {
		if info, err := os.Stat(filepath.Join(r.folder, name)); err == nil {
			size += info.Size()
		}
	}
	return last > r.rep.Acknowledged && last-r.rep.Acknowledged > uint64(size/leastRow)
}

// scanned gives what the pages hold, looked through once; nil when they cannot
// be read.
func (r *rescuer) scanned() *pageScan {
	if r.scan == nil && !r.noScan {
		scan, err := scanPages(r.folder)
		if err != nil {
			r.noScan = true
			return nil
		}
		r.scan = scan
	}
	return r.scan
}

// copyAll reads the results one by one: a damaged page costs those that lie on
// it and no others.
func (r *rescuer) copyAll(ctx context.Context) error {
	for n := r.rep.Acknowledged + 1; n <= r.rep.Last; n++ {
		e, at, chain, err := r.row(ctx, n)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
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
	scan := r.scanned()
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
