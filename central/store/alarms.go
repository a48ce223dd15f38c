package store

import (
	"context"
	"database/sql"
	"time"
)

// Kinds of alarms.
const (
	AlarmFlood     = "flood"     // a kiosk sends more than any has to say
	AlarmConflict  = "conflict"  // one number, two contents
	AlarmSignature = "signature" // a batch that the kiosk's key did not sign
	AlarmForeign   = "foreign"   // a batch on another kiosk's topic
	AlarmRevoked   = "revoked"   // a revoked kiosk still tries
	AlarmUnknown   = "unknown"   // a certificate or topic of nobody who is enrolled
	AlarmFormat    = "format"    // a message that cannot be read
	AlarmTwins     = "twins"     // two machines use one identity
	AlarmLoss      = "loss"      // results that nobody has any more
	// AlarmUnreadable: results are stored that central's keys do not open.
	AlarmUnreadable = "unreadable"
	// AlarmUnstored: results that cannot be stored, for a reason that is the
	// kiosk's alone.
	AlarmUnstored = "unstored"
	// AlarmSpace: so little is free where central stores that it stores nothing.
	AlarmSpace = "space"
	// AlarmDisagree: kiosks that should have the same in force do not.
	AlarmDisagree = "disagree"
	// AlarmPushed: a kiosk refused what was pushed, by an attack or because its
	// lane did not come back with it.
	AlarmPushed = "pushed"
)

// Alarm is something that an operator must see. Alarms of one kiosk and kind
// are counted in one row until somebody has seen it, so that a flood stays one
// line.
type Alarm struct {
	ID          int64
	Kiosk, Kind string
	Text        string // the latest
	Count       int64
	First, Last time.Time
}

// RaiseAlarm records alarms, each at its First. One that stands for several
// has their Count, and says when the Last was.
func (s *Store) RaiseAlarm(ctx context.Context, all ...Alarm) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		for _, a := range all {
			if err := raiseAlarm(ctx, tx, a); err != nil {
				return err
			}
		}
		return nil
	})
}

func raiseAlarm(ctx context.Context, tx *sql.Tx, a Alarm) error {
	last := a.First
	if a.Last.After(last) {
		last = a.Last
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO alarms(kiosk, kind, text, count, first_at, last_at) VALUES(?, ?, ?, ?, ?, ?)
		ON CONFLICT(kiosk, kind) WHERE seen_at IS NULL DO UPDATE SET text = excluded.text, count = count + excluded.count, last_at = excluded.last_at`,
		a.Kiosk, a.Kind, a.Text, max(a.Count, 1), ms(a.First), ms(last))
	return err
}

// OpenAlarms lists what nobody has seen yet, newest first.
func (s *Store) OpenAlarms(ctx context.Context) ([]Alarm, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, kiosk, kind, text, count, first_at, last_at FROM alarms
		WHERE seen_at IS NULL ORDER BY last_at DESC LIMIT 200`)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (Alarm, error) {
		var a Alarm
		var first, last int64
		err := rows.Scan(&a.ID, &a.Kiosk, &a.Kind, &a.Text, &a.Count, &first, &last)
		a.First, a.Last = fromMS(first), fromMS(last)
		return a, err
	})
}

// SeeAlarm notes which operator has seen an alarm. A further one of its kind
// opens a new row.
func (s *Store) SeeAlarm(ctx context.Context, id int64, operator string, at time.Time) error {
	_, err := s.write.ExecContext(ctx, "UPDATE alarms SET seen_by = ?, seen_at = ? WHERE id = ? AND seen_at IS NULL", operator, ms(at), id)
	return err
}
