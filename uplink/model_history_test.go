package uplink

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"pgregory.net/rapid"

	"gateagent/gate/wire"
)

// act is one thing that happens; A and B choose among what there is.
type act struct {
	Kind actKind
	A, B int
}

type actKind int

// What may happen.
const (
	doDecide actKind = iota
	doDecideMany
	doConnect
	doFill
	doBatchArrives
	doBatchTwice
	doBatchLost
	doAckArrives
	doAckTwice
	doAckLost
	doSleep
	doCrash
	doCopyDisk
	doRestoreDisk
	doClone
	doReinstall
	doCentralDies // after the commit, before the acknowledgement
	doBackup
	doRestoreCentral
	doOldAck // the thief sends an acknowledgement again
	doForgeAck
	doForgeBatch
	doPrune
	doTalk // everything that is on its way arrives, and is answered
	actKinds
)

// String names it, for the counterexample.
func (k actKind) String() string {
	names := []string{"decide", "decide many", "connect", "fill", "batch arrives", "batch arrives, and stays on its way", "batch is lost",
		"ack arrives", "ack arrives, and stays on its way", "ack is lost", "time passes", "kiosk crashes", "kiosk's disk is copied",
		"kiosk gets an older disk", "kiosk is cloned", "kiosk is installed anew", "central dies after its commit", "central is backed up",
		"central gets its backup", "thief repeats an ack", "thief forges an ack", "thief forges a batch", "kiosk prunes",
		"kiosk and central talk"}
	return names[k]
}

// history draws what happens. The usual comes more often than the rare.
func history(least, most int) *rapid.Generator[[]act] {
	usual := []actKind{doDecide, doDecideMany, doFill, doFill, doBatchArrives, doBatchArrives, doBatchArrives, doAckArrives, doAckArrives, doSleep, doConnect, doTalk}
	one := rapid.Custom(func(t *rapid.T) act {
		k := rapid.IntRange(0, int(actKinds)+3*len(usual)-1).Draw(t, "kind")
		a := act{Kind: actKind(k), A: rapid.IntRange(0, 9).Draw(t, "a"), B: rapid.IntRange(0, 9).Draw(t, "b")}
		if k >= int(actKinds) {
			a.Kind = usual[(k-int(actKinds))%len(usual)]
		}
		return a
	})
	return rapid.SliceOfN(one, least, most)
}

// pick takes one of the messages, without taking it away.
func pick(from [][]byte, i int) ([]byte, int, bool) {
	if len(from) == 0 {
		return nil, 0, false
	}
	i %= len(from)
	return from[i], i, true
}

// happen carries out one act.
func (w *world) happen(a act) error {
	k := w.kiosks[a.A%len(w.kiosks)]
	switch a.Kind {
	case doDecide:
		return w.decide(k)
	case doDecideMany:
		for range []int{3, 7, 55}[a.B%3] { // the last are more than a batch
			if err := w.decide(k); err != nil {
				return err
			}
		}
	case doConnect:
		return w.connect(k)
	case doFill:
		return w.fill(k)
	case doBatchArrives, doBatchTwice, doBatchLost, doCentralDies:
		return w.batch(a)
	case doAckArrives, doAckTwice, doAckLost:
		return w.ack(k, a)
	case doSleep:
		return w.sleep([]time.Duration{300 * time.Millisecond, 1200 * time.Millisecond, 11 * time.Second, 25 * time.Second}[a.B%4])
	case doOldAck:
		if m, _, ok := pick(w.seen, a.B); ok {
			w.toKiosk = append(w.toKiosk, m)
		}
	case doForgeAck:
		w.forgeAck(k, a.B)
	case doForgeBatch:
		return w.forgeBatch(k)
	case doPrune:
		return k.box.prune()
	case doTalk:
		return w.exchange(k)
	default:
		return w.disaster(k, a)
	}
	return nil
}

func (w *world) batch(a act) error {
	m, i, ok := pick(w.toCentral, a.B)
	if !ok {
		return nil
	}
	if a.Kind != doBatchTwice {
		w.toCentral = slices.Delete(w.toCentral, i, i+1)
	}
	if a.Kind == doBatchLost {
		return nil
	}
	return w.arrive(m, a.Kind == doCentralDies)
}

func (w *world) ack(k *machineModel, a act) error {
	m, i, ok := pick(w.toKiosk, a.B)
	if !ok {
		return nil
	}
	if a.Kind != doAckTwice {
		w.toKiosk = slices.Delete(w.toKiosk, i, i+1)
	}
	if a.Kind == doAckLost || k.flow == nil {
		return nil
	}
	return w.hear(k, m)
}

func (w *world) hear(k *machineModel, payload []byte) error {
	before := k.box.Queue()
	err := w.step(k, k.flow.take(context.Background(), payload))
	if k.box.Queue().Acknowledged < before.Acknowledged {
		w.tally.rewinds++
	}
	return err
}

// disaster is what happens to disks.
func (w *world) disaster(k *machineModel, a act) error {
	switch a.Kind {
	case doCrash:
		k.flow = nil
		return k.box.crash()
	case doCopyDisk:
		d, err := k.box.copied()
		w.disks = append(w.disks, d)
		return err
	case doRestoreDisk:
		if len(w.disks) == 0 {
			return nil
		}
		k.flow = nil
		w.forked[k.box.Queue().Epoch] = true
		if err := k.box.restored(moved(w.disks[a.B%len(w.disks)], k.box)); err != nil {
			return err
		}
		w.forked[k.box.Queue().Epoch] = true
	case doClone:
		if len(w.kiosks) > 1 {
			return nil
		}
		d, err := k.box.copied()
		if err != nil {
			return err
		}
		if err := w.addKiosk(); err != nil {
			return err
		}
		w.forked[k.box.Queue().Epoch] = true
		return w.kiosks[1].box.restored(moved(d, w.kiosks[1].box))
	case doReinstall:
		return w.reinstall(k)
	case doBackup:
		d, err := w.central.copied()
		w.backups = append(w.backups, d)
		return err
	case doRestoreCentral:
		return w.central.restored(w.backups[a.B%len(w.backups)])
	}
	return nil
}

// moved gives a copied disk the place of another box.
func moved(disk any, to box) any {
	d, ok := disk.(twinDisk)
	b, twin := to.(*twinBox)
	if !ok || !twin {
		return disk
	}
	files := make(map[string][]byte)
	for path, data := range d.files {
		rest, _ := filepath.Rel(d.root, path) // it is below
		files[filepath.Join(b.dir, rest)] = data
	}
	d.files = files
	return d
}

// reinstall gives a kiosk an empty disk. What only the old one held is gone,
// which is why a kiosk is not installed anew while results wait.
func (w *world) reinstall(k *machineModel) error {
	k.flow = nil
	if err := k.box.close(); err != nil {
		return err
	}
	b, err := w.newBox()
	if err != nil {
		return err
	}
	if m, ok := b.(*modelBox); ok && w.rules.sameEpoch {
		m.disk.epoch = k.box.Queue().Epoch
	}
	k.box = b
	return nil
}

// forgeAck is what a thief tries with what he saw on the way: the number and
// chain hash of the newest batch, signed with a key of his own.
func (w *world) forgeAck(k *machineModel, i int) {
	q := k.box.Queue()
	if m, _, ok := pick(w.toCentral, i); ok {
		if b, err := wire.DecodeBatch(m); err == nil {
			w.answer(b.Epoch, b.Last, b.Chain, w.thief)
			return
		}
	}
	w.answer(q.Epoch, q.Last, wire.ChainStart(), w.thief)
}

// forgeBatch is what a thief tries to be first with: the next number, another
// content.
func (w *world) forgeBatch(k *machineModel) error {
	q := k.box.Queue()
	prev := wire.ChainStart()
	if _, entries, err := k.box.Pending(context.Background(), q.Last-min(q.Last, 1), 1, wire.BatchRoom); err == nil && len(entries) == 1 {
		if prev, err = wire.ChainNext(modelKiosk, q.Epoch, entries[0].Number, entries[0].Prev, entries[0].Hash); err != nil {
			return err
		}
	}
	body := []byte(`{"forged":true}`)
	b, err := wire.NewBatch(modelKiosk, q.Epoch, prev, []wire.Entry{{Number: q.Last + 1, Prev: prev, Hash: wire.BodyHash(body), Body: body}})
	if err != nil {
		return err
	}
	if err := b.Sign(w.thief); err != nil {
		return err
	}
	payload, err := b.Encode()
	w.toCentral = append(w.toCentral, payload)
	return err
}

// honest lets everything end well: nothing is on its way any more, connections
// hold, and time passes. Then each kiosk has everything at central, or somebody
// was told.
func (w *world) honest() error {
	w.final = true
	w.toCentral, w.toKiosk = nil, nil
	for _, k := range w.kiosks {
		k.up, k.flow = nil, nil
	}
	for range 30 {
		for _, k := range w.kiosks {
			if err := w.exchange(k); err != nil {
				return err
			}
		}
		if w.settled() {
			break
		}
		if err := w.sleep(3 * time.Second); err != nil {
			return err
		}
	}
	return w.balance()
}

// exchange lets one kiosk and central talk until nothing is said any more.
func (w *world) exchange(k *machineModel) error {
	if k.flow == nil {
		if err := w.connect(k); err != nil {
			return err
		}
	}
	for range 200 {
		if err := w.fill(k); err != nil {
			return err
		}
		if len(w.toCentral) == 0 {
			return nil
		}
		for len(w.toCentral) > 0 {
			m := w.toCentral[0]
			w.toCentral = w.toCentral[1:]
			if err := w.arrive(m, false); err != nil {
				return err
			}
		}
		// The topic is the kiosk's: whoever has its name hears it.
		for len(w.toKiosk) > 0 {
			m := w.toKiosk[0]
			w.toKiosk = w.toKiosk[1:]
			for _, each := range w.kiosks {
				if each.flow == nil {
					continue
				}
				if err := w.hear(each, m); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// settled says that nothing waits, or that somebody was told why.
func (w *world) settled() bool {
	for _, k := range w.kiosks {
		if q := k.box.Queue(); !w.told(k) && (q.Last > q.Acknowledged || k.flow == nil || !k.flow.low.since.IsZero()) {
			return false
		}
	}
	return true
}

// told says that an alarm was raised over a kiosk: by itself since the honest
// end began, or by central over an epoch that two disks went on with.
func (w *world) told(k *machineModel) bool {
	epoch := k.box.Queue().Epoch
	return k.alarm || w.forked[epoch] && w.alarms[epoch] > 0
}

// balance compares the disks with central.
func (w *world) balance() error {
	twice := map[string]bool{}
	w.tally.forks += len(w.forked)
	for i, k := range w.kiosks {
		if k.alarm {
			w.tally.alarms++
		}
		q := k.box.Queue()
		held, err := w.central.held(q.Epoch)
		if err != nil {
			return err
		}
		told := w.told(k)
		if q.Last > q.Acknowledged && !told {
			return fmt.Errorf("kiosk %d: %d results never reach central, and nobody was told", i, q.Last-q.Acknowledged)
		}
		for n := q.Acknowledged; n > 0 && !told; n-- {
			_, entries, err := k.box.Pending(context.Background(), n-1, 1, wire.BatchRoom)
			if err != nil || len(entries) == 0 {
				break // pruned
			}
			if n > uint64(len(held)) || string(held[n-1]) != string(entries[0].Hash) {
				return fmt.Errorf("kiosk %d: result %d is acknowledged, central does not hold it, and nobody was told", i, n)
			}
		}
		for n, hash := range held {
			if id := q.Epoch + string(hash); twice[id] && len(w.kiosks) == 1 {
				return fmt.Errorf("central holds result %d of kiosk %d twice", n+1, i)
			} else {
				twice[id] = true
			}
		}
	}
	return nil
}

// play plays a history to its end.
func play(r rules, newBox func() (box, error), central intake, acts []act, count *tally) (err error) {
	w, err := newWorld(r, newBox, central, count)
	if err != nil {
		return err
	}
	defer func() {
		if bad := w.close(); err == nil {
			err = bad
		}
	}()
	for i, a := range acts {
		if err := w.happen(a); err != nil {
			return fmt.Errorf("act %d, %v: %w", i+1, a.Kind, err)
		}
		if err := w.sound(); err != nil {
			return fmt.Errorf("after act %d, %v: %w", i+1, a.Kind, err)
		}
	}
	if err := w.honest(); err != nil {
		return fmt.Errorf("at the honest end: %w", err)
	}
	return w.sound()
}
