package offline

import (
	"context"
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

// opened is a transaction that awaits a second record.
type opened struct {
	number int64 // of its decision; below 0 when that lies in a damaged database
	kind   string
}

// openStep is what one record changes in the open transactions: the columns of
// appending that are not the record's, and nil where they change nothing.
type openStep struct {
	ends, falls any // numbers of the one that ends and of the one that is too many
	tx, kind    any // of the one that begins
	body        []byte

	gone []string // transactions that are open no more
}

// loadOpen reads what is open: few rows, and at most maxReferrals of those
// that staff forgot.
func (o *Outbox) loadOpen(ctx context.Context) error {
	rows, err := o.db.QueryContext(ctx, `SELECT number, tx, kind FROM open_tx`)
	if err != nil {
		return err
	}
	defer rows.Close()
	o.opened, o.referrals = make(map[string]opened), 0
	for rows.Next() {
		var tx string
		var row opened
		if err := rows.Scan(&row.number, &tx, &row.kind); err != nil {
			return err
		}
		o.enter(tx, row)
	}
	return rows.Err()
}

func (o *Outbox) enter(tx string, row opened) {
	o.opened[tx] = row
	if row.kind == openReferral {
		o.referrals++
	}
}

// planOpen says what a record changes in what still awaits a second one.
func (o *Outbox) planOpen(rec wire.Record) (step openStep, err error) {
	was, ok := o.opened[rec.Tx]
	switch {
	case rec.Kind == wire.KindPassage && was.kind == openAdmission, rec.Kind == wire.KindResolution && was.kind == openReferral:
		step.ends, step.gone = was.number, []string{rec.Tx}
		return step, nil
	case rec.Kind != wire.KindDecision || rec.Decision.Outcome == wire.OutcomeAbort:
		return step, nil
	}
	step.tx, step.kind = rec.Tx, openAdmission
	if !isAdmission(rec) {
		step.kind = openReferral
		if o.referrals >= maxReferrals {
			oldest := o.oldestReferral()
			step.falls, step.gone = o.opened[oldest].number, append(step.gone, oldest)
		}
		// A referral may follow an admission that was stored too late for
		// anybody to be admitted on it.
		if ok {
			step.ends, step.gone = was.number, append(step.gone, rec.Tx)
		}
	} else if ok {
		return step, fmt.Errorf("transaction %s is open already", rec.Tx)
	}
	// Only what the desk shows, since this lies in clear where the record
	// itself is sealed.
	open := wire.Record{
		V: rec.V, Kind: rec.Kind, Tx: rec.Tx, Gate: rec.Gate, At: rec.At, ClockTrusted: rec.ClockTrusted,
		Decision: &wire.Decision{Outcome: rec.Decision.Outcome, Reasons: rec.Decision.Reasons},
	}
	step.body, err = open.Encode()
	return step, err
}

func (o *Outbox) oldestReferral() (oldest string) {
	for tx, row := range o.opened {
		if row.kind == openReferral && (oldest == "" || row.number < o.opened[oldest].number) {
			oldest = tx
		}
	}
	return oldest
}

// settleOpen brings the memory up to what was committed under a number.
func (o *Outbox) settleOpen(s openStep, number int64) {
	for _, tx := range s.gone {
		if o.opened[tx].kind == openReferral {
			o.referrals--
		}
		delete(o.opened, tx)
	}
	if s.kind != nil {
		o.enter(s.tx.(string), opened{number, s.kind.(string)})
	}
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
		if err := o.Stamp(&rec, now, trusted); err != nil {
			return i, err
		}
		if _, err := o.Append(ctx, rec); err != nil {
			return i, err
		}
	}
	return len(open), nil
}
