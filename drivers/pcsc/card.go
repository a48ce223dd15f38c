package pcsc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"gateagent/gate"

	"github.com/ebfe/scard"
)

const (
	// closeWithin bounds the reset and release of a card.
	closeWithin = 3 * time.Second
	// minCommand is the header CLA INS P1 P2 (ISO 7816-4 section 5.1).
	minCommand = 4
)

// errEmpty is an answer without even the status bytes.
var errEmpty = errors.New("an empty answer")

// Card is one connected card, used by one goroutine. It has a connection to
// the daemon of its own: what happens to it cannot disturb the watch.
type Card struct {
	reader *Reader
	name   string
	sc     *scard.Context
	card   *scard.Card
	post   *courier
	atr    []byte
	lost   bool // closed or abandoned: sc and card must not be touched
	torn   bool // the chip stopped answering; written under the reader's line
}

// Connect powers the card in the field.
func (r *Reader) Connect(ctx context.Context) (gate.Card, error) {
	r.mu.Lock()
	name, problem := r.name, r.problem
	r.mu.Unlock()
	if problem != nil {
		var ours *Error
		if errors.As(problem, &ours) {
			return nil, ours
		}
		return nil, &Error{Reader: r.cfg.Reader, Op: "connect", Kind: gate.ErrReaderFault, Err: problem}
	}
	c := &Card{reader: r, name: name}
	var failed error
	_, err := r.line.do(ctx,
		func() { failed = c.open(r.cfg.Exclusive) },
		func() {
			if failed == nil {
				_ = c.release()
			}
		})
	if err != nil {
		return nil, c.refusal("connect", err)
	}
	if failed != nil {
		return nil, failure(name, "connect", failed)
	}
	return c, nil
}

// open connects to the daemon and to the card.
func (c *Card) open(exclusive bool) error {
	sc, err := scard.EstablishContext()
	if err != nil {
		return err
	}
	mode := scard.ShareShared
	if exclusive {
		mode = scard.ShareExclusive
	}
	var card *scard.Card
	library.change(func() {
		// Contactless chips speak T=1, also where their answer to reset
		// offers T=0 first (PC/SC part 3 section 3.1.3.2.3).
		card, err = sc.Connect(c.name, mode, scard.ProtocolT1)
		if errors.Is(err, scard.ErrProtoMismatch) {
			card, err = sc.Connect(c.name, mode, scard.ProtocolAny)
		}
		if err != nil {
			err = errors.Join(err, sc.Release())
		}
	})
	if err != nil {
		return err
	}
	c.sc, c.card = sc, card
	// It only tells types of chips apart: a card that has left meanwhile is
	// found out by the first command.
	library.lookUp(func() {
		if status, err := card.Status(); err == nil {
			c.atr = bytes.Clone(status.Atr)
		}
	})
	if p := card.ActiveProtocol(); p != scard.ProtocolT0 && p != scard.ProtocolT1 {
		return errors.Join(fmt.Errorf("the card speaks protocol %d, neither T=0 nor T=1", p), c.release())
	}
	c.post, err = newCourier(card)
	if err != nil {
		return errors.Join(err, c.release())
	}
	return nil
}

// ATR is the answer to reset, as the reader made it of what a contactless card
// says of itself (PC/SC part 3 section 3.1.3.2.3); nil when it is not known.
func (c *Card) ATR() []byte { return c.atr }

// Transmit carries one command to the chip. When ctx ends first the card is
// given up: only Close is left to do.
func (c *Card) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if len(apdu) < minCommand {
		return nil, fmt.Errorf("card reader %q: transmit: a command of %d bytes: the shortest has %d", c.name, len(apdu), minCommand)
	}
	if c.lost {
		return nil, fault(c.name, "transmit", "the connection to the card was given up", "connect again")
	}
	command := bytes.Clone(apdu) // the call may outlive the caller's buffer
	var answer []byte
	var failed error
	abandoned, err := c.reader.line.do(ctx,
		func() {
			defer clear(command)
			library.lookUp(func() { answer, failed = c.post.transmit(command) })
			// Every answer ends with two status bytes (ISO 7816-4 section
			// 5.1); drivers pass up nothing when the chip is gone.
			if failed == nil && len(answer) == 0 {
				failed = errEmpty
			}
			c.torn = failed != nil && kindOf(failed) == gate.ErrCardGone
		},
		func() { _ = c.release() })
	if err != nil {
		c.lost = abandoned
		return nil, c.refusal("transmit", err)
	}
	if failed != nil {
		return nil, failure(c.name, "transmit", failed)
	}
	return answer, nil
}

// Close resets and releases the card. It is safe to call it twice.
func (c *Card) Close() error {
	if c.lost {
		return nil // closed before, or the abandoned call releases it
	}
	c.lost = true
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	var failed error
	_, err := c.reader.line.do(ctx, func() { failed = c.release() }, func() {})
	if errors.Is(err, errAbandoned) {
		// Another card of this reader holds the line. Ours has its own
		// connection; it goes when the daemon lets it.
		go func() { _ = c.release() }()
	}
	if err != nil {
		return c.refusal("close", err)
	}
	if failed != nil {
		return failure(c.name, "close", failed)
	}
	return nil
}

// release resets the card, so that no session survives in it, and gives back
// handle and connection. That the card has left already is no error. One that
// has left is not reset: when that fails, pcscd notes an empty reader, while
// the thread that watches the reader has not looked yet; a card that comes back
// before it looks would then stay unseen for as long as it lies there.
func (c *Card) release() (err error) {
	disposition := scard.ResetCard
	if c.torn {
		disposition = scard.LeaveCard
	}
	if c.post != nil {
		c.post.stop()
	}
	library.change(func() {
		err = c.card.Disconnect(disposition)
		if err != nil && kindOf(err) == gate.ErrCardGone {
			err = nil
		}
		err = errors.Join(err, c.sc.Release())
	})
	return err
}

// refusal tells a stuck line from a context that ended.
func (c *Card) refusal(op string, err error) error {
	if errors.Is(err, errAbandoned) {
		return &Error{Reader: c.name, Op: op, Kind: gate.ErrReaderFault, Err: errAbandoned, Remedy: stuckRemedy}
	}
	return failure(c.name, op, err)
}
