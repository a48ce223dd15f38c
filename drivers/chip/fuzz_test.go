package chip

import (
	"context"
	"testing"

	"gateagent/gate"
	sim "gateagent/sim/chip"
)

// FuzzUnwrap feeds protected answers to secure messaging: no panic, and
// nothing gets through without the MAC.
func FuzzUnwrap(f *testing.F) {
	f.Add([]byte{0x99, 0x02, 0x90, 0x00, 0x8E, 0x08, 0xFA, 0x85, 0x5A, 0x5D, 0x4C, 0x50, 0xA8, 0xED}, byte(1))
	f.Add([]byte{0x87, 0x09, 0x01, 1, 2, 3, 4, 5, 6, 7, 8, 0x99, 0x02, 0x90, 0x00, 0x8E, 0x08, 1, 2, 3, 4, 5, 6, 7, 8}, byte(2))
	f.Add([]byte{0x85, 0x10}, byte(4))
	f.Fuzz(func(t *testing.T, b []byte, u byte) {
		m := newSecure(suite(u%4+1), []byte("secret"), nil)
		if _, err := m.unwrap(response{data: b, sw: swOK}); err == nil {
			t.Fatal("an answer without the key was taken")
		}
		// With the right MAC around it, the content is parsed and decrypted.
		body := append([]byte{}, b...)
		m = newSecure(suite(u%4+1), []byte("secret"), nil)
		m.count()
		body = append(body, 0x8E, 8)
		body = append(body, m.sum(b)...)
		m = newSecure(suite(u%4+1), []byte("secret"), nil)
		_, _ = m.unwrap(response{data: body, sw: swOK})
	})
}

// FuzzInfos feeds EF.CardAccess and DG14.
func FuzzInfos(f *testing.F) {
	f.Add(cardAccess([]sim.PACE{paceOn(sim.AES128, 13), paceOn(sim.TripleDES, 12)}))
	f.Add(dg14([]sim.ChipKey{keyOn(f, sim.AES128, 13, 0), keyOn(f, sim.TripleDES, 12, 7)}))
	f.Add(unhex(f, "3134300d060804007f0007020202020101300f060a04007f000702020302020201013012060a04007f0007020204020202010202010d"))
	f.Add([]byte{0x6E, 0x02, 0x31, 0x00})
	cam := paceOn(sim.AES256, 18)
	cam.Mapping = sim.ChipAuthMapping
	f.Add(cardAccess([]sim.PACE{paceOn(sim.AES192, 2), cam}))
	f.Add(dg14([]sim.ChipKey{keyOn(f, sim.AES128, 1, 300), keyOn(f, sim.AES256, 18, 18)})[4:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, _, err := choosePACE(b); err == nil && p != nil && (!p.domain.known() || !p.suite.valid() || p.String() == "") {
			t.Fatalf("%+v", p)
		}
		if c, err := chooseCA(b); err == nil && (c == nil || c.domain.check(c.key) != nil || c.String() == "") {
			t.Fatalf("%+v", c)
		}
		if k, err := mappingKey(b, &paceChoice{domain: standardDomain(18), id: 18}); err == nil && k != nil && !k.domain.same(standardDomain(18)) {
			t.Fatalf("%+v", k)
		}
	})
}

// FuzzChip plays a chip whose answers are cut from the input, after some
// honest ones.
func FuzzChip(f *testing.F) {
	f.Add(byte(0), []byte{2, 0x90, 0x00, 4, 0x31, 0x00, 0x90, 0x00})
	f.Add(byte(8), []byte{2, 0x67, 0x00, 2, 0x6C, 0x10, 3, 1, 0x61, 0x00})
	f.Add(byte(9), []byte{8, 0x99, 0x02, 0x90, 0x00, 0x8E, 0x00, 0x90, 0x00})
	cfg := withKeys(newConfig(paceOn(sim.AES128, 12)), keyOn(f, sim.AES128, 12, 0))
	f.Fuzz(func(t *testing.T, honest byte, b []byte) {
		chip := &field{chip: sim.New(cfg)}
		s := New(counted(t, transmitFunc(func(ctx context.Context, apdu []byte) ([]byte, error) {
			if len(chip.log) < int(honest%16) {
				return chip.Transmit(ctx, apdu)
			}
			if len(b) == 0 {
				return nil, gate.ErrCardGone
			}
			n := min(int(b[0]), len(b)-1)
			answer := b[1 : 1+n]
			b = b[1+n:]
			return answer, nil
		})), Options{})
		if _, err := transaction(s, cfg.Files[sim.FileDG(14)]); err != nil {
			chipErrors(t, "fuzz", err)
		} else {
			t.Fatal("a transaction succeeded with made-up answers")
		}
	})
}
