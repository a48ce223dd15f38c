package store

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"gateagent/gate/wire"
)

// Audited is what proving the stored results of one kiosk came to.
type Audited struct {
	Results int64
	Lost    int64    // that somebody accepted as lost (see Loss)
	Expired int64    // of them without a body: its hash stands for it
	Sealed  int64    // of them with a body that none of central's keys opened
	Faults  []string // what was removed or altered since it was stored
}

// Audit proves the stored results of one kiosk: every hash, the chain over
// them from first to last, and under it the kiosk's own signature, by the key
// that it had when they came.
func (s *Store) Audit(ctx context.Context, kiosk string) (*Audited, error) {
	keys, err := s.SigningKeys(ctx, kiosk)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, "SELECT epoch, number, chain, coalesce(first, 0), sig, at FROM heads WHERE kiosk = ? ORDER BY at", kiosk)
	if err != nil {
		return nil, err
	}
	type head struct {
		wire.Checkpoint
		at time.Time
	}
	heads, err := collect(rows, func(rows *sql.Rows) (head, error) {
		var h head
		var at int64
		err := rows.Scan(&h.Epoch, &h.Last, &h.Chain, &h.First, &h.Sig, &at)
		h.at = fromMS(at)
		return h, err
	})
	if err != nil {
		return nil, err
	}
	losses, err := s.Losses(ctx, kiosk)
	if err != nil {
		return nil, err
	}
	a := &Audited{}
	for _, h := range heads {
		if err := s.auditEpoch(ctx, kiosk, &h.Checkpoint, losses, a); err != nil {
			return nil, err
		}
		// One without a signature is from a release that did not keep it.
		signed := func(k EnrolledKey) bool {
			return k.Counted(h.at) && h.Verify(kiosk, ed25519.PublicKey(k.Key)) == nil
		}
		if h.Sig != nil && !slices.ContainsFunc(keys, signed) {
			a.Faults = append(a.Faults, fmt.Sprintf("epoch %s, result %d: no key that was the kiosk's on %s signed this state of the chain",
				h.Epoch, h.Last, h.at.Format(time.DateOnly)))
		}
	}
	return a, nil
}

func (s *Store) auditEpoch(ctx context.Context, kiosk string, head *wire.Checkpoint, losses []Loss, a *Audited) error {
	rows, err := s.read.QueryContext(ctx, "SELECT number, hash, chain, body, unreadable FROM results WHERE kiosk = ? AND epoch = ? ORDER BY number", kiosk, head.Epoch)
	if err != nil {
		return err
	}
	defer rows.Close()
	fault := func(number uint64, what string) {
		a.Faults = append(a.Faults, fmt.Sprintf("epoch %s, result %d: %s", head.Epoch, number, what))
	}
	chain, last := wire.ChainStart(), uint64(0)
	for rows.Next() {
		var e wire.Entry
		var stored []byte
		var unreadable bool
		if err := rows.Scan(&e.Number, &e.Hash, &stored, &e.Body, &unreadable); err != nil {
			return err
		}
		a.Results++
		if len(e.Body) == 0 {
			a.Expired++
		} else if unreadable {
			a.Sealed++
		}
		if e.Number > last+1 {
			var lost uint64
			last, chain, lost = skip(losses, head.Epoch, last, chain)
			a.Lost += int64(lost)
		}
		for n := last + 1; n < e.Number && n < last+10; n++ { // the first ones name the place
			fault(n, "removed")
		}
		if !e.BodyFits() {
			fault(e.Number, "altered: its body is not the one whose hash is stored")
		}
		next, err := wire.ChainNext(kiosk, head.Epoch, e.Number, chain, e.Hash)
		if err != nil || e.Number == last+1 && !bytes.Equal(next, stored) {
			fault(e.Number, "altered: it does not follow on the one before")
		}
		chain, last = stored, e.Number
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if last != head.Last || !bytes.Equal(chain, head.Chain) {
		fault(head.Last, fmt.Sprintf("the results end with %d, or that one was altered", last))
	}
	return nil
}
