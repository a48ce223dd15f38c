package store

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	"gateagent/gate/wire"
)

// maxConflicts bounds what is kept of one kiosk's conflicting results. Past
// it the alarm still counts them.
const maxConflicts = 10_000

// Batch is one batch whose signature has been verified.
type Batch struct {
	*wire.Batch
	SigningKey []byte  // the key it was verified with
	Facts      []Facts // one for each entry
	Received   time.Time
	// AcceptLoss: what is missing before the batch is lost, and somebody said so.
	AcceptLoss bool
}

// Facts are what the fleet page shows of a result; empty where the body
// cannot be read here.
type Facts struct {
	Kind, Tx, Outcome string
	Reason            uint32
	// Record is what was sealed in the body; nil when that is in clear.
	Record []byte
	// Unreadable: the body is sealed and cannot be opened, or came empty.
	Unreadable bool
	// DeleteAt is when the record must be gone; zero: no such time.
	DeleteAt time.Time
}

// Verdict is what became of one batch.
type Verdict struct {
	// Number and Chain are the highest contiguous result that is committed;
	// they are to be acknowledged when Ack is set.
	Number uint64
	Chain  []byte
	Ack    bool
	New    int  // results stored
	Epoch  bool // they are the first of their epoch
	Repeat int  // true repeats dropped
	// Conflicts counts entries whose number is taken by another content or
	// that do not follow what is stored. Nothing of such a batch is
	// acknowledged, and nothing of it enters the results.
	Conflicts int
	// Unreadable counts stored results that cannot be opened.
	Unreadable int
	Lost       int  // results that are lost for good: see Batch.AcceptLoss
	Gap        bool // the batch begins beyond what is stored; nothing was kept
	Revoked    bool // the kiosk is revoked, unknown or has other keys by now
	// Err: this batch could not be stored, for a reason that is its own or lies
	// in what is stored of its kiosk. Nothing of it was kept or acknowledged.
	Err error
}

// Ingest stores batches in one transaction. When it returns without error
// everything it speaks of is on disk. A batch that cannot be stored keeps no
// other one out.
func (s *Store) Ingest(ctx context.Context, batches []Batch) ([]Verdict, error) {
	verdicts := make([]Verdict, len(batches))
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		// For a context that may end the driver starts a thread for each
		// statement; here the end is looked for between batches.
		work := context.WithoutCancel(ctx)
		in, err := newIntake(work, tx)
		if err != nil {
			return err
		}
		for i := range batches {
			if err := ctx.Err(); err != nil {
				return err
			}
			if verdicts[i], err = in.apart(work, &batches[i]); err != nil {
				return fmt.Errorf("store results of kiosk %s: %w", batches[i].Kiosk, err)
			}
		}
		return in.close()
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// intake holds the statements of one transaction.
type intake struct {
	tx     *sql.Tx
	one    *sql.Stmt // inserts a row
	many   *sql.Stmt // inserts manyRows
	stored *sql.Stmt

	begin, undo, keep *sql.Stmt // of one batch among the others
}

// resultColumns are those that a row of results begins with.
var resultColumns = [...]string{"kiosk", "epoch", "number", "hash", "chain", "body", "kind", "tx", "outcome", "reason", "received_at",
	"record", "unreadable", "delete_at"}

// manyRows is how many rows one statement inserts where there are so many.
const manyRows = 25

func insertRows(n int) string {
	row := "(?" + strings.Repeat(", ?", len(resultColumns)-1) + ")"
	return "INSERT INTO results(" + strings.Join(resultColumns[:], ", ") + ") VALUES" + row + strings.Repeat(", "+row, n-1)
}

func newIntake(ctx context.Context, tx *sql.Tx) (*intake, error) {
	in := &intake{tx: tx}
	for _, p := range []struct {
		to   **sql.Stmt
		text string
	}{{&in.one, insertRows(1)}, {&in.many, insertRows(manyRows)},
		{&in.stored, "SELECT hash, chain FROM results WHERE kiosk = ? AND epoch = ? AND number = ?"},
		{&in.begin, "SAVEPOINT batch"}, {&in.undo, "ROLLBACK TO batch"}, {&in.keep, "RELEASE batch"}} {
		var err error
		if *p.to, err = tx.PrepareContext(ctx, p.text); err != nil {
			return nil, err
		}
	}
	return in, nil
}

func (in *intake) close() error {
	return errors.Join(in.one.Close(), in.many.Close(), in.stored.Close(), in.begin.Close(), in.undo.Close(), in.keep.Close())
}

// apart stores a batch, or undoes what was stored of it; an error means all.
func (in *intake) apart(ctx context.Context, b *Batch) (Verdict, error) {
	if err := run(ctx, in.begin, nil); err != nil {
		return Verdict{}, err
	}
	v, err := in.batch(ctx, b)
	if err != nil {
		if !itsOwn(err) {
			return Verdict{}, err
		}
		v = Verdict{Err: fmt.Errorf("store results %d to %d of kiosk %s, epoch %s: %w", b.First, b.Last, b.Kiosk, b.Epoch, err)}
		if err := run(ctx, in.undo, nil); err != nil {
			return Verdict{}, errors.Join(v.Err, err)
		}
	}
	return v, run(ctx, in.keep, nil)
}

// itsOwn says whether an error lies in a batch or in the rows that it met: a
// number taken twice, a value that cannot be read. A disk that is full or
// fails, or a database that is damaged as a whole, concerns all.
func itsOwn(err error) bool {
	var lite sqlite3.Error
	switch {
	case errors.As(err, &lite):
		return slices.Contains([]sqlite3.ErrNo{sqlite3.ErrConstraint, sqlite3.ErrMismatch, sqlite3.ErrTooBig, sqlite3.ErrRange}, lite.Code)
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, sql.ErrTxDone),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	}
	return true
}

// insert writes rows; args are the values of one after the other.
func (in *intake) insert(ctx context.Context, args []any) error {
	for len(args) > 0 {
		stmt, n := in.one, len(resultColumns)
		if many := manyRows * len(resultColumns); len(args) >= many {
			stmt, n = in.many, many
		}
		if err := run(ctx, stmt, args[:n]); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

// run executes a statement that gives no rows as a query does: the driver
// then hands all values over in one call into C instead of one each.
func run(ctx context.Context, stmt *sql.Stmt, args []any) error {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		continue
	}
	return errors.Join(rows.Err(), rows.Close())
}

func (in *intake) batch(ctx context.Context, b *Batch) (Verdict, error) {
	var key []byte
	err := in.tx.QueryRowContext(ctx, "SELECT signing_key FROM kiosks WHERE name = ? AND revoked_at IS NULL", b.Kiosk).Scan(&key)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !bytes.Equal(key, b.SigningKey) {
		return Verdict{Revoked: true}, nil
	}
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Chain: wire.ChainStart()}
	err = in.tx.QueryRowContext(ctx, "SELECT number, chain FROM heads WHERE kiosk = ? AND epoch = ?", b.Kiosk, b.Epoch).Scan(&v.Number, &v.Chain)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Verdict{}, err
	}
	begins := err != nil                 // there is no head yet
	prev, err := b.PrevChain, error(nil) // where the chain stands before the batch; nil: nowhere
	switch {
	case b.First > v.Number+1 && b.AcceptLoss:
		err = in.lose(ctx, b, &v)
	case b.First > v.Number+1:
		prev = nil
	case b.First > 1:
		prev, err = in.before(ctx, b)
	}
	if err == nil && prev == nil {
		v.Gap, v.Ack = true, true // what is there is acknowledged; the kiosk sends on from it
		return v, nil
	}
	fits := false
	if err == nil {
		fits, err = in.follows(ctx, b, prev, v)
	}
	if err != nil {
		return Verdict{}, err
	}
	if !fits {
		return in.conflict(ctx, b, v)
	}
	v.Epoch = begins
	return in.extend(ctx, b, v)
}

// follows says whether every entry whose number is taken has the stored
// content and whether the batch hangs on the stored chain, which stands at prev
// before it.
func (in *intake) follows(ctx context.Context, b *Batch, prev []byte, v Verdict) (bool, error) {
	if !bytes.Equal(prev, b.PrevChain) {
		return false, nil
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Number == v.Number+1 {
			return bytes.Equal(e.Prev, v.Chain), nil
		}
		hash, _, err := in.at(ctx, b, e.Number)
		if errors.Is(err, sql.ErrNoRows) {
			continue // lost
		}
		if err != nil {
			return false, err
		}
		if !bytes.Equal(hash, b.Entries[i].Hash) {
			return false, nil
		}
	}
	return true, nil
}

func (in *intake) at(ctx context.Context, b *Batch, number uint64) (hash, chain []byte, err error) {
	err = in.stored.QueryRowContext(ctx, b.Kiosk, b.Epoch, int64(number)).Scan(&hash, &chain)
	return hash, chain, err
}

// extend stores the entries beyond the head. The batch was verified: the chain
// hash at an entry is what the next one names.
func (in *intake) extend(ctx context.Context, b *Batch, v Verdict) (Verdict, error) {
	v.Ack = true
	args := make([]any, 0, len(b.Entries)*len(resultColumns))
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Number <= v.Number {
			v.Repeat++
			continue
		}
		if !bytes.Equal(e.Prev, v.Chain) {
			return Verdict{}, fmt.Errorf("result %d does not follow on what is stored", e.Number)
		}
		chain := b.Chain
		if i+1 < len(b.Entries) {
			chain = b.Entries[i+1].Prev
		}
		var f Facts
		if i < len(b.Facts) {
			f = b.Facts[i]
		}
		args = append(args, b.Kiosk, b.Epoch, int64(e.Number), e.Hash, chain, e.Body,
			null(f.Kind), null(f.Tx), null(f.Outcome), sql.NullInt64{Int64: int64(f.Reason), Valid: f.Reason != 0},
			ms(b.Received), f.Record, f.Unreadable, sql.NullInt64{Int64: ms(f.DeleteAt), Valid: !f.DeleteAt.IsZero()})
		v.Number, v.Chain = e.Number, chain
		v.New++
		if f.Unreadable {
			v.Unreadable++
		}
	}
	if err := in.insert(ctx, args); err != nil {
		return Verdict{}, err
	}
	if v.New == 0 {
		return v, nil
	}
	// The last entry is stored by now, so the batch's signature is one over
	// the head.
	if _, err := in.tx.ExecContext(ctx, `INSERT INTO heads(kiosk, epoch, number, chain, at, first, sig) VALUES(?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT(kiosk, epoch) DO UPDATE SET number = excluded.number, chain = excluded.chain, at = excluded.at,
		first = excluded.first, sig = excluded.sig`,
		b.Kiosk, b.Epoch, int64(v.Number), v.Chain, ms(b.Received), int64(b.First), b.Sig); err != nil || v.Unreadable == 0 {
		return v, err
	}
	return v, raiseAlarm(ctx, in.tx, Alarm{Kiosk: b.Kiosk, Kind: AlarmUnreadable, First: b.Received, Text: fmt.Sprintf(
		"%d of the results %d to %d of epoch %s cannot be opened, or their time was over before they came: they are kept as they are", v.Unreadable, b.First, b.Last, b.Epoch)})
}

// conflict keeps the entries of a batch that contradicts what is stored,
// beside it, as evidence.
func (in *intake) conflict(ctx context.Context, b *Batch, v Verdict) (Verdict, error) {
	var kept int
	if err := in.tx.QueryRowContext(ctx, "SELECT count(*) FROM conflicts WHERE kiosk = ?", b.Kiosk).Scan(&kept); err != nil {
		return Verdict{}, err
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		hash, chain, err := in.at(ctx, b, e.Number)
		if err == nil && bytes.Equal(hash, e.Hash) {
			prevSame, err := wire.ChainNext(b.Kiosk, b.Epoch, e.Number, e.Prev, e.Hash)
			if err != nil {
				return Verdict{}, err
			}
			if bytes.Equal(prevSame, chain) {
				v.Repeat++
				continue
			}
		} else if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return Verdict{}, err
		}
		v.Conflicts++
		if kept >= maxConflicts {
			continue
		}
		if _, err := in.tx.ExecContext(ctx, `INSERT INTO conflicts(kiosk, epoch, number, hash, prev, body, received_at)
			VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			b.Kiosk, b.Epoch, int64(e.Number), e.Hash, e.Prev, e.Body, ms(b.Received)); err != nil {
			return Verdict{}, err
		}
		kept++
	}
	return v, raiseAlarm(ctx, in.tx, Alarm{Kiosk: b.Kiosk, Kind: AlarmConflict, First: b.Received, Text: fmt.Sprintf(
		"results %d to %d of epoch %s contradict what is stored: both are kept, nothing was acknowledged", b.First, b.Last, b.Epoch)})
}

func null(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }
