package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gateagent/gate/wire"
)

// Loss is a run of results that central will never have: it was restored from an
// older backup, and the kiosk keeps them no longer. Somebody accepted that, so
// that what came after them could be taken in.
type Loss struct {
	Epoch       string
	First, Last uint64
	Chain       []byte // chain hash at Last, from what the kiosk signed after it
}

// lose notes that what lies between the head and a batch is lost, and moves the
// head behind it.
func (in *intake) lose(ctx context.Context, b *Batch, v *Verdict) error {
	if _, err := in.tx.ExecContext(ctx, "INSERT INTO losses(kiosk, epoch, first, last, chain, at) VALUES(?, ?, ?, ?, ?, ?)",
		b.Kiosk, b.Epoch, int64(v.Number+1), int64(b.First-1), b.PrevChain, ms(b.Received)); err != nil {
		return err
	}
	text := fmt.Sprintf("results %d to %d of epoch %s are lost: the kiosk keeps them no longer, and what followed was taken in without them",
		v.Number+1, b.First-1, b.Epoch)
	v.Lost = int(b.First - 1 - v.Number)
	v.Number, v.Chain = b.First-1, b.PrevChain
	return raiseAlarm(ctx, in.tx, Alarm{Kiosk: b.Kiosk, Kind: AlarmLoss, First: b.Received, Text: text})
}

// before gives the chain hash before a batch, from the result or the loss that
// ends there; nil where neither does: the batch begins within a loss.
func (in *intake) before(ctx context.Context, b *Batch) ([]byte, error) {
	_, chain, err := in.at(ctx, b, b.First-1)
	if !errors.Is(err, sql.ErrNoRows) {
		return chain, err
	}
	err = in.tx.QueryRowContext(ctx, "SELECT chain FROM losses WHERE kiosk = ? AND epoch = ? AND last = ?", b.Kiosk, b.Epoch, int64(b.First-1)).Scan(&chain)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return chain, err
}

// Losses lists what was lost of one kiosk, in order.
func (s *Store) Losses(ctx context.Context, kiosk string) ([]Loss, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT epoch, first, last, chain FROM losses WHERE kiosk = ? ORDER BY epoch, first", kiosk)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(rows *sql.Rows) (Loss, error) {
		var l Loss
		err := rows.Scan(&l.Epoch, &l.First, &l.Last, &l.Chain)
		return l, err
	})
}

// skip finds the loss that begins after a number of an epoch, and gives where
// the chain stands behind it.
func skip(all []Loss, epoch string, after uint64, chain []byte) (last uint64, behind []byte, lost uint64) {
	for _, l := range all {
		if l.Epoch == epoch && l.First == after+1 && len(l.Chain) == wire.HashSize {
			return l.Last, l.Chain, l.Last - l.First + 1
		}
	}
	return after, chain, 0
}
