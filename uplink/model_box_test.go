package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gateagent/gate/wire"
)

// modelKiosk is the name of the kiosk of the model, of which there may be two.
const modelKiosk = "sgn-g12"

// box is what the model knows of an outbox: what the uplink uses, and a disk
// that can be copied.
type box interface {
	Store
	add(rec wire.Record) (uint64, error)
	// crash ends the program; the disk stays. copied gives the disk, and
	// restored puts an older copy in its place.
	crash() error
	copied() (any, error)
	restored(disk any) error
	// prune deletes what is acknowledged, as far as the rules allow.
	prune() error
	close() error
}

// row is a result as the model keeps it.
type row struct {
	entry wire.Entry
	chain []byte
}

// boxDisk is the disk of a modelBox.
type boxDisk struct {
	epoch string
	rows  []row
	acked uint64
	first uint64 // oldest row that is kept
}

func (d boxDisk) clone() boxDisk {
	d.rows = slices.Clone(d.rows)
	return d
}

// modelBox states what an outbox does, in memory.
type modelBox struct {
	disk  boxDisk
	rules rules
}

func newModelBox(epoch string, r rules) *modelBox {
	return &modelBox{disk: boxDisk{epoch: epoch, first: 1}, rules: r}
}

func (b *modelBox) last() uint64 { return uint64(len(b.disk.rows)) }

func (b *modelBox) chainAt(n uint64) []byte {
	if n == 0 {
		return wire.ChainStart()
	}
	return b.disk.rows[n-1].chain
}

func (b *modelBox) add(rec wire.Record) (uint64, error) {
	body, err := rec.Encode()
	if err != nil {
		return 0, err
	}
	n, prev := b.last()+1, b.chainAt(b.last())
	e := wire.Entry{Number: n, Prev: prev, Hash: wire.BodyHash(body), Body: body}
	chain, err := wire.ChainNext(modelKiosk, b.disk.epoch, n, prev, e.Hash)
	b.disk.rows = append(b.disk.rows, row{e, chain})
	return n, err
}

func (b *modelBox) Queue() wire.Queue {
	return wire.Queue{Epoch: b.disk.epoch, Last: b.last(), Acknowledged: b.disk.acked}
}

func (b *modelBox) Notify() <-chan struct{} { return nil }

func (b *modelBox) Pending(_ context.Context, after uint64, most, bytes int) (string, []wire.Entry, error) {
	var out []wire.Entry
	if after < b.last() && after+1 < b.disk.first {
		return "", nil, fmt.Errorf("%w: gone", wire.ErrAckRefused)
	}
	for n := after + 1; n <= b.last() && len(out) < most; n++ {
		e := b.disk.rows[n-1].entry
		if bytes -= wire.EncodedSize(len(e.Body)); bytes < 0 && len(out) > 0 {
			break
		}
		out = append(out, e)
	}
	return b.disk.epoch, out, nil
}

func (b *modelBox) match(a wire.Ack) error {
	switch {
	case a.Kiosk != modelKiosk || a.Epoch != b.disk.epoch:
		return fmt.Errorf("%w: foreign", wire.ErrAckRefused)
	case a.Number > b.last():
		return fmt.Errorf("%w: ahead", wire.ErrAckRefused)
	case a.Number > 0 && a.Number+1 < b.disk.first:
		return fmt.Errorf("%w: gone", wire.ErrAckRefused)
	case !b.rules.anyChain && !bytes.Equal(a.Chain, b.chainAt(a.Number)):
		return fmt.Errorf("%w: chain", wire.ErrAckRefused)
	}
	return nil
}

func (b *modelBox) Acknowledge(_ context.Context, a wire.Ack) error {
	if err := b.match(a); err != nil {
		return err
	}
	b.disk.acked = max(b.disk.acked, a.Number)
	return nil
}

func (b *modelBox) Rewind(_ context.Context, a wire.Ack) error {
	if err := b.match(a); err != nil || a.Number >= b.disk.acked {
		return err
	}
	if b.disk.first > a.Number+1 {
		return fmt.Errorf("%w: gone", wire.ErrAckRefused)
	}
	b.disk.acked = a.Number
	return nil
}

func (b *modelBox) crash() error         { return nil }
func (b *modelBox) copied() (any, error) { return b.disk.clone(), nil }
func (b *modelBox) close() error         { return nil }

func (b *modelBox) restored(disk any) error {
	d, ok := disk.(boxDisk)
	if !ok {
		return errors.New("a disk of another kind")
	}
	b.disk = d.clone()
	return nil
}

func (b *modelBox) prune() error {
	b.disk.first = max(b.disk.first, b.disk.acked) // the newest acknowledged one stays
	return nil
}

// verdict is what central makes of a batch.
type verdict struct {
	ack       bool
	number    uint64
	chain     []byte
	conflicts bool
}

// intake is what the model knows of central.
type intake interface {
	take(b *wire.Batch) (verdict, error)
	copied() (any, error)
	restored(disk any) error
	// held gives the hashes of the results of an epoch, in order.
	held(epoch string) ([][]byte, error)
	close() error
}

// modelCentral states what central does with a batch that the kiosk signed.
type modelCentral struct {
	rows      map[string][]row
	conflicts int
	rules     rules
}

func newModelCentral(r rules) *modelCentral {
	return &modelCentral{rows: make(map[string][]row), rules: r}
}

func (c *modelCentral) take(b *wire.Batch) (verdict, error) {
	have := c.rows[b.Epoch]
	v := verdict{number: uint64(len(have)), chain: wire.ChainStart()}
	if len(have) > 0 {
		v.chain = have[len(have)-1].chain
	}
	if b.First > v.number+1 && !c.rules.gaps {
		v.ack = true
		return v, nil
	}
	if !c.rules.swallow && !fits(have, b) {
		c.conflicts++
		v.conflicts = true
		return v, nil
	}
	v.ack = true
	for _, e := range b.Entries {
		if e.Number <= v.number {
			continue
		}
		chain, err := wire.ChainNext(b.Kiosk, b.Epoch, e.Number, e.Prev, e.Hash)
		if err != nil {
			return v, err
		}
		have = append(have, row{e, chain})
		v.number, v.chain = e.Number, chain
	}
	c.rows[b.Epoch] = have
	return v, nil
}

// fits says whether a batch contradicts nothing that is held. The rules say:
// what is held has one content for each number, and the batch hangs on it.
func fits(have []row, b *wire.Batch) bool {
	if b.First > 1 && uint64(len(have)) >= b.First-1 && !bytes.Equal(have[b.First-2].chain, b.PrevChain) {
		return false
	}
	for _, e := range b.Entries {
		if e.Number <= uint64(len(have)) && !bytes.Equal(have[e.Number-1].entry.Hash, e.Hash) {
			return false
		}
	}
	return true
}

func (c *modelCentral) copied() (any, error) {
	out := make(map[string][]row)
	for epoch, rows := range c.rows {
		out[epoch] = slices.Clone(rows)
	}
	return out, nil
}

func (c *modelCentral) restored(disk any) error {
	rows, ok := disk.(map[string][]row)
	if !ok {
		return errors.New("a disk of another kind")
	}
	c.rows = make(map[string][]row)
	for epoch, r := range rows {
		c.rows[epoch] = slices.Clone(r)
	}
	return nil
}

func (c *modelCentral) held(epoch string) ([][]byte, error) {
	var out [][]byte
	for _, r := range c.rows[epoch] {
		out = append(out, r.entry.Hash)
	}
	return out, nil
}

func (c *modelCentral) close() error { return nil }

// modelRecord makes the n-th record that is decided.
func modelRecord(n int) wire.Record {
	return wire.Record{V: wire.RecordVersion, Kind: wire.KindDecision, Tx: fmt.Sprintf("%032x", n), Gate: "G12", At: time.Unix(1_700_000_000+int64(n), 0).UTC(),
		Decision: &wire.Decision{Outcome: wire.OutcomeAbort, Reasons: []uint32{6003}, Overall: "aborted"}}
}
