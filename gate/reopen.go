package gate

import (
	"context"
	"errors"
	"time"
)

// Waits for a document that was lifted in the middle of a reading.
const (
	// backWithin is how long it may stay away: a hand that corrects itself
	// takes a second, the reader notices within another.
	backWithin = 3 * time.Second
	// backTries is the pause between two looks. Readers tell of a card by
	// events too, but those are the lane's.
	backTries = 100 * time.Millisecond
)

// Reopener reopens documents that were lifted for a moment: Reopen is what
// InspectOptions wants. The caller gives the first card and session and calls
// Release in the end.
type Reopener struct {
	Cards    Cards
	OpenChip func(Transmitter) Chip
	Card     Card // nil while there is none
	Chip     Chip // of that card
}

// ping is SELECT of the master file (ISO/IEC 7816-4 section 11.2.2). Any answer
// at all says that a chip is there, whatever the reader's daemon believes.
func ping() []byte { return []byte{0x00, 0xA4, 0x00, 0x0C} }

// Reopen closes what there was and waits a little for a chip to answer again.
func (r *Reopener) Reopen(ctx context.Context) (Chip, error) {
	if err := r.Release(); err != nil && !errors.Is(err, ErrCardGone) {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, backWithin)
	defer cancel()
	tick := time.NewTicker(backTries)
	defer tick.Stop()
	for {
		select {
		case <-wait.Done():
			return nil, ErrCardGone
		case <-tick.C:
		}
		card, err := r.Cards.Connect(wait)
		if err == nil {
			if _, err = card.Transmit(ctx, ping()); err == nil {
				r.Card, r.Chip = card, r.OpenChip(card)
				return r.Chip, nil
			}
			err = errors.Join(err, card.Close())
		}
		if !errors.Is(err, ErrCardGone) {
			return nil, err
		}
	}
}

// Release closes session and card. It may be called twice.
func (r *Reopener) Release() error {
	if r.Card == nil {
		return nil
	}
	r.Chip.Close()
	err := r.Card.Close()
	r.Card, r.Chip = nil, nil
	return err
}
