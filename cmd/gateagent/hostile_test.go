package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// liar is a chip that turns against us at one command: from there on, or for
// that one answer alone, it answers as the lie says.
type liar struct {
	near
	at     int
	stays  bool
	lie    func(apdu, honest, before []byte) []byte // nil: the document left
	giveUp func()                                   // ends the inspection's time
	n      int
	last   []byte
}

// mute answers nothing until the time is up.
var mute = []byte("mute")

// tooMany commands are more than any honest document takes here.
const tooMany = 4000

func (l *liar) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if l.n > tooMany {
		return nil, fmt.Errorf("%w: more than %d commands", gate.ErrReaderFault, tooMany)
	}
	honest, err := l.near.Transmit(ctx, apdu)
	if err != nil {
		return nil, err
	}
	index, before := l.n, l.last
	l.n++
	l.last = honest
	if index < l.at || index > l.at && !l.stays {
		return honest, nil
	}
	answer := l.lie(apdu, honest, before)
	switch {
	case answer == nil:
		return nil, gate.ErrCardGone
	case bytes.Equal(answer, mute):
		l.giveUp()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return answer, nil
}

// lies are what a chip may answer instead.
func lies() map[string]func(apdu, honest, before []byte) []byte {
	status := func(sw ...byte) func(_, _, _ []byte) []byte {
		return func(_, _, _ []byte) []byte { return bytes.Clone(sw) }
	}
	flip := func(at func(n int) int) func(_, honest, _ []byte) []byte {
		return func(_, honest, _ []byte) []byte {
			b := bytes.Clone(honest)
			b[at(len(b))] ^= 0x11
			return b
		}
	}
	return map[string]func(apdu, honest, before []byte) []byte{
		"torn":           func(_, _, _ []byte) []byte { return nil },
		"mute":           func(_, _, _ []byte) []byte { return mute },
		"garbage":        garbage,
		"length lies":    flip(func(n int) int { return min(1, n-1) }),
		"longer length":  func(_, honest, _ []byte) []byte { return lengthen(honest) },
		"middle wrong":   flip(func(n int) int { return n / 2 }),
		"MAC wrong":      flip(func(n int) int { return max(n-3, 0) }),
		"cut":            func(_, honest, _ []byte) []byte { return bytes.Clone(honest[:len(honest)/2]) },
		"nothing":        status(),
		"one byte":       status(0x90),
		"9000":           status(0x90, 0x00),
		"6F00":           status(0x6F, 0x00),
		"6700":           status(0x67, 0x00),
		"6C08":           status(0x6C, 0x08),
		"6982":           status(0x69, 0x82),
		"6988":           status(0x69, 0x88),
		"6A82":           status(0x6A, 0x82),
		"6300":           status(0x63, 0x00),
		"61xx":           status(0x61, 0xFF),
		"61xx with data": status(1, 2, 3, 0x61, 0x00),
		"flood":          func(_, _, _ []byte) []byte { return append(make([]byte, 70000), 0x90, 0x00) },
		"echo":           func(apdu, _, _ []byte) []byte { return append(bytes.Clone(apdu), 0x90, 0x00) },
		"replay":         func(_, _, before []byte) []byte { return append([]byte{}, before...) },
	}
}

// garbage has the length of the honest answer and its status.
func garbage(apdu, honest, _ []byte) []byte {
	r := rand.New(rand.NewPCG(uint64(len(apdu)), uint64(len(honest))))
	b := bytes.Clone(honest)
	for i := range max(len(b)-2, 0) {
		b[i] = byte(r.Uint32())
	}
	return b
}

// lengthen has the first data object say that it is almost 4 GiB long.
func lengthen(honest []byte) []byte {
	if len(honest) < 4 {
		return append([]byte{0x87, 0x84, 0xFF, 0xFF, 0xFF, 0xF0, 1}, honest...)
	}
	return append([]byte{honest[0], 0x84, 0xFF, 0xFF, 0xFF, 0xF0}, honest[2:]...)
}

// maxMemory is what one document may make the agent allocate, freed or not.
const maxMemory = 16 << 20

// hostileWithin is far more than any inspection here takes.
const hostileWithin = 20 * time.Second

// No chip, whatever it answers at whichever command, makes an inspection
// crash, hang, run on, allocate more than 16 MiB or believe anything that is
// not so: what is successful in the end is what the honest chip said.
func TestEveryCommandHostile(t *testing.T) {
	for name, d := range map[string]*doc.Document{
		"PACE and CA": citizen(40, doc.PACEWith(chip.AES128, "P-256"), doc.PortraitSize(6000),
			doc.ChipAuthWith(doc.ChipAuth{Cipher: chip.AES128, Curve: "P-256"}))(t),
		"BAC and AA":    foreign(1, doc.OnlyBAC(), doc.PortraitSize(6000), doc.ActiveAuthWith(ecKey()))(t),
		"short lengths": foreign(2, doc.OnlyBAC(), doc.PortraitSize(1000), doc.WithQuirks(chip.Quirks{NoExtended: true, NoShortEF: true}))(t),
	} {
		t.Run(name, func(t *testing.T) {
			h := hostile{d: d, o: readOptions{mrz: d.MRZ(), at: day.Format(time.RFC3339)}}
			h.kase = must[gate.TrustedTime](t)(h.o.time())
			honest, commands := h.read(t, -1, false, nil)
			if honest.Document == nil || honest.Portrait == nil {
				t.Fatalf("the honest chip is not believed: %+v", honest.Checks)
			}
			all := make([]int, commands)
			for at := range all {
				all[at] = at
			}
			for _, at := range sampled(all) {
				for what, lie := range lies() {
					got, _ := h.read(t, at, false, lie)
					h.believes(t, fmt.Sprintf("%s at command %d", what, at), honest, got)
					if stubborn(what) {
						got, _ = h.read(t, at, true, lie)
						h.believes(t, fmt.Sprintf("%s from command %d on", what, at), honest, got)
					}
				}
			}
		})
	}
}

// stubborn says whether to tell a lie also for ever.
func stubborn(what string) bool {
	switch what {
	case "garbage", "9000", "6700", "6C08", "61xx", "61xx with data", "replay":
		return true
	}
	return false
}

type hostile struct {
	d    *doc.Document
	o    readOptions
	kase gate.TrustedTime
}

// read inspects the document in the hands of a liar and says how many commands
// it took.
func (h *hostile) read(t *testing.T, at int, stays bool, lie func(_, _, _ []byte) []byte) (*report, int) {
	t.Helper()
	card := chip.New(h.d.ChipConfig())
	defer card.Close()
	ctx, cancel := context.WithTimeout(t.Context(), hostileWithin)
	defer cancel()
	l := &liar{near: near{card}, at: at, stays: stays, lie: lie, giveUp: cancel}
	if lie == nil {
		l.at = tooMany + 1
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	rep := h.o.inspect(ctx, l, usual(t).NewCase(h.kase), must[gate.Scan](t)(h.o.scan(strings.NewReader(""))))
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > maxMemory {
		t.Errorf("command %d: %d bytes were allocated", at, n)
	}
	if took > hostileWithin/2 || l.n > tooMany {
		t.Errorf("command %d: %v and %d commands", at, took, l.n)
	}
	return rep, l.n
}

// believes compares with what the honest chip led to.
func (h *hostile) believes(t *testing.T, what string, honest, got *report) {
	t.Helper()
	if len(got.Checks) != len(gate.CheckIDs()) {
		t.Errorf("%s: %d checks", what, len(got.Checks))
	}
	if got.Document != nil && !reflect.DeepEqual(got.Document, honest.Document) || got.Portrait != nil && !reflect.DeepEqual(got.Portrait, honest.Portrait) {
		t.Errorf("%s: another holder is believed", what)
	}
	if got.Overall == gate.Successful && (got.Document == nil || got.Portrait == nil || honest.Overall != gate.Successful) {
		t.Errorf("%s: successful without what it takes", what)
	}
	for i, c := range got.Checks {
		if c.Result == gate.Successful && honest.Checks[i].Result != gate.Successful && c.ID != gate.CheckBAC {
			t.Errorf("%s: %s is successful, with the honest chip it is %v", what, c.ID, honest.Checks[i].Result)
		}
	}
}
