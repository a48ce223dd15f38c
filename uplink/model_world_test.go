package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/gate/wire"
)

// rules are those of the protocol, of which a test may break one to see that
// the checker finds it. The zero value breaks none.
type rules struct {
	pubackDeletes bool // a result counts as delivered when the broker has it
	anyChain      bool // an acknowledgement is not compared with the row
	thiefSigns    bool // whoever forges acknowledgements has central's key
	sameEpoch     bool // a new installation goes on under the old epoch
	ackFirst      bool // central acknowledges before it commits
	swallow       bool // central takes another content for a repeat
	gaps          bool // central takes results behind a gap
}

// world is a kiosk, perhaps twice, a broker that does what it likes, central,
// and a thief at the broker.
type world struct {
	rules   rules
	newBox  func() (box, error)
	central intake

	signing ed25519.PrivateKey
	ackKey  ed25519.PrivateKey
	thief   ed25519.PrivateKey

	kiosks    []*machineModel
	toCentral [][]byte // batches on their way, in no order
	toKiosk   [][]byte // acknowledgements on their way
	seen      [][]byte // all acknowledgements that ever were, for the thief
	disks     []any    // copies of kiosks' disks
	backups   []any    // of central

	decided   int
	issued    map[string]bool // epoch, number and hash of each result that a kiosk stored
	committed map[string]bool // the same, of what central ever held
	forked    map[string]bool // epochs that two disks went on with
	alarms    map[string]int  // central's conflicts, by epoch
	final     bool
	tally     *tally
}

// tally counts what happened in all histories together: a test in which
// nothing happens proves nothing.
type tally struct{ decided, committed, conflicts, rewinds, alarms, forks int }

// machineModel is one kiosk: a disk and, while it is connected, the real flow.
type machineModel struct {
	box   box
	up    *Uplink
	flow  *flow
	alarm bool // raised since the honest end began

	epoch string // of what was checked
	sound uint64 // results that were found at central once
}

// line is a connection's client: what is published goes to the broker.
type line struct {
	mqtt.Client
	w *world
}

// Publish keeps the message; it says nothing about its fate.
func (l *line) Publish(topic string, _ byte, _ bool, payload any) mqtt.Token {
	if data, ok := payload.([]byte); ok && strings.HasSuffix(topic, "/"+wire.TopicResults) {
		l.w.toCentral = append(l.w.toCentral, data)
	}
	return &mqtt.DummyToken{}
}

func key(epoch string, n uint64, hash []byte) string { return fmt.Sprintf("%s %d %x", epoch, n, hash) }

func newWorld(r rules, newBox func() (box, error), central intake, count *tally) (*world, error) {
	w := &world{rules: r, newBox: newBox, central: central, tally: count,
		issued: map[string]bool{}, committed: map[string]bool{}, forked: map[string]bool{}, alarms: map[string]int{}}
	w.keys(r)
	empty, err := central.copied()
	if err != nil {
		return nil, err
	}
	w.backups = append(w.backups, empty)
	return w, w.addKiosk()
}

// keys are the same in every world, so that a history repeats.
func (w *world) keys(r rules) {
	seed := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(slices.Repeat([]byte{b}, ed25519.SeedSize))
	}
	w.signing, w.ackKey, w.thief = seed(1), seed(2), seed(3)
	if r.thiefSigns {
		w.thief = w.ackKey
	}
}

func (w *world) addKiosk() error {
	b, err := w.newBox()
	if err == nil {
		w.kiosks = append(w.kiosks, &machineModel{box: b})
	}
	return err
}

func (w *world) close() error {
	err := w.central.close()
	for _, k := range w.kiosks {
		err = errors.Join(err, k.box.close())
	}
	return err
}

// decide stores a result.
func (w *world) decide(k *machineModel) error {
	n, err := k.box.add(modelRecord(w.decided))
	if err != nil {
		return err
	}
	w.decided++
	w.tally.decided++
	epoch, entries, err := k.box.Pending(context.Background(), n-1, 1, wire.BatchRoom)
	if err != nil || len(entries) != 1 {
		return fmt.Errorf("result %d that was just stored: %d entries (%w)", n, len(entries), err)
	}
	w.issued[key(epoch, n, entries[0].Hash)] = true
	return nil
}

// connect begins a new connection.
func (w *world) connect(k *machineModel) error {
	up, err := New(Config{Identity: &wire.Identity{Name: modelKiosk, Signing: w.signing, AckKey: w.publicAck()},
		Brokers: []string{"tls://broker:8883"}, Store: k.box, Status: func() wire.Status { return wire.Status{} }, Window: 4})
	if err != nil {
		return err
	}
	k.up = up
	k.flow = newFlow(up, &connection{client: &line{w: w}, kiosk: modelKiosk})
	return w.step(k, k.flow.begin(context.Background()))
}

func (w *world) publicAck() ed25519.PublicKey {
	pub, _ := w.ackKey.Public().(ed25519.PublicKey)
	return pub
}

func (w *world) publicSigning() ed25519.PublicKey {
	pub, _ := w.signing.Public().(ed25519.PublicKey)
	return pub
}

// step ends the connection where the uplink would, and notes alarms.
func (w *world) step(k *machineModel, err error) error {
	if k.up != nil {
		for _, n := range k.up.Notices() {
			if n.Source == sourceAlarm && w.final {
				k.alarm = true
			}
		}
	}
	if errors.Is(err, errNoAck) {
		k.flow = nil
		return nil
	}
	return err
}

func (w *world) fill(k *machineModel) error {
	if k.flow == nil {
		return nil
	}
	err := k.flow.fill(context.Background())
	if b, ok := k.box.(*modelBox); ok && w.rules.pubackDeletes {
		b.disk.acked = max(b.disk.acked, k.flow.sent)
	}
	return w.step(k, err)
}

// sleep lets time pass and does what is due.
func (w *world) sleep(d time.Duration) error {
	time.Sleep(d)
	for _, k := range w.kiosks {
		if k.flow != nil && !time.Now().Before(k.flow.wakeAt()) {
			if err := w.step(k, k.flow.wake(context.Background())); err != nil {
				return err
			}
		}
	}
	return nil
}

// arrive gives central a message. A crash comes after the commit and before
// the acknowledgement leaves.
func (w *world) arrive(payload []byte, crash bool) error {
	b, err := wire.DecodeBatch(payload)
	if err == nil {
		err = b.Verify(w.publicSigning())
	}
	if err != nil || b.Kiosk != modelKiosk {
		return nil // refused, and an alarm of its own
	}
	before, err := w.central.held(b.Epoch)
	if err != nil {
		return err
	}
	if w.rules.ackFirst && crash {
		// The commit is what the crash takes away.
		w.answer(b.Epoch, b.Last, b.Chain, w.ackKey)
		return nil
	}
	v, err := w.central.take(b)
	if err != nil {
		return err
	}
	if err := w.judge(b, before, v); err != nil {
		return err
	}
	if v.ack && !crash {
		w.answer(b.Epoch, v.number, v.chain, w.ackKey)
	}
	return nil
}

// judge holds central's verdict against what it held before.
func (w *world) judge(b *wire.Batch, before [][]byte, v verdict) error {
	contradicts := false
	for _, e := range b.Entries {
		if e.Number <= uint64(len(before)) && string(before[e.Number-1]) != string(e.Hash) {
			contradicts = true
		}
	}
	if v.conflicts {
		w.alarms[b.Epoch]++
		w.tally.conflicts++
	}
	if contradicts && (v.ack || !v.conflicts) {
		return fmt.Errorf("results %d to %d contradict what central holds: acknowledged %v, alarm %v", b.First, b.Last, v.ack, v.conflicts)
	}
	after, err := w.central.held(b.Epoch)
	if err != nil {
		return err
	}
	for i, hash := range after {
		if i < len(before) {
			if !bytes.Equal(before[i], hash) {
				return fmt.Errorf("central changed result %d", i+1)
			}
			continue
		}
		k := key(b.Epoch, uint64(i+1), hash)
		if !w.issued[k] {
			return fmt.Errorf("central holds as result %d what no kiosk stored there", i+1)
		}
		w.committed[k] = true
		w.tally.committed++
	}
	return nil
}

// answer sends an acknowledgement, genuine or forged.
func (w *world) answer(epoch string, n uint64, chain []byte, signer ed25519.PrivateKey) {
	a := wire.Ack{V: wire.AckVersion, Kiosk: modelKiosk, Epoch: epoch, Number: n, Chain: chain}
	if a.Sign(signer) != nil {
		return
	}
	if payload, err := a.Encode(); err == nil {
		w.toKiosk, w.seen = append(w.toKiosk, payload), append(w.seen, payload)
	}
}

// sound demands of every disk that nothing counts as acknowledged that central
// never held.
func (w *world) sound() error {
	for i, k := range w.kiosks {
		q := k.box.Queue()
		from := uint64(1)
		if b, ok := k.box.(interface{ kept() uint64 }); ok {
			from = b.kept()
		}
		if k.epoch != q.Epoch || k.sound > q.Acknowledged {
			k.epoch, k.sound = q.Epoch, 0
		}
		for n := max(from, k.sound+1); n <= q.Acknowledged; n++ {
			epoch, entries, err := k.box.Pending(context.Background(), n-1, 1, wire.BatchRoom)
			if err != nil || len(entries) != 1 {
				return fmt.Errorf("kiosk %d: result %d cannot be read: %w", i, n, err)
			}
			if !w.committed[key(epoch, n, entries[0].Hash)] {
				return fmt.Errorf("kiosk %d counts result %d as acknowledged, central never held it", i, n)
			}
			k.sound = n
		}
	}
	return nil
}

func (b *modelBox) kept() uint64 { return b.disk.first }
