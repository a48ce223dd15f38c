package offline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gateagent/gate/wire"
)

// Kinds of open transactions.
const (
	openAdmission = "admission"
	openReferral  = "referral"
)

// maxReferrals bounds the referrals that wait for staff. The oldest fall off
// the desk, not out of the record.
const maxReferrals = 1000

// trackOpen keeps, in the transaction of the record itself, what still awaits
// a second record.
func trackOpen(ctx context.Context, tx *sql.Tx, rec wire.Record, number uint64) error {
	kind := openAdmission
	switch {
	case rec.Kind == wire.KindPassage:
	case rec.Kind == wire.KindResolution:
		kind = openReferral
	case rec.Kind == wire.KindDecision && rec.Decision.Outcome != wire.OutcomeAbort:
		return addOpen(ctx, tx, rec, number)
	default:
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM open_tx WHERE tx = ? AND kind = ?`, rec.Tx, kind)
	return err
}

func addOpen(ctx context.Context, tx *sql.Tx, rec wire.Record, number uint64) error {
	kind := openReferral
	if isAdmission(rec) {
		kind = openAdmission
	}
	// Only what the desk shows, since this lies in clear where the record
	// itself is sealed.
	open := wire.Record{
		V: rec.V, Kind: rec.Kind, Tx: rec.Tx, Gate: rec.Gate, At: rec.At, ClockTrusted: rec.ClockTrusted,
		Decision: &wire.Decision{Outcome: rec.Decision.Outcome, Reasons: rec.Decision.Reasons},
	}
	body, err := open.Encode()
	if err != nil {
		return err
	}
	insert := `INSERT INTO open_tx (tx, kind, number, body) VALUES (?, ?, ?, ?)`
	if kind == openReferral {
		// A referral may follow an admission that was stored too late for
		// anybody to be admitted on it.
		insert = `INSERT OR REPLACE INTO open_tx (tx, kind, number, body) VALUES (?, ?, ?, ?)`
	}
	if _, err := tx.ExecContext(ctx, insert, rec.Tx, kind, number, body); err != nil {
		return fmt.Errorf("transaction %s: %w", rec.Tx, err)
	}
	if kind == openReferral {
		_, err = tx.ExecContext(ctx, `DELETE FROM open_tx WHERE kind = ? AND number <= (
			SELECT number FROM open_tx WHERE kind = ? ORDER BY number DESC LIMIT 1 OFFSET ?)`, kind, kind, maxReferrals)
	}
	return err
}

// OpenAdmissions lists the admissions without a passage, oldest first.
func (o *Outbox) OpenAdmissions(ctx context.Context) ([]wire.Record, error) {
	return do(ctx, o, "read open admissions", func(ctx context.Context) ([]wire.Record, error) {
		if err := o.ready(ctx); err != nil {
			return nil, err
		}
		return o.listOpen(ctx, `SELECT body FROM open_tx WHERE kind = ? ORDER BY number`, openAdmission)
	})
}

// OpenReferrals lists the referrals that nobody has resolved, newest first.
func (o *Outbox) OpenReferrals(ctx context.Context) ([]wire.Record, error) {
	return do(ctx, o, "read open referrals", func(ctx context.Context) ([]wire.Record, error) {
		if err := o.ready(ctx); err != nil {
			return nil, err
		}
		return o.listOpen(ctx, `SELECT body FROM open_tx WHERE kind = ? ORDER BY number DESC`, openReferral)
	})
}

func (o *Outbox) listOpen(ctx context.Context, query, kind string) ([]wire.Record, error) {
	rows, err := o.db.QueryContext(ctx, query, kind)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []wire.Record
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		rec, err := wire.DecodeRecord(body)
		if err != nil {
			return nil, damage("an open transaction is unreadable")
		}
		out = append(out, *rec)
	}
	return out, rows.Err()
}

// RecoverPassages closes the admissions that an earlier run of the agent left
// open: nobody saw what happened, and that is what is recorded. It is called
// once, before the lane admits anybody. Each record closes its admission in
// the same transaction, so a crash on the way doubles none.
func (o *Outbox) RecoverPassages(ctx context.Context, now time.Time, trusted bool) (int, error) {
	open, err := o.OpenAdmissions(ctx)
	if err != nil {
		return 0, err
	}
	for i, adm := range open {
		rec := wire.Record{
			V: wire.RecordVersion, Kind: wire.KindPassage, Tx: adm.Tx, Gate: adm.Gate,
			Passage: &wire.Passage{Result: wire.PassageUnknown},
		}
		if err := Stamp(&rec, now, trusted); err != nil {
			return i, err
		}
		if _, err := o.Append(ctx, rec); err != nil {
			return i, err
		}
	}
	return len(open), nil
}

// salvageOpen reads what it can of the open transactions of a damaged
// database.
func (o *Outbox) salvageOpen(ctx context.Context) []wire.Record {
	if o.db == nil {
		return nil
	}
	rows, err := o.db.QueryContext(ctx, `SELECT body FROM open_tx ORDER BY number`)
	if err != nil {
		return nil
	}
	defer rows.Close()
	var out []wire.Record
	for rows.Next() {
		var body []byte
		if rows.Scan(&body) != nil {
			break
		}
		if rec, err := wire.DecodeRecord(body); err == nil && rec.Kind == wire.KindDecision {
			out = append(out, *rec)
		}
	}
	return out
}

// carryOpen enters an open transaction of a damaged database into its
// successor. Its decision stays in the old file.
func (o *Outbox) carryOpen(ctx context.Context, rec wire.Record) error {
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := addOpen(ctx, tx, rec, 0); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
