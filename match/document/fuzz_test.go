package document

import (
	"testing"

	"gateagent/gate"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// FuzzSecurityObject looks for panics and for a verdict that contradicts
// itself. Nothing but the seeds can be genuine.
func FuzzSecurityObject(f *testing.F) {
	d := must[*doc.Document](f)(world().VietnamID(holder))
	j := trusting(f, "VNM")
	f.Add(d.File(chip.FileSOD))
	genuine := string(d.File(chip.FileSOD))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := j.NewCase(now)
		r := report{}
		r.add(k.SecurityObject(b)...)
		if len(r) != 8 {
			t.Fatalf("%d checks", len(r))
		}
		if r["sod"].Result == gate.Successful && (r["sod.hash"].Result != gate.Successful || r["sod.signature"].Result != gate.Successful) {
			t.Errorf("sod succeeded without its parts: %v", r)
		}
		if r["sod"].Result == gate.Successful && string(b) != genuine && k.DataGroup(1, []byte("another")).Result == gate.Successful {
			t.Error("something else is proven")
		}
	})
}
