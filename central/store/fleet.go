package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gateagent/gate/wire"
)

// Live is what central last heard of a kiosk apart from results.
type Live struct {
	Kiosk   string
	Up      bool      // by presence and last will
	Since   time.Time // when Up last changed
	Session string
	Heard   time.Time // the last heartbeat, by central's clock
	Status  []byte    // as it came; nil when none
}

// SaveLive writes what was heard, so that a restart does not forget it.
func (s *Store) SaveLive(ctx context.Context, all []Live) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, l := range all {
			if _, err := tx.ExecContext(ctx, `INSERT INTO live(kiosk, up, since, session, heard_at, status) VALUES(?, ?, ?, ?, ?, ?)
				ON CONFLICT(kiosk) DO UPDATE SET up = excluded.up, since = excluded.since, session = excluded.session,
				heard_at = excluded.heard_at, status = excluded.status`,
				l.Kiosk, l.Up, ms(l.Since), l.Session, ms(l.Heard), l.Status); err != nil {
				return err
			}
		}
		return nil
	})
}

// LoadLive reads what was heard before.
func (s *Store) LoadLive(ctx context.Context) ([]Live, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT kiosk, up, since, session, heard_at, status FROM live")
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (Live, error) {
		var l Live
		var since, heard int64
		err := rows.Scan(&l.Kiosk, &l.Up, &since, &l.Session, &heard, &l.Status)
		l.Since, l.Heard = fromMS(since), fromMS(heard)
		return l, err
	})
}

// Result is one stored result.
type Result struct {
	ID       int64
	Kiosk    string
	Epoch    string
	Number   uint64
	Hash     []byte
	Body     []byte // as it came; empty when its time was over
	Record   []byte // what it says; nil when it cannot be read
	Facts    Facts
	Received time.Time
}

// Results lists stored results with an id above after that were received at
// since or later, oldest first; all kiosks when kiosk is empty.
func (s *Store) Results(ctx context.Context, kiosk string, after int64, since time.Time, limit int) ([]Result, error) {
	if kiosk == "" {
		return s.results(ctx, "id > ? AND received_at >= ? ORDER BY id LIMIT ?", after, ms(since), limit)
	}
	return s.results(ctx, "kiosk = ? AND id > ? AND received_at >= ? ORDER BY id LIMIT ?", kiosk, after, ms(since), limit)
}

// LatestResults lists the newest results of one kiosk, newest first.
func (s *Store) LatestResults(ctx context.Context, kiosk string, limit int) ([]Result, error) {
	return s.results(ctx, "kiosk = ? ORDER BY id DESC LIMIT ?", kiosk, limit)
}

func (s *Store) results(ctx context.Context, where string, args ...any) ([]Result, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, kiosk, epoch, number, hash, body, record, coalesce(kind, ''), coalesce(tx, ''),
		coalesce(outcome, ''), coalesce(reason, 0), received_at FROM results WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (Result, error) {
		var r Result
		var at int64
		err := rows.Scan(&r.ID, &r.Kiosk, &r.Epoch, &r.Number, &r.Hash, &r.Body, &r.Record, &r.Facts.Kind, &r.Facts.Tx, &r.Facts.Outcome, &r.Facts.Reason, &at)
		r.Received = fromMS(at)
		if r.Record == nil && len(r.Body) > 0 && !wire.IsSealed(r.Body) {
			r.Record = r.Body
		}
		return r, err
	})
}

// Tally counts one outcome with its first reason, or what is left over of an
// outcome.
type Tally struct {
	Kiosk   string
	Outcome string
	Reason  uint32
	Count   int64
	// Others is of how many outcomes and reasons this is the sum, where a kiosk
	// gave more than maxTallies; 0: it is one.
	Others int
}

// maxTallies bounds the outcomes and reasons that are counted apart of one
// kiosk: it can give any. An honest one gives dozens.
const maxTallies = 50

// Tallies counts decisions received since a time, by kiosk, outcome and first
// reason, most frequent first. What a kiosk gave beyond its maxTallies most
// frequent is summed up.
func (s *Store) Tallies(ctx context.Context, since time.Time) ([]Tally, error) {
	rows, err := s.read.QueryContext(ctx, `
		WITH each AS (SELECT kiosk, coalesce(outcome, '') AS outcome, coalesce(reason, 0) AS reason, count(*) AS n FROM results
			WHERE kind = 'decision' AND received_at >= ?1 GROUP BY 1, 2, 3),
		ranked AS (SELECT *, row_number() OVER (PARTITION BY kiosk ORDER BY n DESC, reason, outcome) > ?2 AS over FROM each)
		SELECT kiosk, CASE WHEN NOT over OR outcome IN (?3, ?4) THEN outcome ELSE ?5 END, CASE WHEN over THEN 0 ELSE reason END, sum(n), sum(over)
		FROM ranked GROUP BY 1, 2, 3, over ORDER BY over, 4 DESC, 3`, ms(since), maxTallies, wire.OutcomeAdmit, wire.OutcomeAbort, wire.OutcomeRefer)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (Tally, error) {
		var t Tally
		err := rows.Scan(&t.Kiosk, &t.Outcome, &t.Reason, &t.Count, &t.Others)
		return t, err
	})
}

// Head is how far the results of one kiosk and epoch have come.
type Head struct {
	Kiosk, Epoch string
	Number       uint64
	At           time.Time
}

// Heads lists the heads of a kiosk, the latest epoch first and most of them, and
// says how many there are.
func (s *Store) Heads(ctx context.Context, kiosk string, most int) (_ []Head, all int, err error) {
	if err := s.read.QueryRowContext(ctx, "SELECT count(*) FROM heads WHERE kiosk = ?", kiosk).Scan(&all); err != nil {
		return nil, 0, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT kiosk, epoch, number, at FROM heads WHERE kiosk = ? ORDER BY at DESC LIMIT ?", kiosk, most)
	if err != nil {
		return nil, 0, err
	}
	heads, err := collect(rows, func(rows *sql.Rows) (Head, error) {
		var h Head
		var at int64
		err := rows.Scan(&h.Kiosk, &h.Epoch, &h.Number, &at)
		h.At = fromMS(at)
		return h, err
	})
	return heads, all, err
}

// Stored counts the results of each kiosk, over all epochs.
func (s *Store) Stored(ctx context.Context) (map[string]uint64, error) {
	// total, since sum fails where numbers are too high.
	rows, err := s.read.QueryContext(ctx, "SELECT kiosk, CAST(total(number) AS INTEGER) FROM heads GROUP BY kiosk")
	if err != nil {
		return nil, err
	}
	stored := map[string]uint64{}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var kiosk string
		var n uint64
		err := rows.Scan(&kiosk, &n)
		stored[kiosk] = n
		return struct{}{}, err
	})
	return stored, err
}

// Conflicts counts the conflicting results that are kept of one kiosk.
func (s *Store) Conflicts(ctx context.Context, kiosk string) (n int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM conflicts WHERE kiosk = ?", kiosk).Scan(&n)
	return n, err
}

// Operator gives the stored password of an operator of the fleet page; empty
// when there is no such operator.
func (s *Store) Operator(ctx context.Context, name string) (string, error) {
	var p string
	err := s.read.QueryRowContext(ctx, "SELECT password FROM operators WHERE name = ?", name).Scan(&p)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return p, err
}

// HasOperators says whether there is any operator.
func (s *Store) HasOperators(ctx context.Context) (bool, error) {
	var n int
	err := s.read.QueryRowContext(ctx, "SELECT count(*) FROM operators").Scan(&n)
	return n > 0, err
}

// SetOperator stores an operator's password, already hashed. With first, it
// does so only while there is no operator at all, and says whether it did.
func (s *Store) SetOperator(ctx context.Context, name, hashed string, first bool, at time.Time) (done bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM operators").Scan(&n); err != nil || first && n > 0 {
			return err
		}
		done = true
		_, err := tx.ExecContext(ctx, `INSERT INTO operators(name, password, set_at) VALUES(?, ?, ?)
			ON CONFLICT(name) DO UPDATE SET password = excluded.password, set_at = excluded.set_at`, name, hashed, ms(at))
		return err
	})
	return done && err == nil, err
}
