package intake

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"slices"
	"time"

	"gateagent/central/enrol"
	"gateagent/central/store"
	"gateagent/gate/wire"
)

// Imported is what became of a carried file.
type Imported struct {
	Kiosk                   string
	New, Repeat, Unreadable int
	Lost                    int // accepted as lost
	// Refused names what was not taken in, and why.
	Refused []string
	// Acks are central's word for what is on its disk by now, one for each
	// epoch.
	Acks []*wire.Ack
}

// Import takes the results of an exported file into central's database, by the
// same rules as those that come over the broker. It may be repeated, and the
// service may run meanwhile. acceptLoss takes in what follows on results that
// neither central nor the kiosk has any more, and notes those as lost.
func Import(ctx context.Context, reg *enrol.Registry, r io.Reader, acceptLoss bool, now time.Time) (*Imported, error) {
	x, err := wire.NewExportReader(r)
	if err != nil {
		return nil, err
	}
	kiosk := x.Head.Kiosk
	key, revoked, err := reg.Store.SigningKey(ctx, kiosk)
	if err == nil && revoked {
		err = ErrRevoked
	}
	if err != nil {
		return nil, fmt.Errorf("kiosk %s: %w", kiosk, err)
	}
	out, open := &Imported{Kiosk: kiosk}, reg.CA.Opener()
	err = x.Batches(func(b *wire.Batch) error {
		if err := b.Verify(key); err != nil {
			return err
		}
		batch := Read(b, key, open, now)
		batch.AcceptLoss = acceptLoss
		verdicts, err := reg.Store.Ingest(ctx, []store.Batch{*batch})
		if err == nil {
			err = verdicts[0].Err
		}
		if err != nil {
			return err
		}
		return out.note(b, verdicts[0], reg.CA.AckKey())
	})
	return out, err
}

// note counts one batch and makes the acknowledgement.
func (m *Imported) note(b *wire.Batch, v store.Verdict, key ed25519.PrivateKey) error {
	m.New, m.Repeat, m.Unreadable, m.Lost = m.New+v.New, m.Repeat+v.Repeat, m.Unreadable+v.Unreadable, m.Lost+v.Lost
	what := fmt.Sprintf("results %d to %d of epoch %s: ", b.First, b.Last, b.Epoch)
	switch {
	case v.Revoked:
		m.Refused = append(m.Refused, what+ErrRevoked.Error())
	case v.Conflicts > 0:
		m.Refused = append(m.Refused, what+"they contradict what is stored; both are kept, see the fleet page")
	case v.Gap:
		m.Refused = append(m.Refused, what+fmt.Sprintf("those after %d are missing before them: export with --all; if the kiosk keeps them no longer, import with --accept-loss", v.Number))
	}
	if !v.Ack || v.Number == 0 {
		return nil
	}
	ack := &wire.Ack{V: wire.AckVersion, Kiosk: b.Kiosk, Epoch: b.Epoch, Number: v.Number, Chain: v.Chain}
	if err := ack.Sign(key); err != nil {
		return fmt.Errorf("sign acknowledgement: %w", err)
	}
	m.Acks = slices.DeleteFunc(m.Acks, func(a *wire.Ack) bool { return a.Epoch == ack.Epoch })
	m.Acks = append(m.Acks, ack)
	return nil
}
